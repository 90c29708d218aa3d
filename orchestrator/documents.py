"""The API's documents (SPEC §8), made from plan, state and rows. A contract that only grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from actors.clock import rfc3339
from actors.saga.dossier import IMAGE, INTENT, Header
from actors.saga.holds import Waiting, left_behind
from actors.saga.plan import Plan
from actors.saga.state import Error, State, StepState
from providers.contract import Image
from store.records import Execution

_ENCODER = msgspec.json.Encoder()


def _at(time: int | None) -> str | None:
    return None if time is None else rfc3339(time)


class StepDocument(msgspec.Struct, frozen=True):
    """One step of a saga."""

    index: int
    name: str
    do: str
    status: str
    attempts: int
    output: Any
    error: Any
    started_at: str | None
    finished_at: str | None


class SagaDocument(msgspec.Struct, frozen=True):
    """A saga."""

    id: str
    kind: str
    status: str
    hold: Any
    waiting: Any
    cancel: Any
    error: Any
    inputs: Any
    labels: Any
    steps: list[StepDocument]
    left_behind: list[Any]
    created_at: str
    updated_at: str
    finished_at: str | None
    submitted_by: str
    reason: str | None
    batch: str | None
    rollback_of: str | None
    rolled_back_by: str | None
    corrects: str | None
    corrected_by: str | None


class WithWarnings(SagaDocument, frozen=True):
    """The answer to a submission."""

    warnings: list[Any] = []


class VerbDocument(msgspec.Struct, frozen=True):
    """The answer to a verb."""

    did: str
    detail: str
    saga: SagaDocument


class ExecutionDocument(msgspec.Struct, frozen=True):
    """An execution."""

    id: str
    saga: str
    step: str
    nature: str
    generation: int
    operation: str
    arguments: Any
    before: Any
    after: Any
    status: str
    attempts: int
    error: Any
    compensates: str | None
    compensated_by: list[str]
    actor: str | None
    reason: str | None
    started_at: str
    finished_at: str | None


def saga(
    header: Header, plan: Plan, state: State, outputs: Mapping[int, Any], waiting: Waiting | None
) -> SagaDocument:
    """Give a saga's document."""
    hold, cancel = state.hold, state.cancel
    return SagaDocument(
        id=header.id,
        kind=header.kind,
        status=state.status,
        hold=None
        if hold is None
        else {"reason": hold.reason, "since": rfc3339(hold.since), "detail": hold.detail},
        waiting=None
        if waiting is None
        else {"for": waiting.for_, "until": _at(waiting.until), "detail": waiting.detail},
        cancel=None
        if cancel is None
        else {"by": cancel.by, "at": rfc3339(cancel.at), "reason": cancel.reason, "now": cancel.now},
        error=state.error,
        inputs=msgspec.Raw(header.inputs),
        labels=msgspec.Raw(header.labels),
        steps=_steps(plan, state, outputs),
        left_behind=left_behind(plan, state),
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
    )


def _steps(plan: Plan, state: State, outputs: Mapping[int, Any]) -> list[StepDocument]:
    return [
        StepDocument(
            index=step.index,
            name=step.name,
            do=step.operation,
            status=now.status,
            attempts=0 if now.forward is None else now.forward.attempt,
            output=now.given if now.given is not None else _output(now, outputs.get(step.index)),
            error=_error(now.error),
            started_at=_at(now.started_at),
            finished_at=_at(now.finished_at),
        )
        for step, now in zip(plan.steps, state.steps, strict=True)
    ]


def _output(step: StepState, output: Any) -> Any:
    """Outputs are shown once the outcome that brought them is durable."""
    return None if step.status in ("pending", "running") else output


def _error(error: Error | None) -> dict[str, str] | None:
    return None if error is None else {"code": error.code, "message": error.message}


def with_warnings(document: SagaDocument, warnings: Iterable[Any]) -> bytes:
    """Give the answer to a submission."""
    fields = {name: getattr(document, name) for name in SagaDocument.__struct_fields__}
    return _ENCODER.encode(WithWarnings(**fields, warnings=list(warnings)))


def execution(row: Execution, compensated_by: list[str]) -> ExecutionDocument:
    """Give an execution's document."""
    intent = INTENT.decode(row.plan)
    after = intent.after if row.after is None else IMAGE.decode(row.after)
    return ExecutionDocument(
        id=row.id,
        saga=row.saga,
        step=row.step_name,
        nature=row.nature,
        generation=row.generation,
        operation=row.operation,
        arguments=msgspec.Raw(row.arguments),
        before=_image(intent.before),
        after=_image(after),
        status=row.status,
        attempts=row.attempts,
        error=None if row.error is None else msgspec.Raw(row.error),
        compensates=row.compensates,
        compensated_by=compensated_by,
        actor=row.actor,
        reason=row.reason,
        started_at=rfc3339(row.started_at),
        finished_at=_at(row.finished_at),
    )


def _image(image: Image | None) -> dict[str, Any] | None:
    """An image without its contents: those are for whoever may have them revealed."""
    if image is None:
        return None
    blobs = {name: {"sha256": blob.sha256, "size": blob.size} for name, blob in image.blobs.items()}
    return {"exists": image.exists, **image.fields, **({"contents": blobs} if blobs else {})}


def encode(document: Any) -> bytes:
    """Give a document as JSON."""
    return _ENCODER.encode(document)
