"""Saga, stack and batch files that are right but for something, and how they are written."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Document = Any


class File(NamedTuple):
    """A file: what it is to be, what it says, and how it is written."""

    sort: str
    format: str
    source: str


SAGA: Document = {
    "saga": "publish",
    "description": "Put the new page live",
    "inputs": {"page": {"type": "string", "default": "x"}, "count": {"type": "integer", "default": 3}},
    "labels": {"site": "harbour"},
    "on_failure": "compensate",
    "deadline": "2h",
    "policy": {"approve": "never", "quorum": 1, "expires": "24h"},
    "hooks": {"applied": {"do": "command.run", "with": {"argv": ["/bin/true", "${self.path}"]}}},
    "steps": [
        {
            "name": "page",
            "do": "local.file.put",
            "with": {"path": "SITE/index.html", "content": "${inputs.page}", "mode": "0640"},
            "on_conflict": "hold",
            "hooks": {"applied": {"do": "test.echo", "with": {"message": "${self.sha256}"}}},
        },
        {
            "name": "run",
            "do": "command.run",
            "with": {"argv": ["/bin/true", "${steps.page.path}"], "env": {"A": "1"}, "check": ["/bin/true"]},
            "undo": {"do": "test.echo", "with": {"message": "${self.stdout}"}},
            "retry": {"attempts": 3, "delay": "1s", "factor": 2, "max_delay": "30s"},
            "timeout": "30s",
            "needs": ["page"],
        },
        {"name": "say", "do": "test.echo", "with": {"message": {"of": ["${saga.id}", 1, None, True]}}},
    ],
}
STACK: Document = {
    "stack": "harbour",
    "on_failure": "compensate",
    "resources": [
        {"type": "local.directory", "name": "site", "spec": {"path": "SITE/d"}},
        {
            "type": "local.file",
            "name": "page",
            "spec": {"path": "${resources.site.path}/index.html", "content": "hello"},
            "protect": True,
            "replace": "create_before_delete",
            "needs": ["site"],
        },
    ],
}
BATCH: Document = {
    "batch": "three",
    "mode": "all_or_nothing",
    "parallel": 2,
    "on_failure": "compensate",
    "sagas": [
        {"saga": {"saga": "one", "steps": [{"name": "a", "do": "test.echo", "with": {"message": "x"}}]}},
        {"saga": {"saga": "two", "steps": [{"name": "b", "do": "test.sleep", "with": {"duration": "1ms"}}]}},
    ],
}
SORTS: dict[str, Document] = {"saga": SAGA, "stack": STACK, "batch": BATCH}

TRICKY: list[Any] = [
    "", " ", "\0", "\n", "é", "\u202e", "\U0001f600", "x" * 300, "${", "${}", "${inputs.}", "${steps.page}", "$${x}",
    "${steps.say.message}", "${self.path}", "${secret.none}", "${inputs.count}${inputs.page}", "${saga.kind}", "${a.b.c}",
    "${resources.page.path}", "../../etc/passwd", "/etc/passwd", "SITE/../../etc", "SITE\0x", "0", "0999", "-1", "1e999",
    "99999999999999999999d", "1ms", "0s", "null", "true", "2026-01-01", "steps", "page", "test.fail", "local.file.delete",
    "local.file", "command.run", "wait.timer", "no.such.verb", "<<", "&a", "*a", "!!python/object:os.system", "a: b",
    0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, 1e308, True, False, None, [], {}, [[]], {"": ""}, [None],
    {"do": "test.echo"}, {"do": "test.echo", "with": {}}, {"type": "string"},
]  # fmt: skip
KEYS = [
    "saga", "stack", "batch", "steps", "step", "name", "do", "with", "as", "needs", "undo", "undo_when", "undo_retry", "keep",
    "irreversible", "idempotent", "retry", "timeout", "lock_timeout", "on_conflict", "hooks", "policy", "deadline",
    "inputs", "resources", "sagas", "mode", "parallel", "type", "spec", "protect", "replace", "\ud800", "", "a b", "${x}",
]  # fmt: skip


def _values() -> SearchStrategy[Any]:
    return st.one_of(
        st.sampled_from(TRICKY),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [each for key, below in value.items() for each in _places(below, (*path, key))]
    if isinstance(value, list):
        return found + [each for index, below in enumerate(value) for each in _places(below, (*path, index))]
    return found


def _holder(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        document = document[part]
    return document


def _set(document: Any, path: tuple[Any, ...], value: Any) -> None:
    _holder(document, path)[path[-1]] = value


def _drop(document: Any, path: tuple[Any, ...], value: Any) -> None:
    del _holder(document, path)[path[-1]]


def _twice(document: Any, path: tuple[Any, ...], value: Any) -> None:
    holder = _holder(document, path)
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[path[-1]]))


def _rename(document: Any, path: tuple[Any, ...], value: Any) -> None:
    holder = _holder(document, path)
    if isinstance(holder, dict):
        holder[str(value)] = holder.pop(path[-1])


def _add(document: Any, path: tuple[Any, ...], value: Any) -> None:
    holder = _holder(document, path)
    if isinstance(holder, dict):
        holder[random.Random(str(path) + str(value)).choice(KEYS)] = value


CHANGES: list[Callable[[Any, tuple[Any, ...], Any], None]] = [_set, _set, _set, _drop, _twice, _rename, _add]


@st.composite
def _documents(draw: Callable[[SearchStrategy[Any]], Any], sort: str) -> Document:
    document = copy.deepcopy(SORTS[sort])
    for _ in range(draw(st.integers(0, 3))):
        places = _places(document)
        if not places:
            break
        change = draw(st.sampled_from(CHANGES))
        change(document, draw(st.sampled_from(places)), copy.deepcopy(draw(_values())))
    return document


# -- writing -------------------------------------------------------------------------------------------------------------


def _yaml(document: Document) -> str:
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))


def _json(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _toml(document: Document) -> str:
    """Write it as TOML, all but the top in one line each; what TOML cannot say is said wrongly."""
    if not isinstance(document, dict):
        return _inline(document)
    return "".join(f"{json.dumps(str(key))} = {_inline(value)}\n" for key, value in document.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {_inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    return "nil" if value is None else json.dumps(value)


WRITERS: dict[str, Callable[[Document], str]] = {"yaml": _yaml, "json": _json, "toml": _toml}
SPLINTERS = [
    "\t", "\n", "\r", "\0", "\ufeff", "\u2028", "'", '"', "`", "{", "}", "[", "]", ":", ": ", ",", "#", "&a ", "*a", "<<: *a",
    "!!binary ", "!!set ", "--- ", "...\n", "? ", "- ", "|\n", ">-\n", "%YAML 9\n", "=", "[[steps]]\n", "[steps]\n", "\\", "\\ud800",
    "1979-05-27T07:32:00Z", "0x", "inf", "nan", ".inf", "é", "\U0001f600", "}" * 50, "[" * 200,
]  # fmt: skip


@st.composite
def files(draw: Callable[[SearchStrategy[Any]], Any]) -> File:
    """Draw a file: of some sort, with something wrong in its values, its text, or nothing at all."""
    sort, format_ = draw(st.sampled_from(sorted(SORTS))), draw(st.sampled_from(sorted(WRITERS)))
    if draw(st.integers(0, 30)) == 0:
        return File(sort, format_, draw(st.text(max_size=200)))
    try:
        source = WRITERS[format_](draw(_documents(sort)))
    except (ValueError, yaml.YAMLError, RecursionError):
        source = "saga: &a [*a]"
    if draw(st.booleans()):
        for _ in range(draw(st.integers(1, 3))):
            source = _splintered(draw, source)
    return File(sort, format_, _sent(source))


def _sent(source: str) -> str:
    """Give the text as it arrives: two halves of a pair that have come to stand side by side are one character."""
    return source.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _splintered(draw: Callable[[SearchStrategy[Any]], Any], source: str) -> str:
    at: int = draw(st.integers(0, len(source)))
    match draw(st.sampled_from(["put", "cut", "copy"])):
        case "put":
            splinter: str = draw(st.sampled_from(SPLINTERS) | st.text(max_size=3))
            return source[:at] + splinter + source[at:]
        case "cut":
            return source[:at] + source[at + draw(st.integers(1, 30)) :]
        case _:
            end = at + draw(st.integers(1, 60))
            return source[:end] + source[at:end] + source[end:]
