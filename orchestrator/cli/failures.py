"""What a command can end with other than success: exit codes, and the failures that carry them.

The exit codes are part of the contract (SPEC §9); scripts go by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

DONE = 0
ERROR = 1
USAGE = 2
ROLLED_BACK = 3
FAILED = 4
ON_HOLD = 5
NOT_FOUND = 6
CONFLICT = 7
NOT_ALLOWED = 8
UNREACHABLE = 9
TIMED_OUT = 124  # as timeout(1) says it
INTERRUPTED = 130  # as a shell says it

_OF_STATUS = {400: USAGE, 413: USAGE, 415: USAGE, 422: USAGE, 403: NOT_ALLOWED, 404: NOT_FOUND, 409: CONFLICT}


class Failure(Exception):
    """The command could not do what it was asked to."""

    exit_code = ERROR

    def __init__(self, message: str, *more: str, exit_code: int | None = None) -> None:
        """Say what is wrong in one line, then whatever else helps: what to do about it."""
        super().__init__(message)
        self.lines = [message, *more]
        if exit_code is not None:
            self.exit_code = exit_code


class Misused(Failure):
    """What was typed, or the file that it names, cannot be used."""

    exit_code = USAGE


class Unreachable(Failure):
    """No daemon answers on the socket."""

    exit_code = UNREACHABLE


class Refused(Failure):
    """The daemon has answered, and the answer is no (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any], file: str = "") -> None:
        """Take the problem from an answer; ``file`` is the name of the file that its places are in."""
        detail = (
            problem.get("detail") or problem.get("title") or f"the daemon answered {status} and said no more"
        )
        super().__init__(
            str(detail), *findings(problem.get("errors"), file), exit_code=_OF_STATUS.get(status, ERROR)
        )
        self.status = status
        self.problem = problem


def findings(found: Any, file: str = "") -> Iterable[str]:
    """Give a line for each problem or warning: ``FILE:LINE:COLUMN: path: problem — hint``."""
    return [finding(each, file) for each in found] if isinstance(found, list) else []


def finding(found: Any, file: str = "") -> str:
    """Write one problem or warning of a file on one line."""
    if not isinstance(found, dict):
        return str(found)
    hint = f" — {found['hint']}" if found.get("hint") else ""
    text = f"{found.get('problem') or found.get('detail') or found.get('message') or found}{hint}"
    where = str(found.get("where") or "")
    return ": ".join(part for part in (_placed(where, file), text) if part)


def _placed(where: str, file: str) -> str:
    # The daemon never learns the file's name. A place that it knows the line of begins with it ("12:5: steps[2]");
    # any other may be in the file or beside it (an input that was not given), so nothing is said that may be wrong.
    if not file or where.startswith(f"{file}:"):
        return where
    if re.match(r"\d+(:|$)", where):
        return f"{file}:{where}"
    return f"{file}: {where}" if where == "the whole file" else where
