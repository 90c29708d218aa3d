"""``audit``: whether the record is what was written, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator.cli.client import Answer
from orchestrator.cli.draw import print_lines
from orchestrator.cli.failures import DONE, NOT_ALLOWED, Failure, Misused
from orchestrator.cli.options import Group, saga_filter
from orchestrator.cli.session import Session
from orchestrator.cli.text import count

F = TypeVar("F", bound=Callable[..., Any])

_EVIDENCE = "keep a copy of the state folder as evidence, and put back its last backup"


@click.group(cls=Group)
def audit() -> None:
    """Prove the record, and tell what it says.

    Each event's hash holds the one before it, and the last is signed with the node's key. A head that is noted down
    elsewhere (`sagactl audit verify -q` prints it) proves later that even the holder of the key has changed nothing.
    """


# --- proving --------------------------------------------------------------------------------------------------------


@audit.command()
@click.option("--head", metavar="H", help="A head noted down earlier: NUMBER:HASH, or the hash alone.")
@click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Read this state folder itself, without the daemon, which does not start over a broken record.",
)
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="With --state-dir: where the node's key is, if [secrets] key_file names a place.",
)
@click.pass_obj
def verify(session: Session, head: str | None, state_dir: Path | None, key_file: Path | None) -> int:
    """Prove that no event was altered, removed, put in, swapped or cut off.

    Exits 1 and names the first event that is not what was written. With -q it prints the head to note down.
    """
    if state_dir is None:
        answer = session.client.get("/v1/audit/verify", {"head": head}, timeout=None)
    else:
        answer = _verified_apart(state_dir, key_file, head)
    found = answer.document()
    end = f"{found['head']['seq']}:{found['head']['hash']}"
    if session.json:
        session.document(answer)
    elif found["ok"]:
        pruned = f" ({found['pruned']} without their contents, by retention)" if found["pruned"] else ""
        events = count(found["events"], "event")
        session.say(end if session.quiet else f"the record is whole: {events}{pruned}, head {end}")
    if not found["ok"]:
        whole = f"the chain holds for {count(found['events'], 'event')}, up to {end}"
        raise Failure(f"the record does not prove itself: {found['problem']}", whole, _EVIDENCE)
    return DONE


def _verified_apart(folder: Path, key_file: Path | None, head: str | None) -> Answer:
    """Verify a state folder from here. Loaded only then: the store is heavy, and a command that asks needs none of it."""
    import sqlite3

    from orchestrator import documents
    from store.audit import Anchor, verify_folder
    from store.errors import StoreError

    try:
        anchor = None if head is None else Anchor.read(head)
        report = verify_folder(folder, key_file=key_file, anchor=anchor)
    except ValueError as error:
        raise Misused(f"--head: {error}") from error
    except FileNotFoundError as error:
        raise Misused(
            f"{error.filename}: there is no such file", "give the folder that sagad.db is in"
        ) from error
    except PermissionError as error:
        whose = "only the user that sagad runs as may read it"
        raise Failure(f"{error.filename}: {error.strerror}", whose, exit_code=NOT_ALLOWED) from error
    except StoreError as error:
        raise Failure(str(error)) from error
    except sqlite3.Error as error:
        raise Failure(
            f"{folder / 'sagad.db'} cannot be read as a database of sagad: {error}", _EVIDENCE
        ) from error
    return Answer(200, documents.encode(documents.verified(report)))


@audit.command()
@click.pass_obj
def replay(session: Session) -> int:
    """Rebuild every checkpoint from its events and compare.

    Exits 1 and names each saga that is not what its events say.
    """
    answer = session.client.get("/v1/audit/replay", timeout=None)
    found = answer.document()
    if session.json:
        session.document(answer)
    elif session.quiet:
        for each in found["differing"]:
            session.say(each["saga"])
    elif found["ok"]:
        skipped = f", {found['skipped']} could not be compared (pruned, or of another release)"
        session.say(
            f"every checkpoint is what its events say: {count(found['sagas'], 'saga')}"
            + (skipped if found["skipped"] else "")
        )
    if not found["ok"]:
        named = [f"saga {each['saga']}: {each['problem']}" for each in found["differing"]]
        raise Failure(f"{count(len(named), 'saga')} of {found['sagas']} not what the events say", *named)
    return DONE


# --- reading --------------------------------------------------------------------------------------------------------


def _filters(function: F) -> F:
    """Take what both `show` and `export` let through."""
    for option in (
        click.option("--until", metavar="TIME", help="Only what happened before then (RFC 3339)."),
        click.option("--since", metavar="TIME", help="Only what happened since then (RFC 3339)."),
        click.option("--user", "actor", metavar="U", help="Only what this user said or did; sagad is one."),
        click.option("--resource", metavar="R", help="Only what was done to it: a path, or TYPE/NAME."),
        saga_filter,
    ):
        function = option(function)
    return function


@audit.command(
    examples="sagactl audit show last\n"
    "sagactl audit show --resource /srv/site/index.html\n"
    "sagactl audit show --user ann --since 2026-11-21T00:00:00Z"
)
@_filters
@click.pass_obj
def show(session: Session, /, **filters: Any) -> int:
    """Tell who did what, when and why: of a saga, a resource, a user, a time.

    What undid something names what it made up for, and the other way round.
    """
    from orchestrator.cli.story import Story

    answers = _pages(session, filters)
    if session.json:
        _print_json(session, list(answers))
        return DONE
    story, told = Story(session.client), 0
    for answer in answers:
        events = answer.document()["events"]
        told += len(events)
        if session.quiet:
            for event in events:
                session.say(str(event["seq"]))
        else:
            print_lines(session, [line for event in events for line in story.lines(event)])
    if not told:
        session.note("nothing of that is on the record")
    return DONE


@audit.command(
    examples="sagactl audit export > record.jsonl\nsagactl audit export --resource /etc/motd | jq .actor"
)
@_filters
@click.pass_obj
def export(session: Session, /, **filters: Any) -> int:
    """Print events as JSON, one on each line.

    The lines are the record's own bytes: what stands behind `"hash":"…",` is, with `{` before it, what was hashed.
    """
    sys.stdout.flush()
    for answer in _pages(session, filters):
        for line in _elements(answer.body):
            sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
    return DONE


def _pages(session: Session, filters: dict[str, Any]) -> Iterator[Answer]:
    """Read pages to the last one; at least one."""
    after = 0
    while True:
        answer = session.client.get("/v1/audit/events", {**filters, "after": after}, timeout=None)
        events = answer.document()["events"]
        if events or not after:
            yield answer
        if not events:
            return
        after = events[-1]["seq"]


def _print_json(session: Session, answers: list[Answer]) -> None:
    if len(answers) == 1:
        session.document(answers[0])
    else:
        session.document_of(
            {"events": [event for answer in answers for event in answer.document()["events"]]}
        )


def _elements(body: bytes) -> Iterator[bytes]:
    """Give the events of an answer as the bytes that they came as."""
    import json

    text = body.decode()
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while text[at] == "{":
        _, end = decoder.raw_decode(text, at)
        yield text[at:end].encode()
        at = end + (text[end] == ",")
