"""``executions``: every governed operation of a saga, with what it was before and what undid it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import click

from orchestrator.cli.client import saga_route
from orchestrator.cli.draw import Words, print_lines, print_table
from orchestrator.cli.failures import DONE
from orchestrator.cli.options import command, reveal_options, revealing, saga_argument
from orchestrator.cli.sagas import error_text
from orchestrator.cli.session import Session
from orchestrator.cli.text import brief, took

_HEADS = (
    "ID",
    "STEP",
    "NATURE",
    "GEN",
    "OPERATION",
    "STATUS",
    "TRIES",
    "TOOK",
    "BEFORE -> AFTER",
    "LINKS",
    "ERROR",
)
_DIGEST = 10


@command()
@saga_argument
@reveal_options
@click.pass_obj
def executions(session: Session, id: str, *, reveal: bool, reason: str | None) -> int:
    """List what a saga did to the world, and what undid it.

    NATURE is forward (the step itself), hook (what was run after it), restore (the earlier state was put back) or
    correct (another operation made up for it). GEN counts the starts of the step or undo, TRIES the attempts since.
    Columns that say nothing are left out. With --reveal the contents of what was before and after stand below.
    """
    answer = session.client.get(saga_route(id, "executions"), revealing(reveal=reveal, reason=reason))
    found = answer.document().get("executions", [])
    if session.json:
        session.document(answer)
    elif session.quiet:
        for execution in found:
            session.say(str(execution["id"]))
    else:
        heads, rows = without_empty(_HEADS, [_row(execution) for execution in found], "STATUS")
        print_table(session, heads, rows, styled=heads.index("STATUS") if rows else -1)
        if reveal:
            print_lines(session, [line for execution in found for line in _revealed(execution)])
    return DONE


def _revealed(execution: dict[str, Any]) -> Iterator[Words]:
    """Write out the contents of an execution's images."""
    for part in ("before", "after"):
        for name, content in ((execution.get(part) or {}).get("contents") or {}).items():
            yield [(f"{execution['id']} {part} {name}", "strong"), (f"  {_what(content)}", "faint")]
            text = content.get("text", content.get("base64", ""))
            yield from ([(line, "")] for line in str(text).splitlines())


def _what(content: dict[str, Any]) -> str:
    how = next((how for how in ("omitted", "base64") if how in content), "")
    size = f"{content.get('size')} bytes"
    return f"{size}, not shown: {content['omitted']}" if how == "omitted" else f"{size} {how}".strip()


def without_empty(
    heads: Sequence[str], rows: list[list[str]], never: str
) -> tuple[list[str], list[list[str]]]:
    """Leave out the columns that say nothing in any row, but ``never`` this one."""
    said = [head == never or any(row[index] for row in rows) for index, head in enumerate(heads)]
    return list(compress(heads, said)), [list(compress(row, said)) for row in rows]


def _row(execution: dict[str, Any]) -> list[str]:
    attempts = execution.get("attempts")
    tries = len(attempts) if isinstance(attempts, list) else attempts
    return [
        str(execution.get("id", "")),
        str(execution.get("step", "")),
        nature(execution),
        _unless_one(execution.get("generation")),
        str(execution.get("operation", "")),
        str(execution.get("status", "")),
        _unless_one(tries),
        took(execution.get("started_at"), execution.get("finished_at")),
        _change(execution.get("before"), execution.get("after")),
        _links(execution),
        brief(error_text(execution.get("error"))),
    ]


def nature(execution: dict[str, Any]) -> str:
    """Name what an execution is to its step: forward, hook, restore or correct."""
    return "hook" if execution.get("direction") == "hook" else str(execution.get("nature", ""))


def _unless_one(number: Any) -> str:
    return "" if number in (None, 0, 1) else str(number)


def _change(before: Any, after: Any) -> str:
    if before is None and after is None:
        return ""
    return f"{image_text(before)} -> {image_text(after)}"


def image_text(image: Any) -> str:
    """Name what a resource was at a moment: ``absent``, or the beginning of its content's digest."""
    if image is None:
        return "?"
    if not isinstance(image, dict):
        return brief(image, _DIGEST)
    if image.get("exists") is False:
        return "absent"
    digest = next(_digests(image), None)
    return str(digest)[:_DIGEST] if digest else "present"


def _digests(image: dict[str, Any]) -> Any:
    """Find digests wherever the image has them: itself, its fields, its contents outside the record."""
    for name in ("digest", "sha256"):
        if isinstance(image.get(name), str):
            yield image[name]
    for value in image.values():
        if isinstance(value, dict):
            yield from _digests(value)


def _links(execution: dict[str, Any]) -> str:
    undone_by = execution.get("compensated_by") or []
    does = "undoes" if execution.get("nature") == "restore" else "makes up for"
    links = [f"{does} {execution['compensates']}"] if execution.get("compensates") else []
    return ", ".join([*links, *(f"undone by {other}" for other in undone_by)])
