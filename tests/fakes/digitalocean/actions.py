"""Actions: what takes time. Its effect happens when it ends, and only if it ends well."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import JSON, Answer, Asked, Routes, not_found, paged, unprocessable

ROUTES = Routes()


Effect = Callable[[], None]
"""What happens at an action's end."""


def start(
    cloud: Cloud,
    type: str,
    thing: Thing,
    effect: Effect,
    *,
    shown_type: str | None = None,
    resource_id: int | None = None,
    droplet: Thing | None = None,
    failed: Effect | None = None,
) -> Thing:
    """Begin an action on a thing; what it does to a volume or an address, it does to the ``droplet`` as well.

    The service lets only one action at a time be in progress on a droplet, and refuses the next with 422.
    """
    held = [thing] if droplet is None else [thing, droplet]
    for each in held:
        refuse_busy(cloud, each)
    fields = {
        "id": cloud.number(),
        "status": "in-progress",
        "type": shown_type or type,
        "started_at": cloud.now(),
        "completed_at": None,
        "resource_id": resource_id,
        "resource_type": thing.kind,
        "region": thing.fields["region"],
        "region_slug": thing.fields["region"]["slug"],
        "_of": (thing.kind, thing.id),
        "_holds": [(each.kind, each.id) for each in held],
    }
    action = cloud.add("action", str(fields["id"]), fields)
    cloud.later(cloud.lags.duration(type), partial(_end, cloud, type, thing, action, effect, failed))
    return action


def busy(cloud: Cloud, thing: Thing) -> bool:
    """True while an action on the thing is in progress."""
    return any(
        action.fields["status"] == "in-progress" and (thing.kind, thing.id) in action.fields["_holds"]
        for action in cloud.existing("action")
    )


def refuse_busy(cloud: Cloud, thing: Thing) -> None:
    """Refuse what cannot be done while an action on the thing is in progress."""
    if busy(cloud, thing):
        raise unprocessable(f"{thing.kind.capitalize()} already has a pending event.")


def _end(cloud: Cloud, type: str, thing: Thing, action: Thing, effect: Effect, failed: Effect | None) -> None:
    doom = cloud.doom(type, thing.id)
    well = thing.exists and doom is None
    said_well = well or (doom is not None and doom.quietly)
    action.fields.update(status="completed" if said_well else "errored", completed_at=cloud.now())
    if well:
        effect()
    elif failed is not None and thing.exists and not said_well:
        failed()


def show(action: Thing) -> JSON:
    """The action as an answer has it."""
    return {name: value for name, value in action.fields.items() if not name.startswith("_")}


def link(cloud: Cloud, action: Thing, rel: str) -> dict[str, Any]:
    """A link to the action, as the answer to a create has it."""
    return {"id": action.fields["id"], "rel": rel, "href": f"{cloud.base}/v2/actions/{action.id}"}


def of(cloud: Cloud, thing: Thing, id: str) -> Thing:
    """The action of that id, if it is one on the thing."""
    action = cloud.get("action", id)
    if action.fields["_of"] != (thing.kind, thing.id):
        raise not_found()
    return action


def page(cloud: Cloud, asked: Asked, thing: Thing | None = None) -> Answer:
    """The actions, newest first: all, or those on the thing."""
    chosen = [
        show(action)
        for action in reversed(cloud.listed("action"))
        if thing is None or action.fields["_of"] == (thing.kind, thing.id)
    ]
    return paged(asked, "actions", chosen, cloud.base)


@ROUTES.on("GET", "/v2/actions")
def every(cloud: Cloud, asked: Asked) -> Answer:
    """All of them."""
    return page(cloud, asked)


@ROUTES.on("GET", "/v2/actions/{action_id}")
def one(cloud: Cloud, asked: Asked) -> Answer:
    """The one that is polled."""
    return Answer(200, {"action": show(cloud.get("action", asked.ids["action_id"]))})
