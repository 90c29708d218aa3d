"""``submit`` and ``validate``: a saga file to the daemon."""

from __future__ import annotations

import sys
from typing import Any

import click

from orchestrator.cli.client import Answer
from orchestrator.cli.failures import DONE, USAGE, Misused, finding, findings
from orchestrator.cli.options import assignments, command, reason_option
from orchestrator.cli.sagas import headline, saga_of
from orchestrator.cli.session import Session
from orchestrator.cli.source import FORMATS, Source, read_source
from orchestrator.cli.text import count
from orchestrator.cli.waiting import WaitingCommand, wait_for, wait_option, wait_seconds

_REPEATED = 200  # the daemon has had this request before; 201 is for a new saga

file_option = click.option(
    "--format", type=click.Choice(FORMATS), help="How FILE is written; else its suffix says, else yaml."
)
input_option = click.option(
    "-i", "--input", "inputs", metavar="NAME=VALUE", multiple=True, help="An input; may be repeated."
)
label_option = click.option(
    "--label", "labels", metavar="k=v", multiple=True, help="A label; may be repeated."
)


@command(cls=WaitingCommand, examples="sagactl submit publish.yaml -i page=hello --wait 5m")
@click.argument("file", metavar="FILE")
@input_option
@label_option
@reason_option
@click.option(
    "--idempotency-key", "key", metavar="K", help="The same key again gives the same saga, not another."
)
@file_option
@wait_option
@click.pass_obj
def submit(session: Session, /, wait: str | None, key: str | None, **given: Any) -> int:
    """Start a saga from a file.

    FILE is a saga file in YAML, TOML or JSON; `-` reads it from stdin. The new saga's id is printed first. Whether
    you wait for it or not, the saga is the daemon's from then on.
    """
    seconds = wait_seconds(wait)
    source = read_source(given.pop("file"), given.pop("format"))
    answer = session.client.post("/v1/sagas", request_of(source, **given), key_header(key), file=source.name)
    saga = saga_of(answer.document())
    _tell(session, answer, source, waits=wait is not None)
    if wait is None:
        return DONE
    return wait_for(session, saga, seconds)


@command()
@click.argument("file", metavar="FILE")
@file_option
@click.pass_obj
def validate(session: Session, file: str, format: str | None) -> int:
    """Say what is wrong with a saga file, without running it.

    Prints every problem as FILE:LINE:COLUMN: what is wrong — what to do. Exits with 2 where there is one.
    """
    source = read_source(file, format)
    answer = session.client.post(
        "/v1/validate", {"source": source.text, "format": source.format}, file=source.name
    )
    document = answer.document()
    problems, warnings = document.get("problems") or [], document.get("warnings") or []
    if session.json:
        session.document(answer)
    elif not session.quiet:
        _print_findings(session, source, problems, warnings)
    return USAGE if problems else DONE


def _print_findings(session: Session, source: Source, problems: list[Any], warnings: list[Any]) -> None:
    # What is wrong is what was asked for here: data, so stdout.
    for problem in problems:
        session.say(_in_file(source, finding(problem, source.name)))
    for warning in warnings:
        session.say(_in_file(source, f"warning: {finding(warning, source.name)}"))
    if problems:
        session.note(f"invalid: {count(len(problems), 'problem')}")
    else:
        session.say(f"valid: {source.name}" + (f", {count(len(warnings), 'warning')}" if warnings else ""))


def _in_file(source: Source, line: str) -> str:
    return line if source.name in line else f"{source.name}: {line}"


def request_of(
    source: Source, *, inputs: tuple[str, ...] = (), labels: tuple[str, ...] = (), reason: str | None = None
) -> dict[str, Any]:
    """Write what the API is asked: the file, and nothing that was not given."""
    request: dict[str, Any] = {"source": source.text, "format": source.format}
    if values := assignments(inputs, "-i"):
        # The file says which type each has; here all are text, and only the daemon reads the file.
        request |= {"inputs": values, "inputs_as_text": True}
    if marks := assignments(labels, "--label"):
        request["labels"] = marks
    if reason:
        request["reason"] = reason
    return request


def key_header(key: str | None) -> dict[str, str]:
    """Give the header of an idempotency key; raise Misused for what cannot be one."""
    if key is None:
        return {}
    if not key or not key.isascii() or not key.isprintable():
        raise Misused("--idempotency-key: a key is one or more printable ASCII characters")
    return {"Idempotency-Key": key}


def _tell(session: Session, answer: Answer, source: Source, *, waits: bool) -> None:
    document = answer.document()
    if session.quiet and not session.json:
        session.say(saga_of(document)["id"])
    elif not session.json:
        session.say(headline(saga_of(document)))
    elif not waits:
        session.document(answer)
    sys.stdout.flush()  # whoever reads along has the id, however long the wait is
    session.warn(list(findings(document.get("warnings"), source.name)))
    if answer.status == _REPEATED:
        session.note("this key was used before, for this saga; nothing new was started")
