"""Events as they happen: server-sent events (HTML Standard, 9.2), that resume from Last-Event-ID.

A stream does not end with its saga, for an ended saga may be taken up again; whoever reads it knows what it waits
for. It ends when the daemon stops, and when its reader is too slow, who is told so where that is still possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from secrets import token_hex
from typing import Any

import structlog
from aiohttp.web import BaseRequest, StreamResponse

from orchestrator.api.answer import Answer, problem_document
from orchestrator.problems import Problem, Unavailable
from store.errors import SubscriberTooSlow

log = structlog.get_logger("sagad.api")

Numbered = tuple[int, str, bytes]
"""An event's number, type and document."""

KEEP_ALIVE = 15.0
"""After so many quiet seconds a comment shows that somebody is there."""

STALLED = 30.0
"""A reader that has taken nothing for so many seconds, with the buffers full, is gone."""

LAST_WORDS = 2.0
"""So long a reader that is dropped has to take what it is told."""

MOST = 256
"""Streams at once. One that nobody reads holds some 150 KB until it is dropped."""

RETRY = b"retry: 1000\n\n"
QUIET = b": nothing new\n\n"


class Streams:
    """All open streams."""

    def __init__(self) -> None:
        self._closing = asyncio.get_running_loop().create_future()
        self._open = 0

    def close(self) -> None:
        """End them all."""
        if not self._closing.done():
            self._closing.set_result(None)

    async def send(self, request: BaseRequest, events: AsyncIterator[Numbered]) -> StreamResponse:
        """Send the events until the reader leaves, is too slow, or the daemon stops.

        Raises Unavailable where as many as may be are open.
        """
        if self._open >= MOST:
            what = f"{MOST} event streams are open, which is as many as may be: read the events by pages (`?after=NUMBER`)"
            raise Unavailable(f"{what}, or close some", code="too_many_streams")
        self._open += 1
        try:
            return await self._send(request, events)
        finally:
            self._open -= 1

    async def _send(self, request: BaseRequest, events: AsyncIterator[Numbered]) -> StreamResponse:
        response = _response()
        await response.prepare(request)
        try:
            await _write(response, RETRY)  # the head leaves with it
            async for part in self._parts(events):
                await _write(response, part)
        except TimeoutError:
            _hang_up(request)
        except SubscriberTooSlow as slow:
            await _tell(request, response, Unavailable(str(slow), code="too_slow"))
        except ConnectionError:
            raise
        except Exception:
            incident = token_hex(4)
            log.exception("stream.failed", incident=incident, path=request.raw_path)
            detail = f"sagad failed at this stream: its log says more, under incident {incident}"
            await _tell(request, response, Problem(detail))
        return response

    async def _parts(self, events: AsyncIterator[Numbered]) -> AsyncIterator[bytes]:
        """Give what to send: events, and comments while there are none.

        A wait for an event that was cancelled would end the iterator, so it goes on beside the comments.
        """
        async with aclosing(events):  # type: ignore[type-var]  # it is a generator, whose contract says less
            following: asyncio.Future[Numbered] | None = None
            try:
                while not self._closing.done():
                    following = following or asyncio.ensure_future(anext(events))
                    await asyncio.wait(
                        (following, self._closing),
                        timeout=KEEP_ALIVE,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if not following.done():
                        if not self._closing.done():
                            yield QUIET
                        continue
                    done, following = following, None
                    try:
                        yield _message(*done.result())
                    except StopAsyncIteration:
                        return
            finally:
                await _stop(following)


def _response() -> StreamResponse:
    return StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "Sagad-Version": Answer.version,
        }
    )


def _message(seq: int, type: str, document: bytes) -> bytes:
    # JSON has no line breaks of its own, so the document is one line.
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, type.encode(), document)


async def _write(response: StreamResponse, part: bytes) -> None:
    async with asyncio.timeout(STALLED):
        await response.write(part)


async def _stop(following: asyncio.Future[Any] | None) -> None:
    if following is not None:
        following.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await following


async def _tell(request: BaseRequest, response: StreamResponse, problem: Problem) -> None:
    try:
        async with asyncio.timeout(LAST_WORDS):
            await response.write(b"event: error\ndata: %b\n\n" % problem_document(problem))
            await response.write_eof()
    except TimeoutError:
        _hang_up(request)


def _hang_up(request: BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
