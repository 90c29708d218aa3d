"""A server on the loopback that answers as the test says, for what is about answers and not about DigitalOcean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """Notes what it was asked, then answers."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, str]] = []
        self.peers: set[Any] = set()
        self.answer: Handler = say({})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request, then answer it."""
        self.asked.append((request.method, request.path_qs, request.headers.get("Authorization", "")))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        await request.read()
        return await self.answer(request)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Give a provider's table for it."""
        return {
            "base_url": self.url,
            "token": "do",
            "secret": {"do": "t0k3n", "read": "r3ad"}.__getitem__,
        } | more


def say(body: Any = None, *, status: int = 200, text: str | None = None, **headers: str) -> Handler:
    """Make an answer; in a header's name `_` stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handler(_: web.Request) -> web.StreamResponse:
        if text is not None:
            return web.Response(status=status, text=text, headers=named)
        return web.json_response(body, status=status, headers=named)

    return handler


async def lose(request: web.Request) -> web.StreamResponse:
    """Drop the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def served() -> AsyncIterator[Service]:
    """Serve one on a free port."""
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()
