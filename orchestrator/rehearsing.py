"""Rehearsing: what a saga would leave behind, tried out without the store, the world or the network.

The drivers are asked on the loop about what they declare, as at a submission. The cases themselves are computing and
nothing else: they run on a thread, for one caller at a time, and for long sagas only some steps' cases are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import takewhile
from threading import Event
from typing import Any

from anyio import to_thread

from actors.saga.plan import Plan
from actors.saga.rehearsal import Case, Preparing, rehearse
from actors.saga.simulated import Simulated
from actors.saga.state import Direction
from orchestrator import answers, documents
from orchestrator.files.compile import Compiled
from orchestrator.requests import Submission
from orchestrator.submitting import Submitting
from providers.registry import Registry

WORK = 2_000_000
"""A step's cases cost as much as the square of the saga's length: together not more than some seconds."""
FEWEST = 10
"""Of so many steps the cases are tried, however long the saga is."""

_WHAT: dict[answers.Fault, str] = {
    "none": "nothing goes wrong",
    "cancelled": "it is cancelled in its last step",
    "fails": "step {} fails",
    "lost_done": "step {} is done, and its answer is lost",
    "lost_not_done": "step {} is not done, and its answer is lost",
    "undo_fails": "the undo of step {} fails for good",
    "undo_lost_done": "the undo of step {} is done, and its answer is lost",
    "undo_lost_not_done": "the undo of step {} is not done, and its answer is lost",
    "hook_fails": "the hook of step {} fails",
    "hook_lost_done": "the hook of step {} is done, and its answer is lost",
    "hook_lost_not_done": "the hook of step {} is not done, and its answer is lost",
}
_OF: dict[tuple[Direction, str], answers.Fault] = {
    ("undo", "fails"): "undo_fails",
    ("undo", "lost_done"): "undo_lost_done",
    ("undo", "lost_not_done"): "undo_lost_not_done",
    ("hook", "fails"): "hook_fails",
    ("hook", "lost_done"): "hook_lost_done",
    ("hook", "lost_not_done"): "hook_lost_not_done",
}


class Rehearsing:
    """Rehearses sagas."""

    def __init__(self, registry: Registry, submitting: Submitting) -> None:
        """Check sagas as at their submission; simulate these drivers."""
        self._registry = registry
        self._submitting = submitting
        self._busy = asyncio.Lock()

    async def rehearse(self, submission: Submission) -> bytes:
        """Say what each failure would leave behind. Raises Invalid as ``submit`` does; secrets need not be there."""
        compiled, inputs = self._submitting.checked(submission, secrets=False)
        return await self.rehearse_compiled(compiled, inputs)

    async def rehearse_compiled(self, compiled: Compiled, inputs: dict[str, Any]) -> bytes:
        """Say what each failure of what was compiled would leave behind."""
        plan = compiled.plan
        assert plan is not None
        simulated = Simulated(self._registry, plan, inputs)
        chosen = evenly(len(plan.steps))
        async with self._busy:
            cases = await self._computed(plan, simulated.prepare, chosen)
        rehearsed = answers.Rehearsed(
            kind=plan.kind,
            steps=len(plan.steps),
            rehearsed=len(chosen),
            clean=is_clean(cases),
            cases=cases,
            warnings=list(compiled.warnings),
            notes=list(_notes(plan, len(chosen))),
        )
        return documents.encode(rehearsed)

    async def _computed(self, plan: Plan, prepare: Preparing, chosen: list[int]) -> list[answers.Case]:
        """Compute on a thread; where nobody waits any longer, as when the daemon stops, it ends at its next case."""
        unwanted = Event()
        try:
            return await to_thread.run_sync(cases_of, rehearse(plan, prepare, chosen), unwanted)
        finally:
            unwanted.set()


def evenly(steps: int) -> list[int]:
    """Choose the steps whose cases are tried: all, or as many as the work allows, the first and the last with them."""
    most = max(FEWEST, WORK // max(steps, 1) ** 2)
    if steps <= most:
        return list(range(steps))
    return [index * (steps - 1) // (most - 1) for index in range(most)]


def is_clean(cases: Iterable[answers.Case]) -> bool:
    """Tell whether nothing would be left behind and nobody asked, but for undos that fail for good."""
    return all(case.clean for case in cases if case.fault != "undo_fails")


def cases_of(rehearsed: Iterable[Case], unwanted: Event) -> list[answers.Case]:
    """Compute the cases, until nobody wants them."""
    return [_case(each) for each in takewhile(lambda _: not unwanted.is_set(), rehearsed)]


def _case(case: Case) -> answers.Case:
    fault: answers.Fault = _OF.get((case.direction, case.fault), case.fault)
    hold = case.ending.hold
    return answers.Case(
        step=case.step,
        fault=fault,
        what=_WHAT[fault].format(case.step),
        status=case.ending.status,
        hold=None if hold is None else answers.CaseHold(reason=hold.reason, detail=hold.detail),
        left_behind=list(case.ending.left_behind),
        clean=case.ending.clean,
    )


def _notes(plan: Plan, chosen: int) -> Iterable[str]:
    if chosen < len(plan.steps):
        yield f"{chosen} of {len(plan.steps)} steps were made to go wrong, evenly chosen"
    if plan.approvals.start or any(step.asks != "never" or step.asks_undo for step in plan.steps):
        yield "approvals were taken as given"
    if plan.deadline is not None:
        yield "calls took no time, so the deadline never passed"
