"""Writes docs/events.md from the events themselves: `python -m tests.unit.docs.events`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from actors.drift.events import DRIFT_EVENTS, DriftEvent
from actors.node import NODE_EVENTS, NodeEvent
from actors.resources import RESOURCE_EVENTS, ResourceEvent
from actors.reveals import BESIDE, Revealed
from actors.saga.events import EVENTS, Event, RunEvent

PAGE = Path(__file__).parents[3] / "docs" / "events.md"

HEAD = """\
# Events

What can happen to a saga, as `sagactl events`, `GET /v1/sagas/ID/events` and the event stream tell it. This page is
written from `actors/saga/events.py`, `actors/node.py`, `actors/resources.py`, `actors/reveals.py` and
`actors/drift/events.py` by `python -m tests.unit.docs.events`; a test holds the two against each other.

Every event has `seq` (its number in the node's record, without a gap), `saga`, `resource`, `at`, `type`, `version`,
`step` (the step's name), `actor`, `data` and `hash` (SPEC §8). `data` is what the tables below list; a field that has
its default is left out of it. In `data`, `step` is the step's index, and `actor` is there only where somebody other
than sagad itself did it. Where it says digest, it is the SHA-256 of what is kept elsewhere: arguments, outputs and
images stay with their executions and never stand in an event. Times are UTC milliseconds.

A type's meaning never changes: a new meaning is a new version, and bodies of old versions are read through
`actors/saga/events.py:UPCASTERS`.
"""

PARTS = (
    ("Of the saga", "saga.", ""),
    (
        "Of a step, forward",
        "step.",
        "Those that have a `hook.` or `undo.` twin below mean the same for the hook or the way back, their `direction`.",
    ),
    ("Of a step's hook", "hook.", "The step is completed after `hook.succeeded`, and not before."),
    ("Of a step's undo", "undo.", ""),
    (
        "Of approvals",
        "approval.",
        "Of the saga as submitted, or of one step's resolved arguments, or its undo's: `step` is its index.",
    ),
    ("Of locks", "lock.", ""),
    (
        "Of resources",
        "resource.",
        "Of the registry (`actors/resources.py`): `resource` names type and name, and `saga` is null where it is somebody's word.",
    ),
    (
        "Of secrets",
        "secret.",
        "Of a saga or of a resource's record (`actors/reveals.py`): `saga` or `resource` says of which.",
    ),
    ("Of the node", "node.", "Beside all sagas (`actors/node.py`): `saga` and `resource` are null."),
    (
        "Of drift",
        "drift.",
        "Of a record of drift, whose `id` is in the data, a rule or a provider (`actors/drift/events.py`): `saga` is null.",
    ),
)

Kind = Event | ResourceEvent | NodeEvent | Revealed | DriftEvent
ALL: dict[str, type[Kind]] = {**EVENTS, **RESOURCE_EVENTS, **BESIDE, **NODE_EVENTS, **DRIFT_EVENTS}


def page() -> str:
    """Give the whole page."""
    return "\n".join([HEAD, *(line for part in PARTS for line in _part(*part))])


def _part(title: str, prefix: str, note: str) -> Iterator[str]:
    yield f"## {title}\n"
    if note:
        yield f"{note}\n"
    yield "| type | version | what happened | data |"
    yield "|---|---|---|---|"
    for name in sorted(name for name in ALL if name.startswith(prefix)):
        kind = ALL[name]
        yield f"| `{name}` | {kind.version} | {_meaning(kind)} | {_fields(kind)} |"
    yield ""


def _meaning(kind: type[Kind]) -> str:
    return re.sub(r"\s+", " ", kind.__doc__ or "").replace("``", "`").strip()


def _fields(kind: type[Kind]) -> str:
    shared = {"actor", "direction"} if issubclass(kind, RunEvent) else {"actor"}
    told = [
        f"`{field.encode_name}`: {_type(field.type)}{_default(field)}"
        for field in msgspec.structs.fields(kind)
        if field.name not in shared
    ]
    return ", ".join(told)


def _type(annotation: Any) -> str:
    """Name a type in words for a table."""
    kind = msgspec.inspect.type_info(annotation)
    return _words(kind)


def _words(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.UnionType):
        return " or ".join(_words(each) for each in kind.types)
    if isinstance(kind, msgspec.inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return f"list of {_words(kind.item_type)}"
    if isinstance(kind, msgspec.inspect.DictType):
        return f"object of {_words(kind.value_type)}"
    if isinstance(kind, msgspec.inspect.StructType):
        return "{" + ", ".join(field.encode_name for field in kind.fields) + "}"
    names = {"Str": "text", "Int": "integer", "Bool": "true or false", "None": "null"}
    name = type(kind).__name__.removesuffix("Type")
    return names.get(name, name.lower())


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return ""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return "" if value is None else f" = `{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page())
