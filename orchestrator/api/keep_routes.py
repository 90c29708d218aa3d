"""The routes that keep a node safe: backing it up, and looking at its health from the ground up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from aiohttp.web import StreamResponse

from orchestrator import answers
from orchestrator.api.answer import Answer
from orchestrator.api.route import Ask, Result, Route
from orchestrator.keep import Keep

TAR = "application/x-tar"

STALLED = 60.0
"""A reader that has taken nothing for so many seconds is gone, and the room of the copy is given back."""


async def backup(ask: Ask) -> Result:
    """Send a backup: a whole one, or the connection breaks before its length is reached."""
    async with _keep(ask).backup(ask.caller) as made:
        response = StreamResponse(
            headers={
                "Content-Type": TAR,
                "Content-Length": str(made.size),
                "Sagad-Version": Answer.version,
            }
        )
        await response.prepare(ask.request)
        try:
            async with aclosing(_off_the_loop(made.chunks())) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(STALLED):
                        await response.write(chunk)
        except (OSError, TimeoutError):
            # What is left out cannot be said any more: the head has gone out. The missing end says it.
            if ask.request.transport is not None:
                ask.request.transport.abort()
            raise ConnectionError("the backup was cut off") from None
        await response.write_eof()
    return response


def _keep(ask: Ask) -> Keep:
    assert ask.service.keep is not None
    return ask.service.keep


async def _off_the_loop(chunks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


async def doctor(ask: Ask) -> Result:
    """Look at everything."""
    return Answer(await _keep(ask).doctor())


KEEP_ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/backup",
        role="admin",
        handler=backup,
        summary="All that is on record, and the blobs, as a tar; never the node's key",
        answers=TAR,
        problems=(503,),
    ),
    Route(
        method="GET",
        path="/v1/doctor",
        role="operator",
        handler=doctor,
        summary="Everything that can be wrong with a node, looked at: settings, folder, disk, record, blobs, secrets",
        answers=answers.Examined,
    ),
)
