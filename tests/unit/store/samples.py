"""Small rows to write, where only some of a row matters to the test."""

from __future__ import annotations

import msgspec

from store.records import Checkpoint, Commit, ExecutionChange, NewEvent, NewExecution, NewSaga

KEY = b"k" * 32
AT = 1_795_255_207_123
"""2026-11-21T10:00:07.123Z."""


def event(saga: str | None, type: str = "step.started", data: bytes = b"{}") -> NewEvent:
    """An event by ann about the step page."""
    return NewEvent(saga, AT, type, 1, data, "page", "ann")


def checkpoint(status: str = "running", *, wake: int | None = 0, state: bytes = b"state") -> Checkpoint:
    """A checkpoint with this status."""
    finished = AT if status in ("completed", "rolled_back", "failed") else None
    return Checkpoint(status, None, None, None if finished else wake, state, 1, AT, finished)


def submitted(saga: str, *, kind: str = "publish", labels: dict[str, str] | None = None) -> Commit:
    """A saga's first transition."""
    new = NewSaga(kind, b"p" * 32, b'{"page":"x"}', msgspec.json.encode(labels or {}), "ann", None, AT)
    return Commit(
        saga, [event(saga, "saga.submitted")], checkpoint("pending"), new=new, plan=(b"p" * 32, b"plan")
    )


def went_on(saga: str, status: str = "running", *, events: int = 1) -> Commit:
    """A transition with nothing but events."""
    return Commit(saga, [event(saga) for _ in range(events)], checkpoint(status))


def execution(id: str, step: int = 0, generation: int = 1, compensates: str | None = None) -> NewExecution:
    """An intent; an undo where it compensates something."""
    return NewExecution(
        id, step, "page", "undo" if compensates else "forward", "restore" if compensates else "forward",
        generation, "test.echo", f"key-{id}", b"{}", b"plan", AT, compensates=compensates,
    )  # fmt: skip


def began(saga: str, id: str, step: int = 0, generation: int = 1, compensates: str | None = None) -> Commit:
    """A transition that starts a step."""
    commit = went_on(saga)
    commit.executions = [execution(id, step, generation, compensates)]
    return commit


def ended(saga: str, *changes: ExecutionChange) -> Commit:
    """A transition that records outcomes."""
    commit = went_on(saga)
    commit.changes = list(changes)
    return commit
