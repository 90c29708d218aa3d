"""Actions: what takes time. Its effect happens when it ends, and only if it ends well."""

from collections.abc import Callable
from typing import Any

from tests.fakes.digitalocean.catalogue import region
from tests.fakes.digitalocean.cloud import Cloud, Thing
from tests.fakes.digitalocean.wire import JSON, Answer, Asked, Routes, not_found, paged, unprocessable

ROUTES = Routes()


def start(
    cloud: Cloud,
    type: str,
    thing: Thing,
    effect: Callable[[], None],
    *,
    shown_type: str | None = None,
    resource_id: int | None = None,
    failed: Callable[[], None] | None = None,
) -> Thing:
    """Begin an action on a thing; one that still has another is refused, as the service does."""
    if busy(cloud, thing):
        raise unprocessable(f"{thing.kind.capitalize()} already has a pending event.")
    fields = {
        "id": cloud.number(),
        "status": "in-progress",
        "type": shown_type or type,
        "started_at": cloud.now(),
        "completed_at": None,
        "resource_id": resource_id,
        "resource_type": thing.kind,
        "region": region(_where(thing)),
        "region_slug": _where(thing),
        "_of": (thing.kind, thing.id),
    }
    action = cloud.add("action", str(fields["id"]), fields)
    cloud.later(cloud.lags.duration(type), lambda: _end(cloud, type, thing, action, effect, failed))
    return action


def busy(cloud: Cloud, thing: Thing) -> bool:
    """True while an action on the thing is in progress."""
    return any(
        action.fields["status"] == "in-progress" and action.fields["_of"] == (thing.kind, thing.id)
        for action in cloud.existing("action")
    )


def _where(thing: Thing) -> str:
    where = thing.fields["region"]
    return str(where["slug"] if isinstance(where, dict) else where)


def _end(
    cloud: Cloud,
    type: str,
    thing: Thing,
    action: Thing,
    effect: Callable[[], None],
    failed: Callable[[], None] | None,
) -> None:
    well = thing.exists and not _doomed(cloud, type, thing.id)
    action.fields.update(status="completed" if well else "errored", completed_at=cloud.now())
    if well:
        effect()
    elif failed is not None:
        failed()


def _doomed(cloud: Cloud, type: str, id: str) -> bool:
    for doom in cloud.doomed:
        if doom[0] == type and doom[1] in {None, id}:
            cloud.doomed.remove(doom)
            return True
    return False


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
