"""Actions: what the service does in its own time, after it has said that it will."""

from __future__ import annotations

from typing import Literal

from providers.contract import Call, Outcome, Unknown
from providers.digitalocean.client import Client, Thing, part, path
from providers.digitalocean.driver import CloudDriver

Status = Literal["in-progress", "completed", "errored", "missing"]


async def post(client: Client, where: str, body: Thing) -> int:
    """Post an action and give its id. Raises Ended."""
    action = part(await client.post(where, body), "action", f"POST {where}", "id")
    return int(action["id"])


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
