"""`digitalocean.droplet_snapshot`: a snapshot of a droplet, known by a name that is made from the saga.

The action that takes the snapshot does not name it, and its id is not the snapshot's. So the name is the mark: what
has it already is taken for ours. The action is followed to its end by its id, and the snapshot then looked for until
it is listed; for how long it may not be, `settle` says, and past that nobody knows.

An answer to the POST that was lost leaves neither id nor snapshot, while the action may run for minutes. The plan
notes the droplet's newest action, so that `find` sees whether one was begun since: while it runs, there is nothing to
be told; when it has ended and no snapshot of the droplet explains it, somebody must look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from providers.contract import (
    Call,
    Done,
    Ended,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Planned,
    Resource,
    Unclear,
    Unknown,
    Value,
    Verb,
)
from providers.digitalocean import actions
from providers.digitalocean.calls import goal, milliseconds, young
from providers.digitalocean.client import Thing, path
from providers.digitalocean.driver import CloudDriver
from providers.digitalocean.verbs import Number, Which, deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which droplet."""

    droplet_id: Number


SHOWN = (
    "name",
    "created_at",
    "regions",
    "resource_id",
    "resource_type",
    "min_disk_size",
    "size_gigabytes",
    "tags",
)
OUTPUTS: Mapping[str, Any] = {
    "id": str,
    "name": str,
    "created_at": str,
    "regions": list[str],
    "resource_id": str,
    "resource_type": str,
    "min_disk_size": int,
    "size_gigabytes": float,
    "tags": list[str] | None,
}


class DropletSnapshot(CloudDriver):
    """Takes and deletes snapshots of droplets."""

    type = "digitalocean.droplet_snapshot"
    summary = "a snapshot of a droplet"
    collection, one, many = "snapshots", "snapshot", "snapshots"
    listing: ClassVar[Mapping[str, str]] = {"resource_type": "droplet"}
    relied_on = ("id", "name", "resource_id")
    known_by = ("name", "resource_id")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(Create, OUTPUTS, "take a snapshot; one that has its name already is adopted"),
        "delete": deleting("delete a snapshot; there is no way back"),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name the snapshot by its id, or before it has one by its droplet, which makes one at a time."""
        if isinstance(arguments, Which):
            return Resource(type=self.type, name=arguments.id, id=arguments.id)
        return Resource(type=self.type, name=f"droplet-{arguments.droplet_id}")

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of a snapshot."""
        return {name: thing.get(name) for name in SHOWN} | {
            "size_gigabytes": float(thing.get("size_gigabytes") or 0)
        }

    async def marked(self, call: Call) -> Thing | None:
        """Look for its name among those of its droplet."""
        return next((thing for thing in await self._of_droplet(call) if thing["name"] == name_of(call)), None)

    async def _of_droplet(self, call: Call) -> list[Thing]:
        droplet = str(call.arguments.droplet_id)
        pages = self.client.pages(path("snapshots"), self.many, reader=False, **self.listing)
        return [thing async for thing in pages if str(thing["resource_id"]) == droplet]

    async def plan_new(self, call: Call) -> Planned:
        """See that the droplet is there, and note what was done to it last."""
        droplet = call.arguments.droplet_id
        if await self.client.get(path("droplets", droplet)) is None:
            raise Ended(Failed("not_found", f"there is no droplet {droplet}"))
        newest = max([action["id"] for action in await self._actions(call)], default=0)
        after = Image(fields={"name": name_of(call), "resource_id": str(droplet)})
        before = Image(exists=False, fields={"newest_action": newest})
        return Planned(before=before, after=after, fields=self.known_by)

    async def make(self, call: Call) -> Outcome:
        """Post the action."""
        if call.restore is not None:
            return Failed("gone", "a snapshot that was deleted cannot be made again")
        where = path("droplets", call.arguments.droplet_id, "actions")
        action = await actions.post(self.client, where, {"type": "snapshot", "name": name_of(call)})
        return self.working(call, {"action": action}, f"action {action} takes snapshot {name_of(call)}")

    async def follow(self, call: Call) -> Outcome:
        """Follow the action to its end, then look for the snapshot."""
        action, ended = call.handle["action"], call.handle.get("ended")
        if ended is None:
            match await actions.status(self.client, action):
                case "in-progress":
                    return self.working(call, call.handle, f"action {action} takes snapshot {name_of(call)}")
                case "missing":
                    return actions.missing(self, call, action)
                case "errored":
                    return Failed(
                        "action_errored", f"action {action}: the service could not take the snapshot"
                    )
        thing = await self.look(call)
        if thing is not None:
            return self.done(call, thing)
        ended = ended or call.now
        if call.now >= ended + self.settle:
            return Unknown(
                "not_listed", f"action {action} has completed, but snapshot {name_of(call)} is not listed"
            )
        return self.working(
            call, {"action": action, "ended": ended}, f"snapshot {name_of(call)} is not listed yet"
        )

    async def tell(self, call: Call) -> Finding:
        """Look for it; where it is not listed, an action that began since the plan may be taking it."""
        finding = await super().tell(call)
        if not isinstance(finding, NotDone) or not goal(call).exists:
            return finding
        begun = await self._begun(call)
        if any(action["status"] == "in-progress" for action in begun):
            raise Ended(self.working(call, call.handle, "an action that takes a snapshot is under way"))
        if call.handle is not None and not begun:
            return Unclear(f"action {call.handle['action']} was begun, but the service does not show it")
        completed = [action for action in begun if action["status"] == "completed"]
        if not completed or await self._explained(call, completed):
            return finding
        ended = max(milliseconds(action.get("completed_at")) for action in completed)
        if young(call.now - ended, self.settle):
            raise Ended(self.working(call, call.handle, "its action has completed, it is not listed yet"))
        found = await super().tell(call)
        which = ", ".join(str(action["id"]) for action in completed)
        return (
            found
            if isinstance(found, Done)
            else Unclear(
                f"action {which} took a snapshot of droplet {call.arguments.droplet_id}, but {name_of(call)} is not listed"
            )
        )

    async def _begun(self, call: Call) -> list[Thing]:
        """Give the actions that took a snapshot of the droplet since the plan; of a known one that one alone."""
        found = await self._actions(call)
        if call.handle is not None:
            return [action for action in found if action["id"] == call.handle["action"]]
        newest = (call.before.fields if call.before is not None else {}).get("newest_action", 0)
        return [action for action in found if action["type"] == "snapshot" and action["id"] > newest]

    async def _actions(self, call: Call) -> list[Thing]:
        where = path("droplets", call.arguments.droplet_id, "actions")
        return [action async for action in self.client.pages(where, "actions")]

    async def _explained(self, call: Call, completed: list[Thing]) -> bool:
        """Tell whether snapshots of other names account for all of these actions."""
        if call.handle is not None:
            return False
        since = min(milliseconds(action.get("started_at")) for action in completed)
        made = [each for each in await self._of_droplet(call) if milliseconds(each["created_at"]) >= since]
        return len(made) >= len(completed)


def name_of(call: Call) -> str:
    """Give the snapshot's name; of a restore it is on record."""
    return f"sagad-snap-{call.arguments.droplet_id}-{call.name}"
