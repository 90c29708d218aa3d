"""What a saga's document says: whether it is over, how, and what it would be called in one line."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.failures import DONE, FAILED, ON_HOLD, ROLLED_BACK
from orchestrator.cli.text import clean, count

Saga = dict[str, Any]

ENDED = {"completed": DONE, "rolled_back": ROLLED_BACK, "failed": FAILED}
_HOLDS_THAT_END_BY_THEMSELVES = {"lock"}
_STANDS = {"completed", "kept"}


def saga_of(document: Any) -> Saga:
    """Give the saga of an answer, which may hold it beside other things or be it."""
    saga = document.get("saga") if isinstance(document, dict) else None
    if isinstance(saga, dict):
        return saga
    return document if isinstance(document, dict) else {}


def settled(saga: Saga) -> int | None:
    """Give the exit code for a saga that has ended or needs somebody; None while it goes on by itself."""
    if (code := ENDED.get(saga.get("status", ""))) is not None:
        return code
    return ON_HOLD if needs_somebody(saga) else None


def has_ended(saga: Saga) -> bool:
    """Tell whether the saga is over for good."""
    return saga.get("status") in ENDED


def needs_somebody(saga: Saga) -> bool:
    """Tell whether the saga stands still until a person says something."""
    hold = saga.get("hold")
    return hold is not None and hold.get("reason") not in _HOLDS_THAT_END_BY_THEMSELVES


def state(saga: Saga) -> str:
    """Give the saga's status with what it stands for: ``running, on hold: attention``."""
    status = str(saga.get("status", ""))
    if has_ended(saga):
        return status
    if hold := saga.get("hold"):
        return f"{status}, on hold: {hold.get('reason')}"
    if waiting := saga.get("waiting"):
        return f"{status}, waiting: {waiting.get('for')}"
    return status


def progress(saga: Saga) -> str:
    """Say how many of the steps stand: ``2/5``."""
    steps = saga.get("steps")
    if not isinstance(steps, list):
        return ""
    return f"{sum(step.get('status') in _STANDS for step in steps)}/{len(steps)}"


def is_batch(saga: Saga) -> bool:
    """Tell whether the saga is a batch, whose steps are sagas."""
    return saga.get("batch") is not None and saga.get("batch") == saga.get("id")


def steps_text(saga: Saga) -> str:
    """Say how far the steps are: ``2/5 steps``; of a saga that turned back, ``5 steps, 4 taken back``."""
    thing = "saga" if is_batch(saga) else "step"
    if saga.get("status") not in ("compensating", "rolled_back", "failed"):
        return f"{progress(saga)} {thing}s"
    statuses = [step.get("status") for step in saga.get("steps", [])]
    return f"{count(len(statuses), thing)}, {statuses.count('compensated') or 'none'} taken back"


def headline(saga: Saga) -> str:
    """Name the saga on one line, its id first."""
    return f"{saga.get('id', '')}  {saga.get('kind', '')}  {state(saga)}"


def error_text(error: Any) -> str:
    """Write an error of a saga, step or execution."""
    if not isinstance(error, dict):
        return clean(str(error)) if error else ""
    where = f" in step {error['step']}" if error.get("step") else ""
    code = f"{error['code']}{where}" if error.get("code") else where.strip()
    message = str(error.get("message") or "")
    if code and message.startswith(f"{code} "):
        return clean(message)  # "cancelled by root" has said it
    return clean(": ".join(part for part in (code, message) if part))


def ending(saga: Saga) -> str:
    """Say how a saga has ended, or why it stands, for somebody who has waited for it."""
    about = f"{headline(saga)} ({steps_text(saga)})" if progress(saga) else headline(saga)
    left = saga.get("left_behind") or []
    return about + (f", {count(len(left), 'thing')} left behind" if left else "")
