"""``ls``: many sagas, one line each."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.client import Answer
from orchestrator.cli.draw import print_table
from orchestrator.cli.failures import DONE
from orchestrator.cli.options import command
from orchestrator.cli.sagas import Saga, progress, state
from orchestrator.cli.session import Session
from orchestrator.cli.text import age, brief, pairs

_HEADS = ("ID", "KIND", "STATUS", "STEPS", "AGE", "REASON", "LABELS")
_MOST_AT_ONCE = 1_000  # the API refuses to give more in one answer
_STATUS = _HEADS.index("STATUS")


@command()
@click.option("--status", metavar="S", help="Only those: pending, running, compensating, completed, …")
@click.option("--kind", metavar="K", help="Only sagas of this kind.")
@click.option("--label", metavar="k=v", multiple=True, help="Only those with this label; may be repeated.")
@click.option("--hold", metavar="H", help="Only those on hold for: approval, paused, attention, …")
@click.option("--since", metavar="TIME", help="Only those submitted since then (RFC 3339).")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")
@click.option("--cursor", metavar="C", help="Where an earlier list broke off: `next` in its json.")
@click.pass_obj
def ls(session: Session, /, limit: int | None, **query: Any) -> int:
    """List sagas, the newest first.

    STEPS says how many of the steps stand: done, and not undone.
    """
    answers = pages(session, "/v1/sagas", "sagas", limit, query)
    sagas = [saga for answer in answers for saga in answer.document().get("sagas", [])]
    more = answers[-1].document().get("next")
    if session.json:
        print_pages(session, answers, sagas=sagas)
    elif session.quiet:
        for saga in sagas:
            session.say(str(saga["id"]))
    else:
        print_table(session, _HEADS, [_row(saga) for saga in sagas], styled=_STATUS)
    if more and not session.json:
        session.note(f"there are more: the same with --limit {2 * len(sagas)}, or --cursor {more}")
    return DONE


def pages(session: Session, route: str, name: str, limit: int | None, query: dict[str, Any]) -> list[Answer]:
    """Read as many pages as the limit asks for: the daemon may give less at a time. Without a limit it is one."""
    answers: list[Answer] = []
    left = limit
    while True:
        answer = session.client.get(route, query | {"limit": left and min(left, _MOST_AT_ONCE)})
        answers.append(answer)
        document = answer.document()
        if left is None:
            return answers
        left -= len(document.get(name, []))
        query = query | {"cursor": document.get("next")}
        if left <= 0 or not query["cursor"] or not document.get(name):
            return answers


def print_pages(session: Session, answers: list[Answer], **found: list[dict[str, Any]]) -> None:
    """Print the document of a page as it came, of several as one with all that was ``found``."""
    if len(answers) == 1:
        session.document(answers[0])
    else:
        session.document_of({**answers[-1].document(), **found})


def _row(saga: Saga) -> list[str]:
    return [
        str(saga.get("id", "")),
        str(saga.get("kind", "")),
        state(saga),
        progress(saga),
        age(saga.get("created_at")),
        brief(saga.get("reason") or ""),
        pairs(saga.get("labels") or {}),
    ]
