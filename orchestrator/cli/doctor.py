"""``doctor``: everything that can be wrong with a node, looked at, with or without its daemon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.draw import Words, print_lines
from orchestrator.cli.failures import DONE, ERROR, Unreachable
from orchestrator.cli.options import command
from orchestrator.cli.session import Session

if TYPE_CHECKING:
    from config.settings import Settings

_STYLES = {"ok": "completed", "warn": "hold", "fail": "failed"}


@command(examples="sagactl doctor\nsudo sagactl doctor --state-dir /var/lib/sagad")
@click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Look at this folder, without its daemon.",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The settings file, where no daemon answers.",
)
@click.pass_obj
def doctor(session: Session, state_dir: Path | None, config: Path | None) -> int:
    """Look at everything that can be wrong with this node.

    It says of each what to do about it: the settings, who can get at the state folder and the socket, room and speed of
    the disk, the clock, every page of the database, the chain, the checkpoints, the blobs and the secrets. It changes
    nothing. Where no daemon answers it looks by itself, for which it must be root or the user that sagad runs as. Exits 1
    if anything fails.
    """
    document, nobody = (None, None) if state_dir or config else _from_daemon(session)
    if document is None:
        document = _apart(config, state_dir)
    if nobody is not None:
        finding = {
            "check": "daemon",
            "status": "warn",
            "detail": nobody.lines[0],
            "remedy": "; ".join(nobody.lines[1:]),
        }
        document["checks"].insert(0, finding)
    if session.json:
        session.document_of(document)
    else:
        _print(session, document["checks"])
    return DONE if document["ok"] else ERROR


def _from_daemon(session: Session) -> tuple[dict[str, Any] | None, Unreachable | None]:
    try:
        return dict(session.client.get("/v1/doctor", timeout=None).document()), None
    except Unreachable as nobody:
        session.note(f"note: {nobody.lines[0]}; looking without it")
        return None, nobody


def _apart(config: Path | None, state_dir: Path | None) -> dict[str, Any]:
    from msgspec import to_builtins

    from config.settings import load
    from orchestrator.doctor.examine import examine_apart

    def read() -> Settings:
        return load(config, os.environ, state_dir=state_dir)

    return dict(to_builtins(examine_apart(read)))


def _print(session: Session, checks: list[dict[str, Any]]) -> None:
    shown = [each for each in checks if not session.quiet or each["status"] != "ok"]
    print_lines(session, [line for each in shown for line in _lines(each)])


def _lines(check: dict[str, Any]) -> list[Words]:
    status = check["status"]
    lines: list[Words] = [
        [
            (f"{status:<5} ", _STYLES.get(status, "")),
            (f"{check['check']:<13} ", "strong"),
            (check["detail"], ""),
        ]
    ]
    if check["remedy"]:
        lines.append([(" " * 20, ""), (check["remedy"], "faint")])
    return lines
