"""What a look gives: how it is, in words, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.answers import Examination

Look = Callable[[], Iterator[Examination]]


def ok(check: str, detail: str) -> Examination:
    """All is well there."""
    return Examination(check=check, status="ok", detail=detail, remedy=None)


def warn(check: str, detail: str, remedy: str) -> Examination:
    """It works, and somebody should look at it before it does not."""
    return Examination(check=check, status="warn", detail=detail, remedy=remedy)


def fail(check: str, detail: str, remedy: str) -> Examination:
    """Something does not work, or does not hold."""
    return Examination(check=check, status="fail", detail=detail, remedy=remedy)


def looked(check: str, look: Look) -> Iterator[Examination]:
    """Give what a look finds; where it cannot look, that."""
    try:
        yield from look()
    except PermissionError as error:
        remedy = "run it as root, or as the user that sagad runs as"
        yield fail(check, f"it cannot be looked at: {error.filename}: {error.strerror}", remedy)
    except Exception as error:  # noqa: BLE001  a doctor who faints helps nobody
        yield fail(
            check, f"it cannot be looked at: {type(error).__name__}: {error}", "see what it is, and try again"
        )
