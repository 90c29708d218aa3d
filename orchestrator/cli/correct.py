"""``correct``: a saga from a file that makes up for one that has ended."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.client import saga_route
from orchestrator.cli.failures import DONE
from orchestrator.cli.sagas import saga_of
from orchestrator.cli.session import Session
from orchestrator.cli.source import read_source
from orchestrator.cli.submit import file_option, input_option, request_of
from orchestrator.cli.verbs import report, verb
from orchestrator.cli.waiting import WaitingCommand, wait_for, wait_option, wait_seconds


@verb(cls=WaitingCommand)
@click.argument("file", metavar="FILE")
@input_option
@file_option
@wait_option
def correct(
    session: Session,
    id: str,
    file: str,
    *,
    wait: str | None,
    yes: bool,  # noqa: ARG001
    **given: Any,
) -> int:
    """Run a saga that makes up for one that has ended.

    FILE is a saga file, as for submit. Its steps are on record as corrections: each of the step of its name, else of the
    one on the same resource. The new saga's id is printed.
    """
    seconds = wait_seconds(wait)
    source = read_source(file, given["format"])
    request = request_of(source, inputs=given["inputs"], reason=given["reason"])
    answer = session.client.post(saga_route(id, "correct"), request, file=source.name)
    report(session, answer, "correct", prints_json=wait is None)
    return DONE if wait is None else wait_for(session, saga_of(answer.document()), seconds)
