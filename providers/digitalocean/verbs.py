"""What the types declare alike: which one is meant, and what making, changing, deleting and acting on one comes to.

All of it can be looked for afterwards, within the service's window: what a driver declares here as ``SETTLE`` is what its
node's settings say once it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from providers.contract import Verb

SETTLE = 60_000

Outputs = Mapping[str, Any]
Number = Annotated[int, msgspec.Meta(gt=0)]
"""An id of the older kind."""


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one."""

    id: str


class WhichNumber(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one, by a number."""

    id: Number


def _verb(arguments: type[msgspec.Struct], outputs: Outputs, summary: str, more: dict[str, Any]) -> Verb:
    return Verb(
        arguments=arguments, outputs=dict(outputs), finds=True, settle=SETTLE, summary=summary, **more
    )


def making(arguments: type[msgspec.Struct], outputs: Outputs, summary: str, **more: Any) -> Verb:
    """Declare a ``create``: it has a mark by which it is looked for before any repeat, and is taken back by a delete."""
    return _verb(arguments, outputs, summary, {"inverse": "delete", "repeat": "name"} | more)


def changing(arguments: type[msgspec.Struct], outputs: Outputs, summary: str, **more: Any) -> Verb:
    """Declare an ``update`` by one PUT or PATCH, which may be sent again, and which the same takes back."""
    return _verb(arguments, outputs, summary, {"inverse": "update", "repeat": "idempotent"} | more)


def acting(arguments: type[msgspec.Struct], outputs: Outputs, summary: str, **more: Any) -> Verb:
    """Declare an action, which must not be begun twice, and which another action takes back."""
    return _verb(arguments, outputs, summary, {"inverse": "same", "repeat": "find"} | more)


def deleting(summary: str, arguments: type[msgspec.Struct] = Which, **more: Any) -> Verb:
    """Declare a ``delete``: one DELETE, 404 is done. Nothing takes it back, unless an ``inverse`` is named."""
    outputs = more.pop("outputs", {"id": str if arguments is Which else int})
    final = {} if "inverse" in more else {"irreversible": True}
    return _verb(arguments, outputs, summary, {"repeat": "idempotent"} | final | more)
