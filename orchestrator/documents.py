"""The API's documents (`orchestrator.answers`), made from plan, state and rows."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from actors.clock import rfc3339
from actors.saga.actions import outcomes
from actors.saga.dossier import IMAGE, INTENT, Header
from actors.saga.holds import Waiting, left_behind
from actors.saga.plan import Plan
from actors.saga.state import Error, State, StepState
from orchestrator import answers
from orchestrator.files.problems import Problem
from providers.contract import Image
from store.audit import Report
from store.queries import Count
from store.records import Execution, Resource

if TYPE_CHECKING:
    from actors.services import Shown

_ENCODER = msgspec.json.Encoder()


def encode(document: Any) -> bytes:
    """Give a document as JSON."""
    return _ENCODER.encode(document)


def _spliced(json: bytes) -> Any:
    """Put JSON into a document without decoding it: whoever kept it knows that it is of the type that belongs there."""
    return msgspec.Raw(json)


def _at(time: int | None) -> str | None:
    return None if time is None else rfc3339(time)


def saga(
    header: Header,
    plan: Plan,
    state: State,
    outputs: Mapping[int, Any],
    waiting: Waiting | None,
    locks: answers.Locks,
) -> answers.Saga:
    """Give a saga's document."""
    hold, cancel = state.hold, state.cancel
    behind = "".join(f"; {each.why}" for each in locks.awaits)
    return answers.Saga(
        id=header.id,
        kind=header.kind,
        status=state.status,
        hold=None
        if hold is None
        else answers.Hold(reason=hold.reason, since=rfc3339(hold.since), detail=hold.detail + behind),
        waiting=None
        if waiting is None
        else answers.Waiting(for_=waiting.for_, until=_at(waiting.until), detail=waiting.detail),
        cancel=None
        if cancel is None
        else answers.Cancel(by=cancel.by, at=rfc3339(cancel.at), reason=cancel.reason, now=cancel.now),
        error=state.error,
        inputs=_spliced(header.inputs),
        labels=_spliced(header.labels),
        steps=_steps(plan, state, outputs),
        left_behind=left_behind(plan, state),
        locks=locks,
        created_at=rfc3339(header.created_at),
        updated_at=rfc3339(state.updated_at),
        finished_at=_at(state.finished_at),
        submitted_by=header.submitted_by,
        reason=header.reason,
        batch=header.batch,
        rollback_of=header.rollback_of,
        rolled_back_by=header.rolled_back_by,
        corrects=header.corrects,
        corrected_by=header.corrected_by,
        outcomes=msgspec.UNSET if plan.stack is None else outcomes(plan, state),
    )


def _steps(plan: Plan, state: State, outputs: Mapping[int, Any]) -> list[answers.Step]:
    return [
        answers.Step(
            index=step.index,
            name=step.name,
            do=step.operation,
            status=now.status,
            attempts=0 if now.forward is None else now.forward.attempt,
            output=_output(now, outputs.get(step.index)),
            error=_error(_trouble(now)),
            started_at=_at(now.started_at),
            finished_at=_at(now.finished_at),
        )
        for step, now in zip(plan.steps, state.steps, strict=True)
    ]


def _output(step: StepState, output: Any) -> Any:
    """Outputs are shown once the outcome that brought them is durable; or those given for a step that was skipped."""
    if step.given is not None:
        return step.given or None
    return output if step.did or step.status not in ("pending", "running") else None


def _trouble(step: StepState) -> Error | None:
    """Tell why the step, its hook or its undo is unknown or in conflict; else why it failed."""
    for run in (step.undo, step.hook, step.forward):
        if run is not None and run.phase in ("unknown", "conflict"):
            return run.error
    return step.error


def _error(error: Error | None) -> answers.StepError | None:
    return None if error is None else answers.StepError(code=error.code, message=error.message)


def submitted(document: answers.Saga, warnings: Iterable[Problem]) -> answers.Submitted:
    """Give the answer to a submission."""
    return answers.Submitted(**msgspec.structs.asdict(document), warnings=list(warnings))


def execution(row: Execution, compensated_by: list[str]) -> answers.Execution:
    """Give an execution's document."""
    intent = INTENT.decode(row.plan)
    after = intent.after if row.after is None else IMAGE.decode(row.after)
    return answers.Execution(
        id=row.id,
        saga=row.saga,
        step=row.step_name,
        direction=row.direction,
        nature=row.nature,
        generation=row.generation,
        operation=row.operation,
        arguments=_spliced(row.arguments),
        before=_image(intent.before),
        after=_image(after),
        status=row.status,
        attempts=row.attempts,
        # The row of what succeeded after all keeps what went wrong before; that is in the events.
        error=None if row.error is None or row.status == "completed" else _spliced(row.error),
        compensates=row.compensates,
        compensated_by=compensated_by,
        actor=row.actor,
        reason=row.reason,
        started_at=rfc3339(row.started_at),
        finished_at=_at(row.finished_at),
    )


def reach(service: Shown) -> answers.Reach:
    """Give the document of a service that drivers ask."""
    return answers.Reach(
        name=service.name,
        circuit=service.position,
        failures=service.failures,
        error=service.error,
        since=_at(service.since),
        until=_at(service.until),
    )


def resource(row: Resource) -> answers.Resource:
    """Give a resource's document."""
    return answers.Resource(
        type=row.type,
        name=row.name,
        id=row.id,
        spec=_spliced(row.spec),
        spec_version=row.spec_version,
        outputs=_spliced(row.outputs),
        saga=row.saga,
        live=None,
        seen_at=None,
        seen_error=None,
        created_at=rfc3339(row.created_at),
        updated_at=rfc3339(row.updated_at),
    )


def cursor(last: tuple[str, ...] | None) -> str | None:
    """Give what a page's reader comes back with: where it ended."""
    return None if last is None else urlsafe_b64encode(encode(last)).decode().rstrip("=")


def _image(image: Image | None) -> answers.Json | None:
    """An image without its contents: those are for whoever may have them revealed."""
    if image is None:
        return None
    blobs = {name: {"sha256": blob.sha256, "size": blob.size} for name, blob in image.blobs.items()}
    return {"exists": image.exists, **image.fields, **({"contents": blobs} if blobs else {})}


def count(row: Count) -> answers.Count:
    """Give a count of sagas; the schema holds the words of its columns to those of the answer."""
    return msgspec.convert(row._asdict(), answers.Count)


def verified(report: Report) -> answers.Verified:
    """Give what a walk along the record found."""
    return answers.Verified(
        ok=report.problem is None,
        events=report.events,
        pruned=report.pruned,
        head=answers.Head(seq=report.seq, hash=report.head),
        bad=report.bad,
        problem=report.problem,
    )
