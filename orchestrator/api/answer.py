"""Whole answers: a status, headers and a body that leave in one write.

aiohttp asks three things of what a handler returns: `prepare`, `write_eof` and `keep_alive`. Its own `Response` does
far more than is needed here (cookies, ranges, compression), and took as long as all the rest of a small request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from orchestrator.api.problems import headers_of
from orchestrator.problems import Item, Problem

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

JSON = "application/json"
PROBLEM = "application/problem+json"

_FIRST_LINE = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}


class Answer:
    """An answer. ``closes``: the connection is of no more use behind it."""

    __slots__ = ("_closes", "_headers", "body", "keep_alive", "media", "status")

    version = ""
    """What `Sagad-Version` says; the server sets it."""

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        *,
        media: str = JSON,
        headers: Mapping[str, str] | None = None,
        closes: bool = False,
    ) -> None:
        self.body = body
        self.status = status
        self.media = media
        self.keep_alive = False
        self._headers = headers
        self._closes = closes

    async def prepare(self, request: BaseRequest) -> None:
        """Send everything; return once the kernel has it, or nearly."""
        self.keep_alive = not self._closes and bool(request.keep_alive)
        head = self._head(is_old=request.version < (1, 1))
        await request.writer.write(head if request.method == "HEAD" else head + self.body)

    async def write_eof(self) -> None:
        """Send the rest: there is none."""

    def _head(self, *, is_old: bool) -> bytes:
        more = "".join(f"{name}: {value}\r\n" for name, value in (self._headers or {}).items())
        if not self.keep_alive:
            more += "Connection: close\r\n"
        elif is_old:
            more += "Connection: keep-alive\r\n"
        return (
            f"{_FIRST_LINE[self.status]}Content-Type: {self.media}\r\nContent-Length: {len(self.body)}\r\n"
            f"Date: {_date(int(time.time()))}\r\nSagad-Version: {self.version}\r\n{more}\r\n"
        ).encode("latin-1", "replace")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, for whoever must act on it (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Item]


def problem_document(problem: Problem) -> bytes:
    """Give a problem as JSON."""
    return msgspec.json.encode(
        ProblemDocument(
            type=f"urn:sagad:problem:{problem.code}",
            title=problem.title,
            status=problem.status,
            detail=problem.detail,
            code=problem.code,
            errors=problem.errors,
        )
    )


def problem_answer(problem: Problem, *, closes: bool = False) -> Answer:
    """Give the answer that a problem is."""
    return Answer(
        problem_document(problem),
        problem.status,
        media=PROBLEM,
        headers=headers_of(problem),
        closes=closes,
    )
