"""A saga that has ended, as a user sees it: its document, its executions, its events, and what was submitted."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.simulation.laws import Told

_REPAIRS = ("undo.succeeded", "undo.failed", "step.kept")


class Seen(NamedTuple):
    """What a user sees of one saga that has ended."""

    document: dict[str, Any]
    executions: list[dict[str, Any]]
    events: list[Told]
    file: dict[str, Any] | None
    """What was submitted; None: it takes another saga back, or is a batch."""

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.document["id"])

    @property
    def reopened(self) -> bool:
        """Somebody has repaired it after its end, or had it end before its time."""
        words = ("saga.reopened", "saga.abandon_requested")
        return any(
            each.type in words or (each.actor != "sagad" and each.type in _REPAIRS) for each in self.events
        )

    def left(self, place: str) -> bool:
        """Tell whether it says that something of this place is left behind."""
        steps = {each["step"] for each in self.document["left_behind"]}
        return any(
            step["name"] in steps and place_of(step) == place for step in (self.file or {}).get("steps", ())
        )

    def gentle(self, place: str) -> bool:
        """Tell whether all that it did there has a way back that puts back what was there."""
        steps = [step for step in (self.file or {}).get("steps", ()) if place_of(step) == place]
        return bool(steps) and not any(
            "undo" in step or step.get("irreversible") or step["do"].endswith(".burn") for step in steps
        )


def place_of(step: dict[str, Any]) -> str | None:
    """Give the place that a step of a file is about."""
    place: str | None = step.get("with", {}).get("path")
    return place
