"""What several routes read off a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from aiohttp.web import BaseRequest

from orchestrator.access import require
from orchestrator.api.answer import Answer
from orchestrator.api.route import Ask
from orchestrator.api.words import Wait
from orchestrator.problems import Invalid, Item

if TYPE_CHECKING:
    from orchestrator.revealing import Revealing
    from orchestrator.submitting import Submitted

MOST_PER_PAGE = 1_000
LONGEST_KEY = 255

After = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST_PER_PAGE)]


class SubmitQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long to wait until it has ended, or a hold needs a person."""

    wait: Wait | None = None


class RevealQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether what is kept sealed is shown as well (admin, and it goes on the record), and why."""

    reveal: bool = False
    reason: str | None = None


def idempotency_key(request: BaseRequest) -> str | None:
    """Give the key under which a submission is made once. Raises Invalid."""
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        return None
    key = given[0]
    if len(given) == 1 and key and len(key) <= LONGEST_KEY and key.isascii() and key.isprintable():
        return key
    what = f"must be one key of 1 to {LONGEST_KEY} printable ASCII characters"
    raise Invalid("the idempotency key cannot be used", [Item("Idempotency-Key", what)])


def accepted(submitted: Submitted, folder: str) -> Answer:
    """Answer a submission: 201 and where it is, in that folder; 200 where the same key has made it before."""
    location = {"Location": f"{folder}/{submitted.id}"} if submitted.id else {}
    return Answer(submitted.body, 201 if submitted.created else 200, headers=location)


def reveals(ask: Ask) -> Revealing | None:
    """Give who shows what is sealed, where that is asked for. Raises NotAllowed: only an admin may."""
    if not ask.query.reveal:
        return None
    require(ask.caller, "admin", ask.service.settings.access)
    return ask.service.revealing
