"""A saga as a tree: what it is, its steps with what they did, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.cli.draw import Words
from orchestrator.cli.sagas import Saga, error_text, needs_somebody, state
from orchestrator.cli.text import age, brief, clock, count, pairs, took

# Each status has a mark of its own, with and without Unicode; the word beside it is always written out.
MARKS = {
    "pending": "·.",
    "running": "▸>",
    "completed": "✓+",
    "failed": "✗x",
    "unknown": "??",
    "compensating": "↶<",
    "compensated": "↺~",
    "compensation_failed": "!!",
    "kept": "==",
    "skipped": "–-",
}
_WIDEST_NAME = 32
_SHOWN_OUTPUTS = 100
_ENDED = {"completed", "failed", "compensated", "compensation_failed", "kept", "skipped"}


def tree(saga: Saga, *, unicode: bool, now: float | None = None, whole: bool = False) -> list[Words]:
    """Draw a saga's tree: a line each for what is known of it, then its steps, then what is left behind.

    ``whole``: nothing of their outputs is left out, however long they are.
    """
    return [*head(saga, now), *_steps(saga, unicode=unicode, now=now, whole=whole), *_left_behind(saga)]


def mark(status: str, *, unicode: bool) -> str:
    """Give a status's mark."""
    return MARKS.get(status, "  ")[0 if unicode else 1]


def head(saga: Saga, now: float | None = None, more: Iterable[tuple[str, str]] = ()) -> Iterator[Words]:
    """Draw what is known of a saga as a whole; ``more`` facts stand first."""
    status = str(saga.get("status", ""))
    yield [
        (str(saga.get("id", "")), "strong"),
        (f"  {saga.get('kind', '')}  ", ""),
        (state(saga), "hold" if needs_somebody(saga) else status),
    ]
    for name, text in (*more, *_facts(saga, now)):
        if text:
            urgent = name in ("hold", "error")
            yield [(f"  {name + ':':<10} ", "faint"), (text, "hold" if urgent else "")]


def _facts(saga: Saga, now: float | None) -> Iterator[tuple[str, str]]:
    by = f" by {saga['submitted_by']}" if saga.get("submitted_by") else ""
    ago = f", {age(saga.get('created_at'), now)} ago" if saga.get("created_at") else ""
    yield "submitted", f"{clock(saga.get('created_at'))}{by}{ago}"
    if saga.get("finished_at"):
        yield "took", took(saga.get("created_at"), saga.get("finished_at"))
    yield "reason", saga.get("reason") or ""
    yield "inputs", pairs(saga.get("inputs") or {})
    yield "labels", pairs(saga.get("labels") or {})
    yield from _links(saga)
    yield from standing(saga)
    yield "cancel", _cancel(saga.get("cancel"))
    yield "error", error_text(saga.get("error"))


def standing(saga: Saga) -> Iterator[tuple[str, str]]:
    """Say why a saga stands, and for what it waits; texts may be empty."""
    yield "hold", _stand(saga.get("hold"), "reason", "since")
    yield from _locks(saga.get("locks") or {})
    yield "waiting", _stand(saga.get("waiting"), "for", "until")


def _links(saga: Saga) -> Iterator[tuple[str, str]]:
    for name in ("rollback_of", "rolled_back_by", "corrects", "corrected_by", "batch"):
        linked = saga.get(name)
        yield (
            name.replace("_", " "),
            ", ".join(map(str, linked)) if isinstance(linked, list) else str(linked or ""),
        )


def _locks(locks: dict[str, Any]) -> Iterator[tuple[str, str]]:
    awaits = [f"{each['resource']} of saga {each['saga']}" for each in locks.get("awaits", ())]
    yield "waits for", ", ".join(awaits)
    wanted = [f"saga {each['saga']} ({each['resource']})" for each in locks.get("awaited_by", ())]
    yield "is awaited", f"by {', '.join(wanted)}" if wanted else ""


def _stand(stand: Any, what: str, when: str) -> str:
    if not isinstance(stand, dict):
        return ""
    time = f" {when} {clock(stand[when])}" if stand.get(when) else ""
    detail = stand.get("detail")
    text = "; ".join(map(str, detail)) if isinstance(detail, list) else str(detail or "")
    return f"{stand.get(what)}{time}" + (f": {text}" if text else "")


def _cancel(cancel: Any) -> str:
    if not isinstance(cancel, dict):
        return ""
    now = ", now" if cancel.get("now") else ""
    reason = f": {cancel['reason']}" if cancel.get("reason") else ""
    return f"asked for by {cancel.get('by')} at {clock(cancel.get('at'))}{now}{reason}"


def _steps(saga: Saga, *, unicode: bool, now: float | None, whole: bool) -> Iterator[Words]:
    steps = saga.get("steps") or []
    widths = {
        key: min(_WIDEST_NAME, max((len(str(step.get(key, ""))) for step in steps), default=0))
        for key in ("name", "do", "status")
    }
    branch, last, bar = ("├─ ", "└─ ", "│  ") if unicode else ("|- ", "`- ", "|  ")
    for index, step in enumerate(steps):
        final = index == len(steps) - 1
        yield [(last if final else branch, "faint"), *_step(step, widths, unicode=unicode, now=now)]
        for name, text in _details(step, whole=whole):
            yield [("   " if final else bar, "faint"), ("    ", ""), (text, name)]


def _step(step: dict[str, Any], widths: dict[str, int], *, unicode: bool, now: float | None) -> Words:
    status = str(step.get("status", ""))
    attempts = step.get("attempts") or 0
    end = step.get("finished_at")
    lasted = "" if status in _ENDED and not end else took(step.get("started_at"), end, now)
    notes = [lasted, count(attempts, "attempt") if attempts > 1 else ""]
    return [
        (f"{mark(status, unicode=unicode)} ", status),
        (f"{step.get('name', ''):<{widths['name']}}  ", "strong"),
        (f"{step.get('do', ''):<{widths['do']}}  ", ""),
        (f"{status:<{widths['status']}}", status),
        ("".join(f"  {note}" for note in notes if note), "faint"),
    ]


def _details(step: dict[str, Any], *, whole: bool) -> Iterator[tuple[str, str]]:
    if step.get("error"):
        yield "failed", error_text(step["error"])
    if output := _told(step.get("output")):
        yield "faint", output if whole else brief(output, _SHOWN_OUTPUTS)


def _told(output: Any) -> str:
    """Write a step's outputs, without those that are empty: a command that printed nothing."""
    if isinstance(output, dict):
        output = {name: value for name, value in output.items() if value not in ("", None)}
    return pairs(output)


def _left_behind(saga: Saga) -> Iterator[Words]:
    left = saga.get("left_behind") or []
    if left:
        yield [("left behind:", "hold")]
    for each in left:
        what = "  ".join(
            part for part in (str(each.get("step")), resource_text(each.get("resource"))) if part
        )
        yield [(f"  {what}: {each.get('why')}", "")]


def resource_text(resource: Any) -> str:
    """Name a resource: its type and name, or however the API has named it."""
    if isinstance(resource, dict):
        name = resource.get("name") or resource.get("path") or resource.get("id")
        return " ".join(str(part) for part in (resource.get("type"), name) if part)
    return str(resource or "")
