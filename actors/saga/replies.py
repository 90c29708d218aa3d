"""The answers to verbs."""

from __future__ import annotations

from actors.saga.messages import Reply


def accepted(detail: str) -> Reply:
    """Say that it is done, and what comes of it."""
    return Reply("accepted", detail)


def refused(detail: str) -> Reply:
    """Say that it cannot be done, why, and what can."""
    return Reply("refused", detail)


def forbidden(detail: str) -> Reply:
    """Say that it is not for this user to do."""
    return Reply("forbidden", detail)
