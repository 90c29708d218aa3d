"""The daemon itself: its settings, its versions, and its API as it is."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orchestrator import VERSION
from orchestrator.cli.client import ANSWER_SECONDS, Answer, Client
from orchestrator.cli.failures import DONE, Failure, Misused, Refused
from orchestrator.cli.options import command
from orchestrator.cli.session import Session


@command()
@click.pass_obj
def reload(session: Session) -> int:
    """Have the daemon read its settings again.

    Settings that can change, change; what needs a restart is said.
    """
    answer = session.client.post("/v1/reload")
    if session.json:
        session.document(answer)
        return DONE
    document = answer.document()
    if not session.quiet:
        changed = ", ".join(f"[{section}]" for section in document.get("changed", ()))
        session.say(f"reloaded: {changed or 'nothing'} changed")
    session.warn(
        [f"{setting} counts from the next start of sagad on" for setting in document.get("needs_restart", ())]
    )
    return DONE


@command()
@click.pass_obj
def drain(session: Session) -> int:
    """Take no new steps; return when what runs has ended.

    For upgrades: what waits goes on after the restart, and only a restart ends the draining.
    """
    answer = session.client.post("/v1/drain", timeout=None)
    _print_done(session, answer, "drained")
    return DONE


def _print_done(session: Session, answer: Answer, done: str) -> None:
    if session.json:
        session.document(answer)
        return
    document = answer.document() if answer.body else {}
    if not session.quiet:
        session.say(str(document.get("detail") or done))
    session.warn([str(warning) for warning in document.get("warnings") or []])


@command()
@click.pass_obj
def version(session: Session) -> int:
    """Show the versions of sagactl and of the daemon."""
    failure: Failure | None = None
    try:
        daemon = _daemon_version(session.client)
    except Failure as error:
        daemon, failure = None, error
    if session.json:
        session.document_of({"sagactl": VERSION, "sagad": daemon})
    else:
        session.say(f"sagactl {VERSION}")
        if daemon:
            session.say(f"sagad {daemon}")
    if failure is not None:
        raise failure
    return DONE


def _daemon_version(client: Client) -> str | None:
    # A daemon that is not ready still says which one it is.
    with client.open("GET", "/v1/health") as response:
        response.read()
    return client.daemon_version or "of unknown version"


_API_EXAMPLES = """\
sagactl api GET /v1/health
sagactl api GET /v1/events -H 'Accept: text/event-stream'
sagactl api POST /v1/validate -d '{"source": "saga: x", "format": "yaml"}'"""


@command(examples=_API_EXAMPLES)
@click.argument("method")
@click.argument("path")
@click.option("-d", "--data", metavar="JSON", help="The body; @FILE reads it from a file, - from stdin.")
@click.option(
    "-H", "--header", "headers", metavar="NAME:VALUE", multiple=True, help="A header; may be repeated."
)
@click.pass_obj
def api(session: Session, method: str, path: str, data: str | None, headers: tuple[str, ...]) -> int:
    """Send any request to the daemon's API.

    Prints the answer as it comes, also a stream. `sagactl api GET /v1/openapi.json` describes what there is.
    """
    sent = _headers(headers)
    streams = "event-stream" in sent.get("Accept", "")
    target = path if path.startswith("/") else f"/{path}"
    timeout = None if streams else ANSWER_SECONDS
    with session.client.open(method.upper(), target, _body(data), sent, timeout=timeout) as response:
        body = b""
        while piece := response.read1(65536):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            body = piece
    if body and not body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    if response.status >= 400:  # noqa: PLR2004 - HTTP's line between yes and no
        raise Refused(response.status, {"detail": f"the daemon answered {response.status} {response.reason}"})
    return DONE


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise Misused(f"-H {text!r}: write NAME:VALUE")
        headers[name.strip().title()] = value.strip()
    return headers


def _body(data: str | None) -> bytes | None:
    if data is None:
        return None
    if data == "-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise Misused(f"cannot read {data[1:]}: {error.strerror}") from error
    return data.encode()
