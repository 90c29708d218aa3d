"""``events``: what has happened to a saga, one line each."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.client import Answer, saga_route
from orchestrator.cli.draw import Words, plain, print_lines
from orchestrator.cli.failures import DONE, INTERRUPTED
from orchestrator.cli.follow import Event, Follower
from orchestrator.cli.options import command, saga_argument
from orchestrator.cli.sagas import error_text, has_ended, saga_of
from orchestrator.cli.session import Session
from orchestrator.cli.text import brief, moment, pairs
from orchestrator.cli.tree import resource_text
from orchestrator.cli.waiting import attend

_WIDEST_TYPE = 22
_LONGEST = 100
_NOISE = {"actor", "step", "direction", "payload", "plan", "inputs"}
"""What the line says already (an undo's type begins with ``undo.``), and digests, which nobody reads."""
_TIMES = {"due", "deadline"}
_SENTENCES = {"detail", "why", "reason"}
_STATUS_OF_TYPE = {
    "succeeded": "completed",
    "completed": "completed",
    "failed": "failed",
    "unknown": "unknown",
    "held": "hold",
    "rolled_back": "rolled_back",
}


@command()
@saga_argument
@click.option("-f", "--follow", is_flag=True, help="Go on printing as events happen, until the saga ends.")
@click.option(
    "--after", metavar="N", type=click.IntRange(min=0), default=0, help="Only events after number N."
)
@click.pass_obj
def events(session: Session, id: str, *, follow: bool, after: int) -> int:
    """List what has happened to a saga.

    With -f and -o json each event is a JSON document on a line of its own.
    """
    if follow:
        return _follow(session, id, after)
    answers = list(_pages(session, id, after))
    found = [event for answer in answers for event in answer.document().get("events", [])]
    if session.json:
        _print_json(session, answers, found)
    elif session.quiet:
        for event in found:
            session.say(str(event["seq"]))
    else:
        print_lines(session, [event_line(event) for event in found])
    return DONE


def event_line(event: Event) -> Words:
    """Write an event: when, what, which step, by whom, and what there is to know of it."""
    kind = str(event.get("type", ""))
    day, _, moment = str(event.get("at") or "").partition("T")
    step = f"  {event['step']}" if event.get("step") else ""
    actor = f"  by {event['actor']}" if _is_person(event.get("actor")) else ""
    data = f"  {_told(event['data'])}" if event.get("data") else ""
    return [
        (f"{event.get('seq', '')!s:>5}  ", "faint"),
        (f"{day} {moment.rstrip('Z')[:12]}  ", "faint"),
        (f"{kind:<{_WIDEST_TYPE}}", status_of_type(kind)),
        (step, "strong"),
        (actor, ""),
        (data, "faint"),
    ]


def status_of_type(kind: str) -> str:
    """Give the status whose colours an event's type has."""
    return _STATUS_OF_TYPE.get(kind.rpartition(".")[2], "")


def _told(data: Any) -> str:
    """Write what there is to know of an event; its error comes last, without a name, for it is the longest."""
    if not isinstance(data, dict):
        return pairs(data)
    words = [_word(name, value) for name, value in data.items() if name not in _NOISE | {"error"}]
    if data.get("error"):
        words.append(brief(error_text(data["error"]), _LONGEST))
    return " ".join(words)


def _word(name: str, value: Any) -> str:
    if name in _TIMES:
        value = moment(value)
    elif name == "resource" and isinstance(value, dict):
        value = value.get("path") or resource_text(value)
    return pairs({name: value}, _LONGEST if name in _SENTENCES | {"resource"} else 40)


def _is_person(actor: Any) -> bool:
    return bool(actor) and actor not in ("sagad", "engine", "system")


def _pages(session: Session, id: str, after: int) -> list[Answer]:
    answers: list[Answer] = []
    while True:
        answer = session.client.get(saga_route(id, "events"), {"after": after})
        found = answer.document().get("events", [])
        if found or not answers:
            answers.append(answer)
        if not found or found[-1]["seq"] <= after:
            return answers
        after = found[-1]["seq"]


def _print_json(session: Session, answers: list[Answer], found: list[Event]) -> None:
    if len(answers) == 1:
        session.document(answers[0])
    else:
        session.document_of({**answers[-1].document(), "events": found})


def _follow(session: Session, id: str, after: int) -> int:
    saga = saga_of(session.client.get(saga_route(id)).document())
    follower = Follower(session.client, saga, over=has_ended, note=session.note)
    follower.seen = after

    def show(event: Event) -> None:
        if session.json:
            session.document_of(event)
        else:
            session.say(str(event["seq"]) if session.quiet else plain(event_line(event)))
        sys.stdout.flush()

    code = attend(session, follower, live=None, show=show)
    return code if code == INTERRUPTED else DONE
