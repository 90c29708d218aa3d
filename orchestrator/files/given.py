"""Operations that a file gives beside those of its steps: ``{do, with}`` of an undo, and of hooks.

A hook is a step's own or the whole file's, for all its steps that have a resource. Which of them is run after a step
is known from the step's verb: ``deleted`` after a delete, ``applied`` after all else that changes something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from orchestrator.files import shape
from orchestrator.files.document import Report
from orchestrator.files.operations import Operation, find_operation
from orchestrator.files.problems import Path, shown
from orchestrator.files.shape import Reader
from providers.contract import Driver, Verb
from providers.registry import Registry

Event = Literal["applied", "deleted"]


class GivenHook(msgspec.Struct):
    """A hook as written."""

    path: Path
    operation: str = ""
    arguments: dict[str, Any] = {}
    found: Operation | None = None
    """The operation, once it was looked for."""
    used: bool = False
    """Some step has it run."""


Hooks = Mapping[Event, GivenHook]


def arguments(report: Report, path: Path, value: Any) -> Any:
    """Read ``with``."""
    if isinstance(value, dict):
        return value
    return shape.wrong_kind(report, path, value, "a mapping of arguments")


OPERATION_KEYS: dict[str, Reader] = {"do": shape.text, "with": arguments}


def _hook(report: Report, path: Path, value: Any) -> Any:
    read = shape.read_keys(report, path, value, OPERATION_KEYS, ("do",))
    return GivenHook(path, read.get("do", ""), read.get("with", {}))


_HOOK_KEYS: dict[str, Reader] = {"applied": _hook, "deleted": _hook}


def read_hooks(report: Report, path: Path, value: Any) -> Any:
    """Read ``hooks``, of a step or of the file."""
    return shape.read_keys(report, path, value, _HOOK_KEYS)


def find_hooks(report: Report, hooks: Hooks, registry: Registry) -> None:
    """Look for the operations of hooks; report those that there are none of or that a hook cannot be."""
    for hook in hooks.values():
        path = (*hook.path, "do")
        if hook.operation:
            hook.found = find_operation(report, path, hook.operation, registry)
        if hook.found is not None and (why := _no_hook(hook.found.verb)):
            report.problem(path, f"{shown(hook.operation)} {why}", "make it a step of its own")


def _no_hook(verb: Verb) -> str:
    """Say why a verb cannot be a hook's."""
    if verb.asks:
        return "waits for approval, which a hook cannot"
    return "cannot be taken back, and a hook is no point of no return" if verb.irreversible else ""


def choose(own: Hooks, shared: Hooks, operation: Operation | None) -> GivenHook | None:
    """Give the hook that is run after an operation: the step's own before the file's."""
    if operation is None or (event := _event(operation)) is None:
        return None
    has_resource = type(operation.driver).resource is not Driver.resource
    chosen = own.get(event) or (shared.get(event) if has_resource else None)
    if chosen is not None:
        chosen.used = True
    return chosen


def _event(operation: Operation) -> Event | None:
    if not operation.verb.changes:
        return None
    return "deleted" if operation.name.rpartition(".")[2] == "delete" else "applied"


def warn_unused(report: Report, hooks: Hooks, why: str) -> None:
    """Warn of hooks that nothing has run."""
    for event, hook in hooks.items():
        if not hook.used:
            report.warn(hook.path, f"the hook `{event}` is never run: {why}", "remove it", key=True)


def why_unused(operation: Operation) -> str:
    """Say why a step's own hooks for another event than its own are never run."""
    event = _event(operation)
    return (
        f"{shown(operation.name)} "
        + {
            None: "changes nothing",
            "applied": "deletes nothing",
            "deleted": "only deletes",
        }[event]
    )
