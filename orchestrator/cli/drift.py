"""``drift``: what has changed behind sagad's back, and what to do about it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click

from orchestrator.cli.client import Answer
from orchestrator.cli.draw import print_lines, print_table
from orchestrator.cli.drift_page import lines, print_drift, rule_row, tell
from orchestrator.cli.failures import DONE, Misused
from orchestrator.cli.options import Group, reason_option
from orchestrator.cli.session import Session
from orchestrator.cli.verbs import ask
from orchestrator.cli.waiting import WaitingCommand, wait_for, wait_option, wait_seconds

LOOK = 0.5
"""Seconds between two looks at how far the daemon is."""

_MOST_AT_ONCE = 1_000  # the API refuses to give more in one answer


@click.group(cls=Group)
def drift() -> None:
    """Find, list, accept, revert and ignore drift.

    Drift is a difference between what sagad keeps of a resource and what is really there. Only what was set is compared.
    """


def _route(id: str, *more: str) -> str:
    if not id:
        raise Misused("the id is empty", "`sagactl drift ls` lists them")
    return "/".join(["/v1/drift", *(quote(part, safe="") for part in (id, *more))])


# --- looking --------------------------------------------------------------------------------------------------------


@drift.command(examples="sagactl drift detect\nsagactl drift detect --type digitalocean.droplet --name web-1")
@click.option("--type", metavar="T", help="Only resources of this type, or family: local.file, local.")
@click.option("--name", metavar="NAME", help="Only the one of this name, id or path.")
@click.pass_obj
def detect(session: Session, type: str | None, name: str | None) -> int:
    """Look at what is really there, and compare it now.

    Prints what is open. What cannot be looked at is named, and says nothing about the rest.
    """
    answer = _detected(session, _said(type=type, name=name))
    document = answer.document()
    if session.json:
        session.document(answer)
        return DONE
    print_drift(session, document["drift"])
    tell(session, document)
    return DONE


def _detected(session: Session, given: dict[str, Any]) -> Answer:
    """Have it done, and draw how far it is where somebody watches."""

    def work() -> Answer:
        return session.client.post("/v1/drift/detect", given, timeout=None)

    if session.quiet or session.json or not session.draws_on(sys.stderr):
        return work()
    return _watched(session, work)


def _watched(session: Session, work: Callable[[], Answer]) -> Answer:
    done: list[Answer | BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the user waits
            done.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK)
        if thread.is_alive():
            sys.stderr.write(f"\r\x1b[K{_progress(session)}")
            sys.stderr.flush()
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def _progress(session: Session) -> str:
    now = session.client.get("/v1/drift/detect").document()
    words = {"sync": "looking", "sweep": "comparing"}.get(now.get("doing"), "waiting")
    return f"{words} … {now['looked']} of {now['of']}" if now.get("of") else f"{words} …"


@drift.command()
@click.option("--all", "all_", is_flag=True, help="Also what is resolved, and what a rule hides.")
@click.option("--type", metavar="T", help="Only of this type, or family: local.file, local.")
@click.option("--name", metavar="NAME", help="Only of the resource of this name, id or path.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")
@click.pass_obj
def ls(session: Session, *, all_: bool, type: str | None, name: str | None, limit: int | None) -> int:
    """List what is open, by resource."""
    query = {"status": "all" if all_ else None, "type": type, "name": name}
    answers = _pages(session, query, limit)
    found = [each for answer in answers for each in answer.document()["drift"]]
    more = answers[-1].document()["next"]
    if session.json and len(answers) == 1:
        session.document(answers[0])
    elif session.json:
        session.document_of({"drift": found, "next": more})
    else:
        print_drift(session, found)
    if more and not session.json:
        session.note(f"there is more: sagactl drift ls --limit {2 * len(found)}")
    return DONE


def _pages(session: Session, query: dict[str, Any], limit: int | None) -> list[Answer]:
    """Read as many pages as the limit asks for; without one all."""
    answers: list[Answer] = []
    left = limit
    while True:
        page = {"limit": min(left or _MOST_AT_ONCE, _MOST_AT_ONCE)}
        answers.append(session.client.get("/v1/drift", query | page))
        document = answers[-1].document()
        query["cursor"] = document["next"]
        left = None if left is None else left - len(document["drift"])
        if left == 0 or not document["next"]:
            return answers


@drift.command()
@click.argument("id", metavar="ID")
@click.pass_obj
def show(session: Session, id: str) -> int:
    """Show one: what was wanted, what is there, since when, and what became of it."""
    answer = session.client.get(_route(id))
    about = answer.document()
    if session.json:
        session.document(answer)
    elif session.quiet:
        session.say(about["id"])
    else:
        print_lines(session, list(lines(about)))
    return DONE


# --- changing -------------------------------------------------------------------------------------------------------


@drift.command()
@click.argument("id", metavar="ID")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@reason_option
@click.pass_obj
def accept(session: Session, id: str, *, yes: bool, reason: str | None) -> int:
    """Make what is there what sagad keeps. For admins.

    Prints the lines to change in the stack file. A resource that is missing is kept no longer.
    """
    ask(f"Keep what is there instead of what was wanted ({id})?", yes=yes)
    answer = session.client.post(_route(id, "accept"), _said(reason=reason))
    document = answer.document()
    if _told(session, answer):
        return DONE
    session.note("in the stack file:")
    for line in document["lines"]:
        session.say(line)
    return DONE


@drift.command(
    cls=WaitingCommand,
    examples="sagactl drift revert 7k2m --wait\nsagactl drift revert --all --type local",
)
@click.argument("id", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="All that is open and not ignored, as a batch.")
@click.option("--type", metavar="T", help="With --all: only of this type, or family.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@reason_option
@wait_option
@click.pass_obj
def revert(
    session: Session,
    id: str | None,
    *,
    all_: bool,
    type: str | None,
    yes: bool,
    reason: str | None,
    wait: str | None,
) -> int:
    """Have a saga set back what was wanted. For admins.

    The saga has a way back of its own. When it has completed the record is closed; if it does not, the record is open
    again and says why.
    """
    if bool(id) == all_ or (type and not all_):
        raise Misused("give an id, or --all (and with it --type)")
    seconds = wait_seconds(wait)
    ask(f"Set back {'all drift' if all_ else id}?", yes=yes, needed=all_)
    route = "/v1/drift/revert" if all_ else _route(id or "", "revert")
    answer = session.client.post(route, _said(reason=reason, type=type))
    document = answer.document()
    begun = document["batch"] or (document["saga"] or {}).get("id")
    if begun is None or wait is None:
        _told(session, answer, quiet=begun)
        return DONE
    if not session.json:
        session.say(begun if session.quiet else document["detail"])
        sys.stdout.flush()
    saga = session.client.get(f"/v1/sagas/{begun}").document()
    return wait_for(session, saga, seconds, batch=document["batch"])


@drift.command(examples="sagactl drift ignore 7k2m --reason 'the autoscaler sets it' --expires 30d")
@click.argument("id", metavar="ID")
@click.option(
    "--scope",
    type=click.Choice(["field", "resource", "type"]),
    help="This field (as it is), all of the resource, or the field of every resource of the type.",
)
@click.option("--expires", metavar="DURATION", help="For so long: 12h, 7d. Else for ever.")
@click.option("--reason", metavar="TEXT", required=True, help="Why; goes on the record.")
@click.pass_obj
def ignore(session: Session, id: str, scope: str | None, expires: str | None, reason: str) -> int:
    """Hear no more of it, or of its like."""
    answer = session.client.post(_route(id, "ignore"), _said(scope=scope, expires=expires, reason=reason))
    _told(session, answer, quiet=answer.document()["rule"]["id"])
    return DONE


@drift.command()
@click.option("--end", metavar="RULE", help="End this rule: what it hid is heard of again.")
@reason_option
@click.pass_obj
def rules(session: Session, end: str | None, reason: str | None) -> int:
    """List the rules by which drift is ignored, or end one."""
    if end is not None:
        _told(session, session.client.post(_route("rules", end, "heed"), _said(reason=reason)))
        return DONE
    answer = session.client.get("/v1/drift/rules")
    found = answer.document()["rules"]
    if session.json:
        session.document(answer)
    elif session.quiet:
        for each in found:
            session.say(each["id"])
    else:
        heads = ("ID", "TYPE", "RESOURCE", "FIELD", "OWNER", "UNTIL", "REASON")
        print_table(session, heads, [rule_row(each) for each in found])
    return DONE


def _said(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _told(session: Session, answer: Answer, *, quiet: str | None = None) -> bool:
    """Print what was done; True where there is nothing more to print."""
    document = answer.document()
    if session.json:
        session.document(answer)
    elif session.quiet:
        session.say(quiet or document["drift"][0]["id"] if quiet or document["drift"] else "")
    else:
        session.say(document["detail"])
    return session.json or session.quiet
