"""What goes wrong on request: a fault is for a method, a path pattern and the n-th such request, once or more often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from tests.fakes.digitalocean.wire import Answer, Asked

Kind = Literal["lose", "answer", "slow", "garble"]


@dataclass
class Fault:
    """One fault and what is left of it."""

    kind: Kind
    method: str
    path: str
    """``*`` is one segment of a path, ``**`` is any number of them."""
    nth: int = 1
    """The first request that it strikes, counted from now."""
    times: int = 1
    after: bool = False
    """True: the request has its effect first."""
    answer: Answer | None = None
    seconds: float = 0.0
    body: bytes = b""
    struck: int = 0
    """How often it has struck."""
    _seen: int = field(default=0, repr=False)

    def strikes(self, asked: Asked) -> bool:
        """True where the request is one of those; it counts as seen."""
        if self.method not in {"*", asked.method} or not _fits(self.path, asked.path):
            return False
        self._seen += 1
        hit = self.nth <= self._seen < self.nth + self.times
        self.struck += hit
        return hit


def _fits(path: str, actual: str) -> bool:
    parts = re.split(r"(\*\*|\*)", path)
    wild = {"*": "[^/]+", "**": ".*"}
    return re.fullmatch("".join(wild.get(part, re.escape(part)) for part in parts), actual) is not None


def too_many(retry_after: float | None) -> Answer:
    """A 429 as the service writes it."""
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return Answer(429, {"id": "too_many_requests", "message": "API Rate limit exceeded."}, headers)


def broken(status: int) -> Answer:
    """A 5xx as the service writes it."""
    names = {500: "server_error", 502: "bad_gateway", 503: "service_unavailable", 504: "gateway_timeout"}
    return Answer(
        status, {"id": names.get(status, "server_error"), "message": "Unexpected server-side error"}
    )
