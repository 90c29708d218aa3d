"""A batch file: many sagas, each written out or named by its file, and how they are gone about together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from orchestrator.files import shape
from orchestrator.files.compile import Compiled, Compiler
from orchestrator.files.document import MOST_PROBLEMS, Document, Report
from orchestrator.files.problems import Path, Problem, shown

MOST_SAGAS = 1_000
"""Of one batch."""

_MODES = ("all_or_nothing", "best_effort")
_NO_INPUTS: dict[str, Any] = {}


class Member(msgspec.Struct, frozen=True):
    """One saga of a batch: what it was compiled to, and the values of its inputs."""

    compiled: Compiled
    inputs: dict[str, Any]


class CompiledBatch(msgspec.Struct, frozen=True):
    """What became of a batch file. It may be run exactly when there are no problems."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    name: str = ""
    mode: Literal["all_or_nothing", "best_effort"] = "all_or_nothing"
    parallel: int | None = None
    on_failure: Literal["compensate", "stop", "hold"] = "compensate"
    members: tuple[Member, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    """One saga of the file, as read."""

    path: Path
    keys: dict[str, Any]


def _entries(report: Report, path: Path, value: Any) -> Any:
    read = shape.each(_entry, "sagas")(report, path, value)
    if read is not UNSET and not 0 < len(read) <= MOST_SAGAS:
        report.problem(path, f"{len(read)} sagas", f"give one to {MOST_SAGAS:,}")
    return read


def _entry(report: Report, path: Path, value: Any) -> Any:
    keys = shape.read_keys(report, path, value, _ENTRY)
    if isinstance(value, dict) and ("file" in value) == ("saga" in value):
        report.problem(path, "needs either `file` or `saga`", "name a saga file, or write the saga out")
    return _Entry(path, keys)


def _anything(_: Report, __: Path, value: Any) -> Any:
    return value


def _values(report: Report, path: Path, value: Any) -> Any:
    if isinstance(value, dict):
        return value
    report.problem(path, "is not a table", "write `inputs: {NAME: VALUE}`")
    return UNSET


_ENTRY: dict[str, shape.Reader] = {"file": shape.plain_text, "saga": _anything, "inputs": _values}
_KEYS: dict[str, shape.Reader] = {
    "batch": shape.kind,
    "mode": shape.choice(*_MODES),
    "parallel": shape.whole(1),
    "on_failure": shape.choice("compensate", "stop", "hold"),
    "sagas": _entries,
}


def compile_batch(
    document: Document, files: Mapping[str, str], compiler: Compiler, has_secret: Any
) -> CompiledBatch:
    """Check a batch file and compile its sagas; ``files`` are the texts of those that it names. Nothing raises."""
    report = Report(document)
    keys = _keys(report, document.value)
    problems, warnings, members = list(report.all()), list(report.warnings), []
    for entry in keys.get("sagas", ()):
        compiled = _compiled(entry, files, compiler, document, problems)
        if compiled is None:
            continue
        problems += [_placed(document, entry, each) for each in compiled.problems]
        warnings += [_placed(document, entry, each) for each in compiled.warnings]
        inputs = entry.keys.get("inputs", _NO_INPUTS)
        values, wrong = compiler.bind(compiled, inputs, has_secret=has_secret)
        problems += [_placed(document, entry, each, ("inputs",)) for each in wrong]
        members.append(Member(compiled, values))
    told = _few(document, warnings, "warnings")
    if problems:
        return CompiledBatch(_few(document, problems, "problems"), told)
    return CompiledBatch(
        (),
        told,
        keys["batch"],
        keys.get("mode", "all_or_nothing"),
        keys.get("parallel"),
        keys.get("on_failure", "compensate"),
        tuple(members),
    )


def _keys(report: Report, value: Any) -> dict[str, Any]:
    if value is UNSET:
        return {}
    if value is None:
        report.problem((), "the file is empty", "begin with `batch: NAME` and `sagas:`")
        return {}
    if isinstance(value, dict) and "saga" in value and "batch" not in value:
        report.problem((), "this is a saga file, not a batch file", "`sagactl submit` starts it")
        return {}
    return shape.read_keys(report, (), value, _KEYS, ("batch", "sagas"))


def _compiled(
    entry: _Entry, files: Mapping[str, str], compiler: Compiler, document: Document, problems: list[Problem]
) -> Compiled | None:
    if "saga" in entry.keys:
        return compiler.object(entry.keys["saga"])
    name = entry.keys.get("file")
    if name is None:
        return None
    if name not in files:
        what = f"the text of {shown(name)} was not sent along"
        hint = "`sagactl batch submit` sends it; else give it in `files`, or write the saga out as `saga`"
        problems.append(document.problem((*entry.path, "file"), what, hint))
        return None
    return compiler.source(files[name], name=name)


def _few(document: Document, found: list[Problem], what: str) -> tuple[Problem, ...]:
    """Give each once, and those beyond the limit as a number: a file that many entries name has its problems with each."""
    each = list(dict.fromkeys(found))
    if len(each) <= MOST_PROBLEMS:
        return tuple(each)
    return (*each[:MOST_PROBLEMS], document.problem((), f"and {len(each) - MOST_PROBLEMS} more {what}"))


def _placed(document: Document, entry: _Entry, problem: Problem, below: Path = ("saga",)) -> Problem:
    """Say of which saga a problem is: one in a file of its own has its place there."""
    if "saga" not in entry.keys and below == ("saga",):
        return problem
    at = document.problem((*entry.path, *below), "")
    return msgspec.structs.replace(
        problem, where=f"{at.where}: {problem.where}", line=at.line, column=at.column
    )
