"""Actions: what the service does in its own time, after it has said that it will."""

from __future__ import annotations

from typing import Literal

import msgspec

from providers.contract import Call, Ended, Failed, Image, Outcome, Partial, Unknown
from providers.digitalocean.calls import goal, makes
from providers.digitalocean.client import Client, Thing, part, path
from providers.digitalocean.driver import CloudDriver

Status = Literal["in-progress", "completed", "errored", "missing"]


async def post(client: Client, where: str, body: Thing) -> int:
    """Post an action and give its id. Raises Ended."""
    action = part(await begin(client, where, body), "action", f"POST {where}", "id")
    return int(action["id"])


async def begin(client: Client, where: str, body: Thing) -> Thing:
    """Post what begins an action. Raises Ended; where another one is still going on, a failure that is to be tried again.

    The service lets one action at a time be on a droplet, and refuses the next with a 422 like any other.
    """
    try:
        return await client.post(where, body)
    except Ended as ended:
        refused = ended.outcome
        if isinstance(refused, Failed) and "pending event" in refused.message:
            raise Ended(msgspec.structs.replace(refused, transient=True)) from ended
        raise


async def status(client: Client, id: int) -> Status:
    """Tell how an action goes on: "missing" where the service does not show it. Raises Ended where it does not say."""
    where = path("actions", id)
    answer = await client.get(where)
    if answer is None:
        return "missing"
    action = part(answer, "action", f"GET {where}", "status")
    found: Status = action["status"]
    return found


def missing(driver: CloudDriver, call: Call, action: int) -> Outcome:
    """Say of an action that was begun and is not shown: it may be too young for that; past ``settle`` nobody knows."""
    since = call.handle.get("missing", call.now)
    if call.now >= since + driver.settle:
        return Unknown("no_action", f"action {action} was begun, but the service does not show it")
    return driver.working(call, {**call.handle, "missing": since}, f"action {action} is not shown yet")


class ActingDriver(CloudDriver):
    """A driver for what is changed by actions. Its handles are ``{"id", "action"}``; ``action`` None is one not told."""

    def ready(self, thing: Thing) -> bool:
        """Tell whether it has been made, beyond being there."""
        return True

    async def unfinished(self, call: Call, live: Thing) -> Outcome | None:
        """Wait for one that is still being made."""
        if self.ready(live) or not makes(call):
            return None
        known = live[self.key]
        return self.working(call, {"id": known, "action": None}, f"{self.one} {known} is being made")

    async def follow(self, call: Call) -> Outcome:
        """Follow the action to its end, and then until what was done shows."""
        action, thing = call.handle["action"], call.handle["id"]
        state = "completed" if action is None else await status(self.client, action)
        if state == "missing":
            return await self.unseen(call, action)
        if state == "in-progress":
            return self.working(call, call.handle, f"action {action} is under way on {self.one} {thing}")
        live = await self.get(call, thing)
        return await self.as_wanted(call, live) if state == "completed" else self._errored(call, live)

    async def unseen(self, call: Call, action: int) -> Outcome:
        """Say of an action that it is not shown."""
        return missing(self, call, action)

    def _errored(self, call: Call, live: Thing | None) -> Outcome:
        """Say that it failed; what is there and was not before is left to be undone."""
        why = f"action {call.handle['action']}: the service could not do it"
        if live is None or (call.before is not None and call.before.exists):
            return Failed("action_errored", why)
        done = self.done(call, live)
        return Partial("action_errored", why, outputs=done.outputs, after=done.after)

    async def shows(self, call: Call, live: Thing) -> bool:
        """Tell whether it shows what was done."""
        return self.ready(live) and self.same(call.fields, goal(call), Image(fields=self.shown(live)))

    async def as_wanted(self, call: Call, live: Thing | None) -> Outcome:
        """Wait until it shows what was done; past ``settle`` nobody knows."""
        if live is not None and await self.shows(call, live):
            return self.done(call, live)
        since = call.handle.get("ended", call.now)
        if call.now >= since + self.settle:
            return Unknown("not_shown", f"{self.named(call)} does not show what was done to it")
        return self.working(call, {**call.handle, "ended": since}, "it does not show what was done to it yet")

    async def under_way(self, call: Call, live: Thing | None) -> str:
        """Tell whether it is being made, or an action is under way on it."""
        if live is None:
            return ""
        if not self.ready(live):
            return f"{self.one} {live[self.key]} is being made"
        pages = self.client.pages(self.where(live[self.key], "actions"), "actions")
        running = [each["id"] async for each in pages if each.get("status") == "in-progress"]
        return f"action {running[0]} is under way on {self.one} {live[self.key]}" if running else ""
