"""Files as they come: told what is wrong with line and column, and the same by whoever is asked."""

from __future__ import annotations

from functools import partial
from typing import Any

from orchestrator.files.load import load
from orchestrator.files.stack import is_stack
from tests.fuzz.documents import File, files
from tests.fuzz.made import each_of
from tests.fuzz.target import Said, Target

TRACES = ("Traceback", "Error(", "object at 0x", "<class", "msgspec", ".py")
"""Of these none may stand in a complaint: it is for a person."""


MISSING = ("the input is missing", ": there is no secret ")
"""What only a submission can say: validate is given no inputs, and looks for no secrets."""


def check_file(target: Target, file: File) -> None:
    """Hold what validate, submit, plan and rehearse say of a file to each other and to the contract."""
    source = file.source.replace("SITE", str(target.site))
    body = {"source": source, "format": file.format}
    target.counts["file cases"] += 1
    if not _is_text(source):
        return  # half a character is no text, and so neither is the request
    where = f"{file.sort} {file.format} {source!r:.3000}"
    if file.sort == "batch":
        refused = _errors(target, target.post("/v1/batches", body), where)
        _clean(target, refused, where)
        return
    validated = target.post("/v1/validate", body)
    if validated.status != 200:
        target.complain(f"validate: {where}: {validated.status} {validated.body!r:.600}")
        return
    problems = validated.json["problems"]
    for each in problems:
        _placed(target, file, each, where)
    _clean(target, problems, where)
    path = "/v1/plans" if _is_stack(file) else "/v1/sagas"
    refused = _errors(target, target.post(path, body), where)
    told = [(each["where"], each["problem"]) for each in problems]
    also = [(each["where"], each["problem"]) for each in refused or [] if not _is_missing(each["problem"])]
    if told and refused is not None and told != also:
        target.complain(f"validate says {told[:5]} and {path} says {refused[:5]}: {where}")
    if bool(told) and refused is None:
        target.complain(f"validate says {told[:5]} and {path} takes it: {where}")


def _is_missing(problem: str) -> bool:
    return any(each in problem for each in MISSING)


def _is_text(source: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in source)


def _is_stack(file: File) -> bool:
    """Tell which of the two it is taken for: what is no stack file is a saga file, or wants to be one."""
    return is_stack(load(file.source, format=file.format).value)


def _errors(target: Target, said: Said, where: str) -> list[dict[str, Any]] | None:
    """What it was refused for; None where it was not."""
    target.counts[f"files {said.status}"] += 1
    if said.status in (200, 201):
        return None
    if said.status != 422:
        target.complain(f"{where}: {said.status} {said.body!r:.600}")
        return []
    return list(said.json["errors"])


def _placed(target: Target, file: File, problem: dict[str, Any], where: str) -> None:
    if problem["line"] is None or (problem["column"] is None and file.format != "toml"):
        target.complain(f"no line and column: {problem}: {where}")


def _clean(target: Target, problems: list[dict[str, Any]] | None, where: str) -> None:
    for each in problems or []:
        if any(trace in each["problem"] for trace in TRACES) or not each["problem"].strip():
            target.complain(f"not for a person: {each}: {where}")


def fuzz_files(target: Target, cases: int, number: int) -> None:
    """Check so many files."""
    each_of(files(), partial(check_file, target), cases, number)
