"""What happens to the node itself, beside all sagas: its events."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class NodeEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to the node."""

    type: ClassVar[str]
    version: ClassVar[int] = 1


class BackedUp(NodeEvent, frozen=True, kw_only=True):
    """Somebody took a backup: all that is on record up to event `upto`, and the blobs. Recorded before it was sent."""

    type = "node.backed_up"
    upto: int
    bytes: int


class Restored(NodeEvent, frozen=True, kw_only=True):
    """A backup was restored, made at `made_at`. What was on record behind it is gone; `held` sagas wait for somebody."""

    type = "node.restored"
    made_at: str
    made_by: str
    held: int


class Pruned(NodeEvent, frozen=True, kw_only=True):
    """Sagas that ended longer ago than `[retention]` were dropped from the record; their events' hashes stay."""

    type = "node.pruned"
    sagas: tuple[str, ...]
    events: int


NODE_EVENTS: dict[str, type[NodeEvent]] = {each.type: each for each in (BackedUp, Restored, Pruned)}
