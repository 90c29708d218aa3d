"""What a caller is refused by the state of the node, whatever it is that was asked for."""

from __future__ import annotations

from actors.saga.host import Host
from actors.saga.state import Touch
from orchestrator.problems import Conflict, Unavailable


def refuse_full(host: Host) -> None:
    """Raise Unavailable while there is no room to write down what somebody says of a record."""
    if host.journal.full:
        raise Unavailable("the disk is full, so nothing new is kept: make room", code="storage_full")


def refuse_locked(host: Host, touch: Touch, label: str | None = None) -> None:
    """Raise Conflict while a saga is at a resource, which messages call by its ``label``."""
    saga = host.locks.holder(touch)
    if saga is not None:
        raise Conflict(
            f"saga {saga} is at {label or touch.label}: wait until it has ended, `sagactl why {saga}` says for what",
            code="locked",
        )
