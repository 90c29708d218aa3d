"""``watch``: a saga as it goes on."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.client import saga_route
from orchestrator.cli.draw import plain
from orchestrator.cli.events import event_line
from orchestrator.cli.failures import INTERRUPTED, TIMED_OUT
from orchestrator.cli.follow import Event
from orchestrator.cli.options import command, saga_argument
from orchestrator.cli.sagas import ending, saga_of
from orchestrator.cli.session import Session
from orchestrator.cli.waiting import attend, explain, following, live_on


@command()
@saga_argument
@click.pass_obj
def watch(session: Session, id: str) -> int:
    """Follow a saga until it has ended or needs somebody.

    Draws the saga's tree on a terminal; elsewhere it prints one line per event, from the first. Exits as the saga
    ended: 0 completed, 3 rolled back, 4 failed, 5 on hold. Ctrl-C leaves the saga running.
    """
    saga = saga_of(session.client.get(saga_route(id)).document())
    follower = following(session, saga)
    live = live_on(session, sys.stdout)
    if session.quiet and not session.json:
        session.say(follower.id)
    code = attend(session, follower, live=live, show=lambda event: _show(session, event))
    if code in (INTERRUPTED, TIMED_OUT):
        return code
    if live is None and not session.json and not session.quiet:
        session.say(ending(follower.saga))
    explain(session, follower)
    return code


def _show(session: Session, event: Event) -> None:
    if session.json:
        session.document_of(event)
    elif not session.quiet:
        session.say(plain(event_line(event)))
    sys.stdout.flush()
