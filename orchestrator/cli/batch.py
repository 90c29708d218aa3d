"""``batch``: many sagas that are run together, and steered as one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from orchestrator.cli.batch_page import batch_headline, counts_text, page
from orchestrator.cli.client import Answer, batch_route, saga_route
from orchestrator.cli.draw import print_lines, print_table
from orchestrator.cli.failures import DONE, findings
from orchestrator.cli.listing import pages, print_pages
from orchestrator.cli.options import Group, batch_argument, reason_option
from orchestrator.cli.sagas import saga_of, state
from orchestrator.cli.session import Session
from orchestrator.cli.submit import file_option, key_header, label_option, request_of
from orchestrator.cli.text import age, brief, speaks_unicode
from orchestrator.cli.verbs import VERB_SECONDS, ask, did_text, preview_row
from orchestrator.cli.waiting import WaitingCommand, wait_for, wait_option, wait_seconds

F = TypeVar("F", bound=Callable[..., Any])

_HEADS = ("ID", "NAME", "STATUS", "SAGAS", "AGE", "REASON")
_PREVIEW = ("SAGA", "KIND", "STEP", "WILL", "DO", "NATURE", "RESOURCE", "CHANGED BY", "WHY")
_REPEATED = 200  # the daemon has had this request before; 201 is for a new batch


@click.group(cls=Group)
def batch() -> None:
    """Run many sagas together; see them, and take them back, as one.

    A batch is a saga whose steps are sagas: `watch`, `why`, `events`, `pause`, `resume` and the other verbs take its id
    too.
    """


# --- in -------------------------------------------------------------------------------------------------------------


@batch.command(cls=WaitingCommand, examples="sagactl batch submit nightly.yaml --wait 1h")
@click.argument("file", metavar="FILE")
@label_option
@reason_option
@click.option(
    "--idempotency-key", "key", metavar="K", help="The same key again gives the same batch, not another."
)
@file_option
@wait_option
@click.pass_obj
def submit(session: Session, /, wait: str | None, key: str | None, **given: Any) -> int:
    """Start a batch from a file.

    FILE is a batch file in YAML, TOML or JSON; `-` reads it from stdin. The saga files that it names are read from its
    own folder, and sent along. The new batch's id is printed first. Exits as it ended, as `sagactl submit` does.
    """
    from orchestrator.cli.batch_file import read_batch

    seconds = wait_seconds(wait)
    source, files = read_batch(given.pop("file"), given.pop("format"))
    request = request_of(source, **given) | {"files": files}
    answer = session.client.post("/v1/batches", request, key_header(key), file=source.name)
    _tell(session, answer, source.name, waits=wait is not None)
    started = answer.document()["id"]
    return DONE if wait is None else _wait(session, started, seconds, batch=started)


def _tell(session: Session, answer: Answer, file: str, *, waits: bool) -> None:
    document = answer.document()
    if session.quiet and not session.json:
        session.say(document["id"])
    elif not session.json:
        session.say(batch_headline(document))
    elif not waits:
        session.document(answer)
    sys.stdout.flush()  # whoever reads along has the id, however long the wait is
    session.warn(list(findings(document.get("warnings"), file)))
    if answer.status == _REPEATED:
        session.note("this key was used before, for this batch; nothing new was started")


def _wait(session: Session, id: str, seconds: float | None, *, batch: str) -> int:
    """Wait for a batch, or for what takes it back: both are sagas."""
    return wait_for(session, saga_of(session.client.get(saga_route(id)).document()), seconds, batch=batch)


# --- looking --------------------------------------------------------------------------------------------------------


@batch.command()
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")
@click.option("--cursor", metavar="C", help="Where an earlier list broke off: `next` in its json.")
@click.pass_obj
def ls(session: Session, limit: int | None, cursor: str | None) -> int:
    """List batches, the newest first."""
    answers = pages(session, "/v1/batches", "batches", limit, {"cursor": cursor})
    batches = [each for answer in answers for each in answer.document().get("batches", [])]
    more = answers[-1].document().get("next")
    if session.json:
        print_pages(session, answers, batches=batches)
    elif session.quiet:
        for each in batches:
            session.say(str(each["id"]))
    else:
        print_table(session, _HEADS, [_row(each) for each in batches], styled=_HEADS.index("STATUS"))
    if more and not session.json:
        session.note(f"there are more: the same with --limit {2 * len(batches)}, or --cursor {more}")
    return DONE


def _row(each: dict[str, Any]) -> list[str]:
    named = [str(each.get("id", "")), str(each.get("batch", "")), state(each), counts_text(each)]
    return [*named, age(each.get("created_at")), brief(each.get("reason") or "")]


@batch.command()
@batch_argument
@click.pass_obj
def show(session: Session, id: str) -> int:
    """Show a batch: where each of its sagas is."""
    answer = session.client.get(batch_route(id))
    document = answer.document()
    if session.json:
        session.document(answer)
    elif session.quiet:
        session.say(str(document["id"]))
    else:
        print_lines(session, page(document, unicode=speaks_unicode(sys.stdout)))
    return DONE


# --- steering -------------------------------------------------------------------------------------------------------


def _verb(function: F) -> Any:
    """Take what the verbs of a batch share: ID, --reason and --yes."""
    yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    return batch_argument(reason_option(yes(click.pass_obj(function))))


@batch.command()
@click.option("--now", is_flag=True, help="Interrupt the running steps; their outcomes are then found out.")
@_verb
def cancel(session: Session, id: str, *, now: bool, yes: bool, reason: str | None) -> int:  # noqa: ARG001
    """Stop a batch and take back what its sagas have done.

    Sagas that run turn back; those that have completed are rolled back, the newest first, when none runs any more.
    """
    _report(session, _post(session, id, "cancel", {"now": now, "reason": reason}), "cancel")
    return DONE


@batch.command(cls=WaitingCommand)
@click.option("--preview", is_flag=True, help="Only tell, saga by saga, what would be done.")
@wait_option
@_verb
def rollback(session: Session, id: str, *, wait: str | None, yes: bool, **given: Any) -> int:
    """Take back what the sagas of a batch have done.

    One that has ended is taken back by a saga, whose id is printed; one that stands goes the way back itself. --preview
    works in every state. A saga of it that cannot be taken back whole is left to `sagactl rollback`.
    """
    seconds = wait_seconds(wait)
    if not given["preview"]:
        ask(f"Take back what the sagas of batch {id} have done?", yes=yes)
    answer = _post(session, id, "rollback", given)
    document = answer.document()
    if "preview" in document and not (session.json or session.quiet):
        _print_preview(session, document)
        return DONE
    done = given["preview"] or document.get("did") == "nothing" or wait is None
    _report(session, answer, "rollback", prints_json=done)
    return DONE if done else _wait(session, _taker(document), seconds, batch=document["batch"]["id"])


def _post(session: Session, id: str, name: str, given: dict[str, Any]) -> Answer:
    request = {key: value for key, value in given.items() if value not in (None, False)}
    return session.client.post(batch_route(id, name), request, timeout=VERB_SECONDS)


def _taker(document: dict[str, Any]) -> str:
    """Give the saga that goes the way back: another one, or the batch itself."""
    return str(document.get("rollback") or document["batch"]["id"])


def _report(session: Session, answer: Answer, name: str, *, prints_json: bool = True) -> None:
    """Print what a verb has done: `{did, detail, batch, rollback}`."""
    document = answer.document()
    if session.json:
        if prints_json:
            session.document(answer)
    elif session.quiet:
        session.say(_taker(document))
    else:
        session.say(f"{_taker(document)}  {name}  {did_text(document)}")
    sys.stdout.flush()


def _print_preview(session: Session, document: dict[str, Any]) -> None:
    from orchestrator.cli.executions import without_empty

    rows = [row for each in document["preview"] for row in _preview_rows(each)]
    heads, rows = without_empty(_PREVIEW, rows, "WILL")
    print_table(session, heads, rows, styled=heads.index("WILL"))
    sys.stdout.flush()
    session.note(str(document.get("detail")))


def _preview_rows(each: dict[str, Any]) -> Iterator[list[str]]:
    """Give a row for a saga, then one for each of its steps."""
    about = [str(each.get(name) or "") for name in ("saga", "kind")]
    yield [*about, "", str(each.get("will") or ""), "", "", "", "", str(each.get("why") or "")]
    yield from ([about[0], "", *preview_row(step)] for step in each.get("steps") or ())
