"""Events beside the sagas' own: of the node, of a resource's record, of drift, of what was revealed."""

from __future__ import annotations

from typing import ClassVar, Protocol

import msgspec

from store.records import NewEvent

_ENCODER = msgspec.json.Encoder()


class Said(Protocol):
    """An event: a struct whose class says what it is called."""

    type: ClassVar[str]
    version: ClassVar[int]


def event_row(
    event: Said, at: int, *, actor: str = "sagad", resource: str | None = None, saga: str | None = None
) -> NewEvent:
    """Give an event as the journal keeps it; ``at``: UTC milliseconds."""
    data = _ENCODER.encode(event)
    return NewEvent(saga, at, event.type, event.version, data, actor=actor, resource=resource)
