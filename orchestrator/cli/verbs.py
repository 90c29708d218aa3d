"""The verbs that steer a saga. Each returns when its effect is true; what cannot be done says what can (exit 7)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.cli.client import saga_route
from orchestrator.cli.failures import DONE, Failure, Misused
from orchestrator.cli.options import Command, assignments, command, reason_option, saga_argument
from orchestrator.cli.sagas import saga_of
from orchestrator.cli.session import Session, on_terminal
from orchestrator.cli.waiting import WaitingCommand, wait_for, wait_option, wait_seconds

F = TypeVar("F", bound=Callable[..., Any])

VERB_SECONDS = 600.0  # a verb answers when its effect is true, and an undo or a lock may be in its way
_output_option = click.option(
    "--output", "output", metavar="k=v", multiple=True, help="An output for later steps; may be repeated."
)


def verb(*, cls: type[click.Command] = Command) -> Callable[[F], click.Command]:
    """Declare a verb: on a saga, with a reason for the record, and --yes for those that ask."""

    def declare(function: F) -> click.Command:
        yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
        return command(cls=cls)(saga_argument(reason_option(yes(click.pass_obj(function)))))

    return declare


@verb()
@click.option("--now", is_flag=True, help="Interrupt the running step; its outcome is then found out.")
def cancel(session: Session, id: str, *, now: bool, yes: bool, reason: str | None) -> int:  # noqa: ARG001
    """Stop a saga and take back what it has done.

    Waits for the running step, whose result counts, before the way back begins.
    """
    return steer(session, id, "cancel", reason=reason, now=now)


@verb()
def pause(session: Session, id: str, *, yes: bool, reason: str | None) -> int:  # noqa: ARG001
    """Stop before the next step or undo."""
    return steer(session, id, "pause", reason=reason)


@verb()
def resume(session: Session, id: str, *, yes: bool, reason: str | None) -> int:  # noqa: ARG001
    """Go on after a pause or a quarantine."""
    return steer(session, id, "resume", reason=reason)


@verb()
@click.argument("step", metavar="[STEP]", required=False)
def approve(session: Session, id: str, step: str | None, *, yes: bool, reason: str | None) -> int:  # noqa: ARG001
    """Let a saga go on that waits for approval.

    Of exactly what `sagactl why` names: where the file or a step's arguments have changed, it is asked again. Without
    STEP: whatever the saga asks for.
    """
    return steer(session, id, "approve", step=step, reason=reason)


@verb()
@click.argument("step", metavar="[STEP]", required=False)
def reject(session: Session, id: str, step: str | None, *, yes: bool, reason: str | None) -> int:  # noqa: ARG001
    """Refuse what a saga asks for.

    It turns back. Where an undo asks, its step is left as it is (`kept`), and the way back goes on.
    """
    return steer(session, id, "reject", step=step, reason=reason)


@verb()
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--force", is_flag=True, help="Overwrite what somebody else has changed since.")
def retry(session: Session, id: str, step: str | None, *, force: bool, yes: bool, reason: str | None) -> int:
    """Start a failed step or undo anew.

    Without STEP: whatever the saga stands at.
    """
    if force:
        ask(f"Overwrite what others have changed since {step or 'the step'} ran?", yes=yes)
    return steer(session, id, "retry", step=step, reason=reason, force=force)


@verb()
@click.argument("step", metavar="STEP")
@_output_option
def skip(
    session: Session,
    id: str,
    step: str,
    *,
    output: tuple[str, ...],
    yes: bool,  # noqa: ARG001
    reason: str | None,
) -> int:
    """Go on without a step or an undo.

    What later steps refer to has to be given with --output.
    """
    given = assignments(output, "--output")
    return steer(session, id, "skip", step=step, reason=reason, output=given)


@verb()
@click.argument("step", metavar="STEP")
@click.option(
    "--as", "as_", type=click.Choice(["done", "failed", "retry"]), required=True, help="What became of it."
)
@_output_option
def resolve(
    session: Session,
    id: str,
    step: str,
    *,
    as_: str,
    output: tuple[str, ...],
    yes: bool,  # noqa: ARG001
    reason: str | None,
) -> int:
    """Say what became of a step whose outcome is unknown.

    Look first: `done` goes on from it, `failed` is for nothing has changed, `retry` runs it again with the same key.
    """
    given = assignments(output, "--output")
    return steer(session, id, "resolve", step=step, reason=reason, output=given, **{"as": as_})


@verb(cls=WaitingCommand)
@click.option("--preview", is_flag=True, help="Only tell, step by step, what would be done.")
@click.option("--to-step", metavar="NAME", help="Keep this step and what it needs.")
@click.option("--past-irreversible", is_flag=True, help="Go past a point of no return, which stays as it is.")
@wait_option
def rollback(session: Session, id: str, *, wait: str | None, yes: bool, **given: Any) -> int:
    """Take back a saga that has ended.

    Runs as a saga of its own, whose id is printed. It holds where an undo fails, or where somebody else has changed since
    what it is to put back: see --preview, and `sagactl why`.
    """
    seconds = wait_seconds(wait)
    of = id
    if not given["preview"]:
        of = asked_of(session, id, "Take back what saga {} has done?", yes=yes)
    answer = post(session, of, "rollback", given)
    document = answer.document()
    if "preview" in document and not (session.json or session.quiet):
        _print_preview(session, document)
        return DONE
    nothing = given["preview"] or document.get("did") == "nothing"
    report(session, answer, "rollback", prints_json=wait is None or nothing)
    if wait is None or nothing:
        return DONE
    return wait_for(session, saga_of(document), seconds)


_HEADS = ("STEP", "WILL", "DO", "NATURE", "RESOURCE", "CHANGED BY", "WHY")


def _print_preview(session: Session, document: dict[str, Any]) -> None:
    from orchestrator.cli.draw import print_table
    from orchestrator.cli.executions import without_empty

    heads, rows = without_empty(_HEADS, [preview_row(step) for step in document["preview"]], "WILL")
    print_table(session, heads, rows, styled=heads.index("WILL"))
    sys.stdout.flush()
    session.note(f"{document.get('detail')}; nothing was touched")


def preview_row(step: dict[str, Any]) -> list[str]:
    """Give what would become of a step: STEP, WILL, DO, NATURE, RESOURCE, CHANGED BY, WHY."""
    named = [step.get(name) for name in ("step", "will", "do", "nature", "resource")]
    return [str(cell or "") for cell in (*named, ", ".join(step.get("changed_by") or ()), step.get("why"))]


@verb()
def abandon(session: Session, id: str, *, yes: bool, reason: str | None) -> int:
    """Give a saga up as it is: nothing more is done or undone.

    What it has done stays, and is listed as left behind. For admins, with a reason.
    """
    if not reason:
        raise Misused("abandon needs a reason, which goes on the record: --reason TEXT")
    of = asked_of(session, id, "Give saga {} up, and leave everything as it is?", yes=yes, needed=True)
    return steer(session, of, "abandon", reason=reason)


def steer(session: Session, id: str, name: str, **given: Any) -> int:
    """Send a verb and print what it did."""
    report(session, post(session, id, name, given), name)
    return DONE


def post(session: Session, id: str, name: str, given: dict[str, Any]) -> Any:
    """Send a verb with what was given for it."""
    request = {key: value for key, value in given.items() if value not in (None, False, {})}
    return session.client.post(saga_route(id, name), request, timeout=VERB_SECONDS)


def report(session: Session, answer: Any, name: str, *, prints_json: bool = True) -> None:
    """Print what a verb has done: `{did, detail, saga}`."""
    document = answer.document()
    saga_id = str(saga_of(document).get("id") or "")
    if session.json:
        if prints_json:
            session.document(answer)
    elif session.quiet:
        session.say(saga_id)
    else:
        session.say(f"{saga_id}  {name}  {did_text(document)}")
    sys.stdout.flush()


def did_text(document: dict[str, Any]) -> str:
    """Say in words what a verb has done, and what of."""
    did = {"nothing": "nothing to do"}.get(str(document.get("did")), str(document.get("did") or "done"))
    return did + (f": {document['detail']}" if document.get("detail") else "")


def asked_of(session: Session, id: str, question: str, *, yes: bool, needed: bool = False) -> str:
    """Ask about a saga, and give the id of the one that was named: `last` may be another by then."""
    if yes or not on_terminal():
        ask(question, yes=yes, needed=needed)
        return id
    saga = session.client.get(saga_route(id)).document()
    ask(question.format(f"{saga['id']} ({saga['kind']}, {saga['status']})"), yes=False)
    return str(saga["id"])


def ask(question: str, *, yes: bool, needed: bool = False) -> None:
    """Ask on a terminal; elsewhere go on, or refuse where --yes is ``needed``."""
    if yes:
        return
    if on_terminal():
        if not click.confirm(question, default=False, err=True):
            raise Failure("nothing was done")
    elif needed:
        raise Misused("this asks on a terminal; elsewhere it needs --yes")
