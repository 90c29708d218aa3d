"""What runs have reached: transitions, statuses, holds, waits, answers, codes, and cells of the verbs' table."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.holds import waits
from actors.saga.machine import Decision
from actors.saga.plan import Plan
from actors.saga.state import State
from actors.saga.verbs import column


class Reached:
    """Collects what happens in any number of runs."""

    def __init__(self) -> None:
        self.what: defaultdict[str, set[Any]] = defaultdict(set)

    def note(self, kind: str, value: Any) -> None:
        """Note one thing."""
        self.what[kind].add(value)

    def message(self, message: m.Message | None, plan: Plan, before: State, decision: Decision) -> None:
        """Note what a message met with, and what state it led to."""
        after = decision.state
        if isinstance(message, m.Verb) and decision.reply is not None and before.steps:
            name = type(message).__name__.lower()
            plain = before.quarantine is None and before.stuck is None and before.abandoned is None
            self.note("cell", (name, column(plan, before), decision.reply.did, plain))
        if isinstance(message, m.Answered):
            self.note("answer", message.kind)
        self.note("saga", after.status)
        for step in after.steps:
            self.note("step", step.status)
        for _, direction, run in after.seen.runs:
            self.note("phase", (direction, run.phase))
        if after.hold is not None:
            self.note("hold", after.hold.reason)
        waiting = waits(plan, after)
        if waiting is not None:
            self.note("wait", waiting.for_)
        if after.error is not None:
            self.note("code", after.error.code)

    def event(self, before: State, event: e.Event, after: State) -> None:
        """Note an event and what it changed."""
        self.note("event", e.type_of(event))
        if before.steps and before.status != after.status:
            self.note("saga move", (before.status, after.status))
        for was, is_ in zip(before.steps, after.steps, strict=False):
            if was.status != is_.status:
                self.note("step move", (was.status, is_.status))
