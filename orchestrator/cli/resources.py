"""``resources``: what sagad created or adopted and now keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import click

from orchestrator.cli.client import Answer
from orchestrator.cli.draw import Words, print_lines, print_table
from orchestrator.cli.failures import DONE, Misused
from orchestrator.cli.options import Group, reason_option, reveal_options, revealing
from orchestrator.cli.providers import outline
from orchestrator.cli.session import Session
from orchestrator.cli.text import age, clock, pairs
from orchestrator.cli.verbs import ask

F = TypeVar("F", bound=Callable[..., Any])
Resource = dict[str, Any]

_HEADS = ("NAME", "TYPE", "ID", "VERSION", "SAGA", "CHANGED", "SPEC")
_MOST_AT_ONCE = 1_000  # the API refuses to give more in one answer


@click.group(cls=Group)
def resources() -> None:
    """List, show, import and forget what sagad keeps.

    A step adds, changes or removes the record of its resource, and its undo puts the earlier record back. A step that
    says `keep: false` stays out of it.
    """


def resource_arguments(function: F) -> F:
    """Take TYPE and NAME."""
    return click.argument("type", metavar="TYPE")(click.argument("name", metavar="NAME")(function))


def _route(type: str, name: str, *more: str) -> str:
    if not type or not name:
        raise Misused("the resource's type or name is empty", "`sagactl resources ls` lists them")
    return "/".join(["/v1/resources", *(quote(part, safe="") for part in (type, name, *more))])


# --- looking --------------------------------------------------------------------------------------------------------


@resources.command()
@click.option("--type", metavar="T", help="Only those of this type, or family: local.file, local.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")
@click.pass_obj
def ls(session: Session, type: str | None, limit: int | None) -> int:
    """List resources, by type and name."""
    answers = _pages(session, type, limit)
    found = [each for answer in answers for each in answer.document()["resources"]]
    more = answers[-1].document()["next"]
    if session.json and len(answers) == 1:
        session.document(answers[0])
    elif session.json:
        session.document_of({"resources": found, "next": more})
    elif session.quiet:
        for each in found:
            session.say(each["name"])
    else:
        print_table(session, _HEADS, [_row(each) for each in found])
    if more and not session.json:
        session.note(f"there are more: the same with --limit {2 * len(found)}")
    return DONE


def _pages(session: Session, type: str | None, limit: int | None) -> list[Answer]:
    """Read as many pages as the limit asks for. Without a limit it is one."""
    answers: list[Answer] = []
    query: dict[str, Any] = {"type": type}
    left = limit
    while True:
        page = {"limit": left and min(left, _MOST_AT_ONCE)}
        answers.append(session.client.get("/v1/resources", query | page))
        document = answers[-1].document()
        query["cursor"] = document["next"]
        left = None if left is None else left - len(document["resources"])
        if not left or left < 0 or not document["next"]:
            return answers


def _row(about: Resource) -> list[Any]:
    return [
        about["name"],
        about["type"],
        about["id"],
        about["spec_version"],
        about["saga"] or "imported",
        age(about["updated_at"]),
        pairs(about["spec"]),
    ]


@resources.command()
@resource_arguments
@reveal_options
@click.pass_obj
def show(session: Session, type: str, name: str, *, reveal: bool, reason: str | None) -> int:
    """Show a resource: what is kept of it, and who made it."""
    answer = session.client.get(_route(type, name), revealing(reveal=reveal, reason=reason))
    _print(session, answer, answer.document())
    return DONE


def _print(session: Session, answer: Answer, about: Resource) -> None:
    if session.json:
        session.document(answer)
    elif session.quiet:
        session.say(about["name"])
    else:
        print_lines(session, list(_lines(about)))


def _lines(about: Resource) -> Iterator[Words]:
    yield [(about["name"], "strong"), (f"  {about['type']}{_id(about)}", "")]
    made = f"made by saga {about['saga']}" if about["saga"] else "imported"
    yield [(f"{made}, {clock(about['created_at'])}", "faint")]
    yield [(f"version {about['spec_version']} since {clock(about['updated_at'])}", "faint")]
    yield from outline({key: about[key] for key in ("spec", "outputs", "live", "seen_at", "seen_error")})


def _id(about: Resource) -> str:
    return f" {about['id']}" if about["id"] else ""


# --- changing -------------------------------------------------------------------------------------------------------


@resources.command(
    "import",
    examples="sagactl resources import local.file /etc/motd\n"
    "sagactl resources import digitalocean.droplet web --id 4711",
)
@resource_arguments
@click.option("--id", metavar="ID", help="Its id, where it has one.")
@reason_option
@click.pass_obj
def import_(session: Session, type: str, name: str, id: str | None, reason: str | None) -> int:
    """Keep a resource that is there, as it is.

    Nothing is done to it. What another saga has made is taken over by that.
    """
    answer = session.client.post(_route(type, name, "import"), _said(id=id, reason=reason))
    _told(session, answer)
    return DONE


@resources.command()
@resource_arguments
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@reason_option
@click.pass_obj
def forget(session: Session, type: str, name: str, *, yes: bool, reason: str | None) -> int:
    """Keep a resource no longer. Nothing is done to the resource itself."""
    ask(f"Keep {type} {name} no longer?", yes=yes, needed=True)
    answer = session.client.post(_route(type, name, "forget"), _said(reason=reason))
    _told(session, answer)
    return DONE


def _said(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _told(session: Session, answer: Answer) -> None:
    if session.json:
        session.document(answer)
        return
    document = answer.document()
    session.say(document["resource"]["name"] if session.quiet else document["detail"])
