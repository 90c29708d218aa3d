"""A batch on one page: what it is, where each of its sagas is, and who takes back what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.cli.draw import Words
from orchestrator.cli.sagas import Saga, error_text, has_ended, needs_somebody, progress, state
from orchestrator.cli.text import count
from orchestrator.cli.tree import head, mark, standing

_WIDEST_KIND = 32
_ORDER = ("completed", "running", "compensating", "rolled_back", "failed", "pending")

Batch = dict[str, Any]


def page(batch: Batch, *, unicode: bool, now: float | None = None) -> list[Words]:
    """Draw a batch: a line each for what is known of it, then its sagas, then the rollbacks that somebody must see to."""
    saga = batch | {"kind": batch.get("batch"), "batch": None}
    return [
        *head(saga, now, _facts(batch)),
        *_members(batch.get("sagas") or [], unicode=unicode),
        *_rollbacks(batch),
    ]


def counts_text(batch: Batch) -> str:
    """Say how many of the sagas are where: ``7/10 completed, 2 running, 1 pending``, ``2/2 completed (2 taken back)``."""
    counts: dict[str, int] = batch.get("counts") or {}
    others = [*_ORDER[1:], *(status for status in counts if status not in _ORDER)]
    back = f" ({batch['taken_back']} taken back)" if batch.get("taken_back") else ""
    parts = [f"{counts.get('completed', 0)}/{sum(counts.values())} completed{back}"]
    return ", ".join(parts + [f"{counts[status]} {status}" for status in others if counts.get(status)])


def batch_headline(batch: Batch) -> str:
    """Name the batch on one line, its id first."""
    sagas = count(sum((batch.get("counts") or {}).values()), "saga")
    return f"{batch.get('id', '')}  {batch.get('batch', '')}  {state(batch)} ({sagas})"


def _facts(batch: Batch) -> Iterator[tuple[str, str]]:
    parallel = batch.get("parallel")
    yield (
        "mode",
        ", ".join(
            [
                str(batch.get("mode")),
                f"{parallel} at a time" if parallel else "all at a time",
                f"on_failure: {batch.get('on_failure')}",
            ]
        ),
    )
    yield "sagas", counts_text(batch)


def _members(sagas: list[Saga], *, unicode: bool) -> Iterator[Words]:
    kinds = min(_WIDEST_KIND, max((len(str(saga.get("kind", ""))) for saga in sagas), default=0))
    states = max((len(state(saga)) for saga in sagas), default=0)
    branch, last, bar = ("├─ ", "└─ ", "│  ") if unicode else ("|- ", "`- ", "|  ")
    for index, saga in enumerate(sagas):
        final = index == len(sagas) - 1
        yield [(last if final else branch, "faint"), *_member(saga, kinds, states, unicode=unicode)]
        for style, text in _details(saga):
            yield [("   " if final else bar, "faint"), ("    ", ""), (text, style)]


def _member(saga: Saga, kinds: int, states: int, *, unicode: bool) -> Words:
    status = str(saga.get("status", ""))
    left = saga.get("left_behind") or []
    notes = [
        f"taken back by {saga['rolled_back_by']}" if saga.get("rolled_back_by") else "",
        f"{count(len(left), 'thing')} left behind" if left else "",
    ]
    return [
        (f"{_mark(status, unicode=unicode)} ", status),
        (f"{saga.get('id', '')}  ", "strong"),
        (f"{saga.get('kind', ''):<{kinds}}  ", ""),
        (f"{state(saga):<{states}}  ", "hold" if needs_somebody(saga) else status),
        (progress(saga), "faint"),
        ("".join(f"  {note}" for note in notes if note), ""),
    ]


def _mark(status: str, *, unicode: bool) -> str:
    # Steps have these marks; a saga that was rolled back looks like a step that was.
    return mark("compensated" if status == "rolled_back" else status, unicode=unicode)


def _details(saga: Saga) -> Iterator[tuple[str, str]]:
    if saga.get("error"):
        yield "failed", error_text(saga["error"])
    if needs_somebody(saga):
        yield from (("hold", text) for name, text in standing(saga) if name == "hold")


def _rollbacks(batch: Batch) -> Iterator[Words]:
    """Draw the rollbacks that are under way, and those that have not taken back what nothing else has since."""
    done = {saga["id"] for saga in batch.get("sagas") or [] if saga.get("rolled_back_by")}
    unfinished = [
        saga
        for saga in batch.get("rollbacks") or []
        if not has_ended(saga) or (saga.get("status") != "completed" and saga.get("rollback_of") not in done)
    ]
    if unfinished:
        yield [("rollbacks:", "hold")]
    for saga in unfinished:
        style = "hold" if needs_somebody(saga) else str(saga.get("status", ""))
        about = f"  takes back {saga.get('rollback_of')}"
        yield [(f"  {saga.get('id', '')}  ", "strong"), (state(saga), style), (about, "")]
        for name, text in _details(saga):
            yield [("      ", ""), (text, name)]
