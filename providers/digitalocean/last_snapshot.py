"""Deleting a droplet in three parts: a snapshot is taken of it, looked for until it is listed, then the droplet goes.

The first two are those of ``DropletSnapshot``, called as the engine would call it, with a name of their own: so a
snapshot that an earlier attempt has taken is adopted, and one that is being taken is awaited. The droplet is deleted
only when the snapshot is there. Its undo makes a droplet from the snapshot and then deletes that.

While the droplet's end is in doubt its snapshot is left alone, whatever else is known. So one may stay behind where a
delete was interrupted between the two; its name says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.contract import (
    ABSENT,
    Blobs,
    Call,
    Done,
    Ended,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Planned,
    Succeeded,
    Unclear,
    Value,
    Working,
)
from providers.digitalocean.actions import ActingDriver
from providers.digitalocean.calls import goal, makes
from providers.digitalocean.client import path
from providers.digitalocean.droplet_snapshot import Create, DropletSnapshot, name_of
from providers.digitalocean.verbs import Number


class Delete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one. With ``snapshot_first`` it can be made again, from a snapshot that is taken before."""

    id: Number
    snapshot_first: bool = False


class KeepingDriver(ActingDriver):
    """A driver for droplets, as far as their deletion goes."""

    def __init__(self, settings: Mapping[str, Any], blobs: Blobs) -> None:
        """Take the provider's settings, for snapshots too."""
        super().__init__(settings, blobs)
        self._snapshots = DropletSnapshot(settings, blobs)

    async def plan(self, call: Call) -> Planned:
        """Note what was done last to a droplet of which a snapshot is to be taken."""
        planned = await super().plan(call)
        if not keeps(call) or planned.before is None or not planned.before.exists:
            return planned
        pages = self.client.pages(self.where(call.arguments.id, "actions"), "actions")
        newest = max([action["id"] async for action in pages], default=0)
        before = Image(fields=planned.before.fields | {"newest_action": newest})
        return msgspec.structs.replace(planned, before=before)

    async def apply(self, call: Call) -> Outcome:
        """Do it; what was made again needs its snapshot no longer."""
        return await self._tidied(call, await super().apply(call))

    async def remove(self, call: Call) -> Outcome:
        """Delete it, after its snapshot where one is asked for."""
        known = await self._id(call) if keeps(call) else None
        if known is None or await self.get(call, known) is None:
            return await self._removed(call)
        return await self._kept(call, await self._snapshots.apply(_taking(call, known)))

    async def follow(self, call: Call) -> Outcome:
        """Follow the snapshot, then go on; else the action."""
        if "snapshot" not in call.handle:
            return await self._tidied(call, await super().follow(call))
        taking = _taking(call, call.handle["id"], call.handle["snapshot"])
        return await self._kept(call, await self._snapshots.follow(taking))

    async def _kept(self, call: Call, outcome: Outcome) -> Outcome:
        """Go on after a step of the snapshot's: with it taken, the droplet goes."""
        if isinstance(outcome, Working):
            handle = {"id": await self._id(call), "snapshot": outcome.handle}
            return self.working(call, handle, outcome.detail)
        if not isinstance(outcome, Succeeded):
            return outcome
        try:
            return await self._removed(call)
        except Ended as ended:
            refused = ended.outcome
            if not isinstance(refused, Failed) or refused.transient:
                raise
            if await self.get(call, await self._id(call)) is None:
                raise
            await self._discard(outcome.outputs["id"])
            return refused

    async def _removed(self, call: Call) -> Outcome:
        outcome = await super().remove(call)
        if not isinstance(outcome, Succeeded):
            return outcome
        kept = {"snapshot_id": await self._snapshot(call, outcome.outputs.get("id"))}
        return msgspec.structs.replace(outcome, outputs=outcome.outputs | kept)

    async def _snapshot(self, call: Call, droplet: Value) -> int | None:
        """Give the id of the snapshot that the call has taken."""
        found = await self._snapshots.marked(_taking(call, droplet)) if keeps(call) and droplet else None
        return None if found is None else int(found["id"])

    async def _tidied(self, call: Call, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Succeeded) and makes_again(call):
            await self._discard(call.outputs["snapshot_id"])
        return outcome

    async def _discard(self, snapshot: Value) -> None:
        await self.client.delete(path("snapshots", snapshot))

    async def tell(self, call: Call) -> Finding:
        """Look whether it is gone; while its snapshot is being taken, that cannot be told."""
        live = await self.look(call) if keeps(call) and not goal(call).exists else None
        if live is not None:
            held = (call.handle or {}).get("snapshot")
            finding = await self._snapshots.tell(_taking(call, live["id"], held))
            return finding if isinstance(finding, Unclear) else NotDone()
        finding = await super().tell(call)
        if not isinstance(finding, Done):
            return finding
        if goal(call).exists:
            await self._tidied(call, Succeeded())
            return finding
        kept = {"snapshot_id": await self._snapshot(call, finding.outputs.get("id"))}
        return msgspec.structs.replace(finding, outputs=finding.outputs | kept)


def keeps(call: Call) -> bool:
    """Tell whether a snapshot is to be taken before it goes."""
    return isinstance(call.arguments, Delete) and call.arguments.snapshot_first


def makes_again(call: Call) -> bool:
    """Tell whether the call makes a droplet again that was deleted."""
    return isinstance(call.arguments, Delete) and makes(call)


def _taking(call: Call, droplet: Value, handle: Value = None) -> Call:
    """Make the call that takes the snapshot, as part of the one that deletes its droplet."""
    noted = (call.before or ABSENT).fields.get("newest_action", 0)
    taking = Call(
        verb="create",
        arguments=Create(droplet_id=droplet),
        key=call.key,
        name=f"{call.name}-last",
        now=call.now,
        before=Image(exists=False, fields={"newest_action": noted}),
        fields=DropletSnapshot.known_by,
        handle=handle,
    )
    after = Image(fields={"name": name_of(taking), "resource_id": str(droplet)})
    return msgspec.structs.replace(taking, after=after)
