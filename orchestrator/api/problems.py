"""What can be wrong with a request before the service hears of it, and headers that some problems come with."""

from __future__ import annotations

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


def headers_of(problem: Problem) -> Mapping[str, str] | None:
    """Give the headers that belong to a problem."""
    if isinstance(problem, MethodNotAllowed):
        return {"Allow": problem.allow}
    return {"Retry-After": "1"} if isinstance(problem, Unavailable) else None
