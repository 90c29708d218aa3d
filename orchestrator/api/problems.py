"""What can be wrong with a request before the service hears of it, and headers that some problems come with."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Mapping

from orchestrator.problems import Problem, Unavailable


class MethodNotAllowed(Problem):
    """There is such a route, but not with this method."""

    status, code, title = 405, "method_not_allowed", "Not with this method"

    def __init__(self, method: str, path: str, allowed: Iterable[str]) -> None:
        """Name the methods that there are."""
        self.allow = ", ".join(allowed)
        super().__init__(f"{path} does not take {method}: it takes {self.allow}")


class TooSlow(Problem):
    """The client did not finish its request in time."""

    status, code, title = 408, "too_slow", "The request did not arrive in time"


class Unsupported(Problem):
    """The body is written in a way that is not understood here."""

    status, code, title = 415, "unsupported", "The body cannot be understood"


class NoDescriptors(Unavailable):
    """The process, or the machine, has no file descriptors left."""

    code = "no_descriptors"

    def __init__(self) -> None:
        """Say how to have more."""
        super().__init__(
            "sagad can open no file for this: most likely it has no file descriptors left; close connections and"
            " event streams, or raise its limit (LimitNOFILE= of its unit); what is on record goes on"
        )


def lacks_descriptors(error: BaseException) -> bool:
    """Tell whether this came of having no file descriptors left. SQLite and the importer say so in words of their own."""
    if isinstance(error, OSError):
        return error.errno in (errno.EMFILE, errno.ENFILE)
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN
    return isinstance(error, ImportError) and os.strerror(errno.EMFILE) in str(error)


def headers_of(problem: Problem) -> Mapping[str, str] | None:
    """Give the headers that belong to a problem."""
    if isinstance(problem, MethodNotAllowed):
        return {"Allow": problem.allow}
    return {"Retry-After": "1"} if isinstance(problem, Unavailable) else None
