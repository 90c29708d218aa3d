"""One decision in the making."""

from __future__ import annotations

from typing import Any

from actors.saga import events as e
from actors.saga.evolve import evolve, renamed
from actors.saga.plan import Plan
from actors.saga.state import Direction, Move, State, Touch


class Deciding:
    """The events of one decision so far, and the state after them."""

    __slots__ = ("events", "now", "plan", "state")

    def __init__(self, plan: Plan, state: State, now: int) -> None:
        """Start from a state."""
        self.plan = plan
        self.state = state
        self.now = now
        self.events: list[e.Event] = []

    def emit(self, event: e.Event) -> None:
        """Let something have happened."""
        self.events.append(event)
        self.state = evolve(self.state, event, self.now)

    def succeed(
        self, step: int, direction: Direction = "forward", moved: Move | None = None, **how: Any
    ) -> None:
        """Let an execution have succeeded. A step that has changed something and has a hook is not completed by it.

        ``moved``: by it a resource has another id. Under that one, too, it is the saga's.
        """
        if moved is not None:
            self._move(step, moved)
        run = self.state.steps[step].forward
        hook = direction == "forward" and self.plan.steps[step].hook is not None
        hook = hook and run is not None and run.changes
        self.emit(e.Succeeded(step=step, direction=direction, hook=hook, **how))

    def _move(self, step: int, move: Move) -> None:
        was = self.state.steps[step].resource
        name = was.name if was is not None and was.type == move.type else move.id
        resource = Touch(type=move.type, name=name, id=move.id)
        self.emit(e.Moved(step=step, resource=resource, to=move.to))
        now = renamed(resource, move.to)
        if now not in self.state.locks:
            self.emit(e.LockTaken(step=step, resource=now))

    def ask(
        self, hash: str, step: int | None = None, *, irreversible: bool = False, message: str = ""
    ) -> None:
        """Ask for an approval of exactly this: of the whole saga, or of a step, with its message."""
        expires = self.plan.rules(step).expires
        due = None if expires is None else self.now + expires
        self.emit(e.Asked(step=step, hash=hash, due=due, irreversible=irreversible, message=message))

    def ask_undo(self, hash: str, step: int) -> None:
        """Ask for an approval of exactly this undo. It does not expire: there is nowhere to turn to from the way back."""
        self.emit(e.Asked(step=step, hash=hash, direction="undo"))

    def name(self, step: int | None) -> str:
        """Name a step for people; nothing where none is meant."""
        return "" if step is None else self.plan.steps[step].name

    def names(self, steps: list[int]) -> str:
        """Name some steps for people."""
        return ", ".join(self.plan.steps[index].name for index in steps)
