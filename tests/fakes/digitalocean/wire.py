"""What goes over the wire, and which function answers to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from tests.fakes.digitalocean.cloud import Cloud

JSON = dict[str, Any]


class Body(dict[str, Any]):
    """A request's JSON object: a field that the service needs and that is not there is refused."""

    def __missing__(self, name: str) -> Any:
        raise unprocessable(f"{name} is missing")


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Body
    """The JSON object; empty where there was none."""
    raw: bytes
    token: str | None
    content_type: str
    at: float
    """The fake's time when it came."""
    ids: dict[str, str] = field(default_factory=dict)
    """What stood in the path's variable places."""


@dataclass(frozen=True)
class Answer:
    """One answer. ``body`` None is none at all, as with 204."""

    status: int
    body: JSON | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """The service says no."""

    def __init__(self, status: int, id: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"id": id, "message": message})


def not_found() -> Refused:
    """The usual 404."""
    return Refused(404, "not_found", "The resource you requested could not be found.")


def unprocessable(message: str) -> Refused:
    """The usual 422."""
    return Refused(422, "unprocessable_entity", message)


def conflict(message: str) -> Refused:
    """The usual 409."""
    return Refused(409, "conflict", message)


Handler = Callable[["Cloud", Asked], Answer]
Route = tuple[str, re.Pattern[str], Handler]
DONE = Answer(204)


class Routes:
    """The routes of one family of resources."""

    def __init__(self) -> None:
        self.table: list[Route] = []

    def on(self, method: str, template: str) -> Callable[[Handler], Handler]:
        """The decorated function answers to the method at the template (``/v2/droplets/{droplet_id}``)."""

        def note(handler: Handler) -> Handler:
            self.table.append((method, pattern(template), handler))
            return handler

        return note


def pattern(template: str) -> re.Pattern[str]:
    """The paths that fit a template; each ``{name}`` is one segment."""
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template.replace(".", r"\.")))


PER_PAGE = 20
MOST_PER_PAGE = 200


def paged(asked: Asked, name: str, items: Sequence[JSON], base: str) -> Answer:
    """One page of a list, with ``links`` to its neighbours and the ``meta`` that tells how many there are."""
    per_page = _number(asked, "per_page", PER_PAGE, MOST_PER_PAGE)
    page = _number(asked, "page", 1, 1_000_000)
    last = max(1, -(-len(items) // per_page))
    links = {name: _link(asked, base, to) for name, to in _neighbours(page, last).items()}
    start = (page - 1) * per_page
    return Answer(
        200,
        {
            name: list(items[start : start + per_page]),
            "links": {"pages": links} if links else {},
            "meta": {"total": len(items)},
        },
    )


def _number(asked: Asked, name: str, otherwise: int, most: int) -> int:
    text = asked.query.get(name, str(otherwise))
    if not text.isdecimal() or int(text) < 1:
        raise unprocessable(f"{name} must be a positive number")
    return min(int(text), most)


def _neighbours(page: int, last: int) -> dict[str, int]:
    before = {"first": 1, "prev": page - 1} if page > 1 else {}
    after = {"next": page + 1, "last": last} if page < last else {}
    return before | after


def _link(asked: Asked, base: str, page: int) -> str:
    return f"{base}{asked.path}?{urlencode(asked.query | {'page': page})}"
