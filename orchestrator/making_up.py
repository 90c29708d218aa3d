"""What is done about a saga that has ended by another saga: rollback takes it back, correct makes up for it."""

from __future__ import annotations

import msgspec

from actors.rolling_back import CannotRollBack, Outlook, Request, RollingBack
from actors.saga.host import Host
from actors.saga.plan import Plan
from actors.saga.rollback import Asks
from actors.saga.state import ENDED, State
from config.settings import Policy
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.files.policy import agreed
from orchestrator.problems import Conflict
from orchestrator.reading import Reading
from orchestrator.requests import Submission, VerbBody
from orchestrator.submitting import Submitting, check_open

_REPAIRS = ("retry", "skip", "resolve")


class MakingUp:
    """Starts sagas about other sagas."""

    def __init__(
        self, host: Host, reading: Reading, rolling_back: RollingBack, submitting: Submitting
    ) -> None:
        """Start them by these."""
        self._host = host
        self._reading = reading
        self._rolling_back = rolling_back
        self._submitting = submitting

    async def rollback(
        self, caller: Caller, saga: str, state: State, to_step: int | None, body: VerbBody
    ) -> bytes:
        """Take back a saga that has ended, by a saga of its own; or say what that would do. Raises Conflict, Unavailable."""
        if state.status not in ENDED:
            what = "--preview" if body.preview else "--to-step"
            why = f"cannot rollback: {what} is for a saga that has ended, and it is {state.status}"
            raise Conflict(f"{why}; `cancel` takes back what it has done so far")
        if state.status == "rolled_back":
            preview: list[answers.Preview] | msgspec.UnsetType = [] if body.preview else msgspec.UNSET
            return await self._answer("nothing", "it is rolled back", saga, preview)
        request = Request(
            saga=saga,
            by=caller.name,
            reason=body.reason,
            to_step=to_step,
            past_irreversible=body.past_irreversible,
        )
        try:
            if body.preview:
                detail, outlook = await self._rolling_back.preview(request)
                return await self._answer("nothing", detail, saga, await self._preview(saga, outlook))
            check_open(self._host)
            begun = await self._rolling_back.start(request)
        except CannotRollBack as refused:
            raise Conflict(str(refused)) from refused
        if begun.saga is None:
            return await self._answer("nothing", begun.detail, saga)
        return await self._answer("accepted", begun.detail, begun.saga[0].header.id)

    async def _preview(self, saga: str, outlook: list[Outlook]) -> list[answers.Preview]:
        _, plan, state, _ = await self._reading.look(saga)
        return [shown(plan, state, each) for each in outlook]

    async def correct(self, caller: Caller, saga: str, state: State, body: VerbBody) -> bytes:
        """Start a saga that makes up for one that has ended. Raises Conflict, Invalid, Unavailable."""
        if state.status not in ENDED:
            raise Conflict(
                f"cannot correct: it is {state.status}; `cancel` takes back what it has done so far"
            )
        submission = Submission(
            saga=body.saga,
            source=body.source,
            format=body.format,
            inputs=body.inputs or {},
            inputs_as_text=body.inputs_as_text,
            reason=body.reason,
        )
        submitted = await self._submitting.correct(caller, submission, saga)
        return await self._answer("accepted", f"it makes up for saga {saga}", submitted.id)

    def check_alone(self, saga: str, verb: str) -> None:
        """Raise Conflict where another saga is taking back what this verb would have this one take back."""
        if verb in _REPAIRS:
            try:
                self._rolling_back.check_alone(saga)
            except CannotRollBack as busy:
                raise Conflict(f"cannot {verb}: {busy}") from busy

    async def _answer(
        self,
        did: str,
        detail: str,
        saga: str,
        preview: list[answers.Preview] | msgspec.UnsetType = msgspec.UNSET,
    ) -> bytes:
        document = await self._reading.document(saga)
        answer = answers.VerbAnswer(did=did, detail=detail, saga=document, preview=preview)  # type: ignore[arg-type]
        return documents.encode(answer)


def shown(plan: Plan, state: State, outlook: Outlook) -> answers.Preview:
    """Put what a rollback would make of a step into the API's form."""
    resource = state.steps[outlook.fate.step].resource
    return answers.Preview(
        step=plan.steps[outlook.fate.step].name,
        do=outlook.operation,
        nature=outlook.nature,
        resource=None if resource is None else resource.label,
        will=outlook.will,
        why=outlook.why or None,
        changed_by=list(outlook.changed_by),
    )


def asks_of(policy: Policy, plan: Plan) -> Asks:
    """Give what the node asks for before a rollback of such a plan: as of any saga, and where undos of a type are held."""
    types = [step.type for step in plan.steps]
    approvals, asks = agreed({}, policy, types)
    held = (policy.types.get(type_) for type_ in types)
    each = (
        step.index
        for step, ask, rule in zip(plan.steps, asks, held, strict=True)
        if ask == "each" or (rule is not None and rule.undo == "hold")
    )
    return Asks(start=approvals.start, each=frozenset(each))
