"""``show`` and ``why``: one saga as it now is."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.client import saga_route
from orchestrator.cli.draw import print_lines
from orchestrator.cli.failures import DONE
from orchestrator.cli.options import command, reveal_options, revealing, saga_argument
from orchestrator.cli.sagas import saga_of
from orchestrator.cli.session import Session
from orchestrator.cli.text import speaks_unicode
from orchestrator.cli.tree import tree


@command()
@saga_argument
@reveal_options
@click.pass_obj
def show(session: Session, id: str, *, reveal: bool, reason: str | None) -> int:
    """Show a saga: its steps, what they did, what is left behind."""
    answer = session.client.get(saga_route(id), revealing(reveal=reveal, reason=reason))
    saga = saga_of(answer.document())
    if session.json:
        session.document(answer)
    elif session.quiet:
        session.say(str(saga["id"]))
    else:
        print_lines(session, tree(saga, unicode=speaks_unicode(sys.stdout), whole=reveal))
    return DONE


@command()
@saga_argument
@click.pass_obj
def why(session: Session, id: str) -> int:
    """Say in one sentence what a saga is waiting for."""
    answer = session.client.get(saga_route(id, "why"))
    if session.json:
        session.document(answer)
    else:
        session.say(str(answer.document().get("why") or ""))
    return DONE
