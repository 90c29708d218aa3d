"""What goes wrong for a caller, in the form that the API answers with (RFC 9457).

The service raises these; ``api`` turns them into problem documents and ``sagactl`` into exit codes.
"""

from __future__ import annotations

import msgspec


class Item(msgspec.Struct, frozen=True):
    """One thing wrong with what was sent."""

    where: str
    problem: str
    hint: str = ""


class Problem(Exception):
    """Something the caller must act on. ``detail`` says what, why and what to do."""

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str, errors: list[Item] | None = None, *, code: str | None = None) -> None:
        """Carry the detail, every single error, and a code more exact than the family's."""
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.code = code or self.code


class Malformed(Problem):
    """The request itself cannot be read."""

    status, code, title = 400, "malformed", "The request cannot be read"


class Invalid(Problem):
    """The file, its inputs or an argument are not valid; every problem is in ``errors``."""

    status, code, title = 422, "invalid", "Not valid"


class NotAllowed(Problem):
    """The caller's role does not allow it."""

    status, code, title = 403, "not_allowed", "Not allowed"


class NotFound(Problem):
    """There is no such thing."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(Problem):
    """Not in this state; the detail names what is possible instead."""

    status, code, title = 409, "conflict", "Not possible now"


class TooLarge(Problem):
    """More bytes than the limit."""

    status, code, title = 413, "too_large", "Too large"


class Unavailable(Problem):
    """Not now: the disk is full, the daemon drains or stops."""

    status, code, title = 503, "unavailable", "Not now"
