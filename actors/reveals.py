"""What goes on the record when something sensitive is shown: an event beside the state of any saga."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Revealed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An administrator was shown what is kept sealed. ``what`` names outputs, fields and contents, never a value."""

    type: ClassVar[str] = "secret.revealed"
    version: ClassVar[int] = 1
    what: tuple[str, ...]
    reason: str | None = None


BESIDE: dict[str, type[Revealed]] = {Revealed.type: Revealed}
"""Events that may name a saga and are none of its state: whoever folds passes over them."""
