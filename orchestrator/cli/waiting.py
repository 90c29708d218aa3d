"""Waiting for a saga on a user's behalf: what is shown meanwhile, and how it ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TextIO

import click

from orchestrator.cli.client import batch_route, saga_route
from orchestrator.cli.failures import DONE, INTERRUPTED, TIMED_OUT, Failure, Misused
from orchestrator.cli.follow import Event, Follower, OutOfTime
from orchestrator.cli.options import Command
from orchestrator.cli.sagas import Saga, ending, error_text, is_batch, needs_somebody, settled
from orchestrator.cli.session import Session

FOREVER = "forever"

Show = Callable[[Event], None]


def wait_for(session: Session, saga: Saga, seconds: float | None, *, batch: str | None = None) -> int:
    """Wait for a saga as ``--wait`` does, and print how it then stands; the exit code.

    ``batch``: the one that it is or takes back.
    """
    follower = following(session, saga, seconds, batch=batch)
    code = attend(session, follower, live=live_on(session, sys.stderr))
    if session.json and is_batch(follower.saga):
        session.document(session.client.get(batch_route(follower.id)))
    elif session.json:
        session.document_of(follower.saga)
    elif not session.quiet:
        session.say(ending(follower.saga))
    if code not in (DONE, INTERRUPTED, TIMED_OUT):
        explain(session, follower)
    return code


def following(
    session: Session, saga: Saga, seconds: float | None = None, *, batch: str | None = None
) -> Follower:
    """Make what follows a saga until it has ended or needs somebody."""
    if batch is None and not is_batch(saga):
        return Follower(session.client, saga, seconds=seconds, note=session.note)
    from orchestrator.cli.batch_follow import BatchFollower

    return BatchFollower(
        session.client, saga, seconds=seconds, note=session.note, batch=batch or str(saga["id"])
    )


def attend(session: Session, follower: Follower, *, live: TextIO | None, show: Show = lambda _: None) -> int:
    """Follow a saga to its end: ``live`` draws it there, ``show`` takes each event; the exit code.

    The saga is the daemon's: Ctrl-C, a time limit and a lost daemon end the waiting, never the saga.
    """
    try:
        if live is not None:
            from orchestrator.cli.live import draw_live

            draw_live(session, follower, live)
        else:
            for event in follower.events():
                show(event)
    except KeyboardInterrupt:
        session.note(f"\ninterrupted; {_goes_on(follower.saga)}")
        return INTERRUPTED
    except OutOfTime:
        session.note(
            f"time is up: {why(session, follower.id) or f'the {_thing(follower.saga)} has not ended'}"
        )
        session.note(_goes_on(follower.saga))
        return TIMED_OUT
    except Failure as failure:
        failure.lines.append(_goes_on(follower.saga))
        raise
    code = settled(follower.saga)
    assert code is not None, "events() ends when the saga is settled"
    return code


def explain(session: Session, follower: Follower) -> None:
    """Say on stderr why a saga that was waited for did not complete."""
    saga = follower.saga
    if needs_somebody(saga):
        session.note(follower.held or why(session, follower.id) or f"on hold: {saga['hold'].get('reason')}")
    elif saga.get("error"):
        session.note(error_text(saga["error"]))
    if saga.get("status") != "completed":
        show = "batch show" if is_batch(saga) else "show"
        session.note(f"see: sagactl {show} {follower.id}")


def why(session: Session, id: str) -> str:
    """Ask what the saga is waiting for; nothing where the daemon cannot say."""
    try:
        return str(session.client.get(saga_route(id, "why")).document().get("why") or "")
    except Failure:
        return ""


def live_on(session: Session, stream: TextIO) -> TextIO | None:
    """Give the stream where a live picture can and should be drawn on it."""
    return stream if session.draws_on(stream) and not (session.quiet or session.json) else None


def wait_seconds(text: str | None) -> float | None:
    """Read what --wait was given; None is for as long as it takes."""
    if text is None or text == FOREVER:
        return None
    from config.durations import NotADuration, parse_duration

    try:
        return parse_duration(text) / 1000
    except NotADuration as error:
        raise Misused(f"--wait: {error}") from error


class WaitingCommand(Command):
    """A command with ``--wait [DURATION]``, whose duration may be left out also where an argument follows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bind --wait to the word behind it only where that begins as a duration does."""
        return super().parse_args(ctx, bound_wait(args))


def bound_wait(args: list[str]) -> list[str]:
    """Rewrite ``--wait`` so that no file's name can be taken for its duration: ``--wait=30s``, ``--wait=forever``."""
    bound: list[str] = []
    rest = iter(args)
    for word in rest:
        if bound and bound[-1] == "--wait":
            if re.fullmatch(r"[0-9]+[a-z]*", word):
                bound[-1] = f"--wait={word}"
                continue
            bound[-1] = f"--wait={FOREVER}"
        if word == "--":
            return [*bound, word, *rest]
        bound.append(word)
    if bound and bound[-1] == "--wait":
        bound[-1] = f"--wait={FOREVER}"
    return bound


def wait_option(function: Any) -> Any:
    """Take --wait [DURATION]."""
    text = "Wait until it has ended or needs somebody, at most so long; exits as it ended."
    return click.option("--wait", metavar="[DURATION]", help=text)(function)


def _thing(saga: Saga) -> str:
    return "batch" if is_batch(saga) else "saga"


def _goes_on(saga: Saga) -> str:
    about, cancel = f"{_thing(saga)} {saga['id']}", "batch cancel" if is_batch(saga) else "cancel"
    ways = f"`sagactl watch {saga['id']}` follows it, `sagactl {cancel} {saga['id']}` takes it back"
    return f"{about} goes on: {ways}"
