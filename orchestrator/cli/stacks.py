"""``plan`` and ``apply``: a stack file, what it would change, and the saga that changes it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.client import Answer
from orchestrator.cli.draw import print_table
from orchestrator.cli.failures import CONFLICT, DONE, Failure, Misused, findings
from orchestrator.cli.options import command, reason_option
from orchestrator.cli.sagas import headline, saga_of
from orchestrator.cli.session import Session
from orchestrator.cli.source import Source, read_source, read_text
from orchestrator.cli.submit import file_option, key_header
from orchestrator.cli.text import brief, count
from orchestrator.cli.verbs import ask
from orchestrator.cli.waiting import WaitingCommand, wait_for, wait_option, wait_seconds

PLAN_SECONDS = 3_600.0
"""A plan reads all that is there, within the providers' rates."""

_HEADS = ("ACTION", "TYPE", "NAME", "CHANGES")
_DESTROYS = frozenset({"delete", "replace"})
_SHOWN = 40
_HOW = "write one with `sagactl plan FILE --out PLAN`"

_destroy_option = click.option(
    "--destroy", is_flag=True, help="As if the file named no resources any more: delete all of the stack."
)

Plan = dict[str, Any]


@command(examples="sagactl plan harbour.yaml --out harbour.plan")
@click.argument("file", metavar="FILE")
@click.option("--out", metavar="FILE", help="Write the plan there, for `sagactl apply --plan`.")
@_destroy_option
@file_option
@click.pass_obj
def plan(session: Session, file: str, *, out: str | None, destroy: bool, format: str | None) -> int:
    """Say what applying a stack file would change.

    FILE is compared with what sagad keeps and with what is really there; nothing is touched. A plan that was saved is refused by apply when
    either side has moved since.
    """
    source = read_source(file, format)
    answer = _planned(session, source, destroy=destroy)
    if out is not None:
        _save(Path(out), source, answer.document())
    if session.json:
        session.document(answer)
    else:
        _print(session, answer.document())
    session.warn(list(findings(answer.document().get("warnings"), source.name)))
    return DONE


@command(cls=WaitingCommand, examples="sagactl apply harbour.yaml\nsagactl apply --plan harbour.plan --yes")
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--plan", "saved", metavar="FILE", help="Apply this plan, as `sagactl plan --out` wrote it.")
@click.option("--revert-accepted", is_flag=True, help="Also put back what was accepted as drift.")
@_destroy_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@reason_option
@click.option(
    "--idempotency-key", "key", metavar="K", help="The same key again gives the same saga, not another."
)
@file_option
@wait_option
@click.option("--no-wait", is_flag=True, help="Return as soon as the saga is durable.")
@click.pass_obj
def apply(session: Session, /, file: str | None, saved: str | None, **given: Any) -> int:
    """Bring what is there to what a stack file wants.

    Prints what is to be done, asks, runs it as a saga, and waits for its end: exits as that did. What deletes or replaces
    something needs --yes where nobody can be asked.
    """
    seconds = wait_seconds(given["wait"])
    if (file is None) == (saved is None):
        raise Misused("give either a stack FILE, or --plan FILE", "`sagactl apply --help`")
    if saved is not None:
        plan, name = _read_saved(saved), saved
    else:
        source = read_source(file or "", given["format"])
        plan, name = _planned(session, source, destroy=given["destroy"]).document(), source.name
    if plan["actions"] and not session.json and not session.quiet:
        _print(session, plan)
    _confirm(plan, yes=given["yes"])
    request = {"plan": plan, **{key: given[key] for key in ("revert_accepted", "reason") if given[key]}}
    answer = session.client.post(
        "/v1/plans/apply", request, key_header(given["key"]), file=name, timeout=PLAN_SECONDS
    )
    return _report(session, answer, seconds, name, waits=not given["no_wait"])


def _planned(session: Session, source: Source, *, destroy: bool) -> Answer:
    request = {"source": source.text, "format": source.format, "destroy": destroy}
    return session.client.post("/v1/plans", request, file=source.name, timeout=PLAN_SECONDS)


def _confirm(plan: Plan, *, yes: bool) -> None:
    """Ask before anything is changed; elsewhere than on a terminal go on, unless something would be deleted."""
    actions = plan["actions"]
    if actions:
        destroys = any(each["action"] in _DESTROYS for each in actions)
        ask(f"Do {_counts(actions)}?", yes=yes, needed=destroys)


def _report(session: Session, answer: Answer, seconds: float | None, name: str, *, waits: bool) -> int:
    document = answer.document()
    if document.get("did") == "nothing":
        if session.json:
            session.document(answer)
        elif not session.quiet:
            session.say(str(document["detail"]))
        return DONE
    saga = saga_of(document)
    if session.quiet and not session.json:
        session.say(saga["id"])
    elif not session.json:
        session.say(headline(saga))
    elif not waits:
        session.document(answer)
    sys.stdout.flush()
    session.warn(list(findings(document.get("warnings"), name)))
    if not waits:
        return DONE
    code = wait_for(session, saga, seconds)
    if not session.json and not session.quiet:
        _print_outcomes(session, str(saga["id"]))
    return code


def _print_outcomes(session: Session, id: str) -> None:
    """Print what became of each action, where not all are done."""
    from orchestrator.cli.client import saga_route

    outcomes = session.client.get(saga_route(id)).document().get("outcomes") or []
    if all(each["status"] == "success" for each in outcomes):
        return
    rows = [
        [each["action"], each["type"], each["name"], each["status"], (each["error"] or {}).get("message")]
        for each in outcomes
    ]
    print_table(session, ("ACTION", "TYPE", "NAME", "OUTCOME", "WHY"), rows, styled=3)


# --- plans ----------------------------------------------------------------------------------------------------------


def _print(session: Session, plan: Plan) -> None:
    actions = plan["actions"]
    if session.quiet:
        for each in actions:
            session.say(each["name"])
        return
    if not actions:
        session.say(f"nothing to do: everything is as the stack {plan['stack']} wants it")
        return
    print_table(session, _HEADS, [_row(each) for each in actions])
    sys.stdout.flush()
    session.note(_counts(actions))


def _row(action: dict[str, Any]) -> list[str]:
    changes = [_change(each) for each in action["changes"]]
    reverts = action.get("reverts_accepted")
    if reverts:
        changes.append(f"puts back what was accepted as drift: {', '.join(reverts)}")
    return [action["action"], action["type"], action["name"], ", ".join(changes)]


def _change(change: dict[str, Any]) -> str:
    now, then = change.get("from"), change.get("to")
    return (
        f"{change['field']}: {_text(then)}"
        if now is None
        else f"{change['field']}: {_text(now)} → {_text(then)}"
    )


def _text(value: Any) -> str:
    return brief(value if isinstance(value, str) else json.dumps(value), _SHOWN)


def _counts(actions: list[dict[str, Any]]) -> str:
    kinds = [each["action"] for each in actions]
    words = [
        f"{kinds.count(kind)} {kind}" for kind in ("create", "update", "replace", "delete") if kind in kinds
    ]
    return f"{count(len(actions), 'action')}: {', '.join(words)}"


def _save(path: Path, source: Source, plan: Plan) -> None:
    """Write a plan with where its file is and what is in it, so that apply can tell whether that has moved."""
    made_from = {"path": str(Path(source.name).absolute()), "sha256": _digest(source.text)}
    try:
        # What a plan says may be for admins' eyes only.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump({**plan, "made_from": made_from}, file, indent=2, ensure_ascii=False)
            file.write("\n")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from error


def _read_saved(name: str) -> Plan:
    """Read a plan that was saved. Raises Failure where its stack file is another by now."""
    try:
        plan = json.loads(read_text(Path(name), name))
    except json.JSONDecodeError as error:
        raise Misused(
            f"{name}:{error.lineno}:{error.colno}: this is no plan: it is not JSON", _HOW
        ) from error
    if not isinstance(plan, dict) or not isinstance(plan.get("actions"), list):
        raise Misused(f"{name} is no plan", _HOW)
    made_from = plan.pop("made_from", None) or {}
    path = Path(made_from.get("path") or os.devnull)
    if path.is_file() and _digest(read_text(path, str(path))) != made_from.get("sha256"):
        raise Failure(
            f"the plan {name} is stale: {path} has changed since it was made",
            f"plan again: sagactl plan {path} --out {name}",
            exit_code=CONFLICT,
        )
    return plan


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
