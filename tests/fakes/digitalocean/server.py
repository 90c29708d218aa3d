"""The HTTP side: a request becomes `Asked`, faults strike, the token and the rate are looked at, a family answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.digitalocean import (
    account,
    actions,
    apps,
    domains,
    droplets,
    firewalls,
    images,
    reserved_ips,
    spaces,
    tags,
    volumes,
)
from tests.fakes.digitalocean.contract import contract
from tests.fakes.digitalocean.faults import Fault, broken
from tests.fakes.digitalocean.wire import Answer, Asked, Body, Refused, Route, unprocessable

if TYPE_CHECKING:
    from tests.fakes.digitalocean.fake import FakeDigitalOcean

FAMILIES = (
    account,
    actions,
    droplets,
    images,
    volumes,
    tags,
    domains,
    firewalls,
    reserved_ips,
    spaces,
    apps,
)
TABLE: list[Route] = [row for family in FAMILIES for row in family.ROUTES.table]


class Server:
    """Listens on loopback, on a port of its own."""

    def __init__(self, fake: FakeDigitalOcean) -> None:
        self._fake = fake
        self._runner: web.ServerRunner | None = None
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Listen."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._fake.cloud.base = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop; what is slow waits no longer, also where its client has long gone."""
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = _read(request, await request.read(), self._fake.clock())
        self._fake.requests.append(asked)
        struck = [fault for fault in self._fake.faults if fault.strikes(asked)]
        fault = struck[0] if struck else None
        with self._fake.cloud.lock:
            answer = self._answer(asked, fault)
            data = _written(answer)  # now: what is shown of an object changes while a slow answer waits
        if fault is not None and fault.kind == "slow":
            await self._wait(fault.seconds)
        return _sent(request, answer, data, fault)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    def _answer(self, asked: Asked, fault: Fault | None) -> Answer:
        fake = self._fake
        fake.clock.tick()
        fake.cloud.settle()
        now = fake.clock()
        answer = fake.rate.take(now) or self._faulty(asked, fault)
        answer = replace(answer, headers=fake.rate.headers(now) | answer.headers)
        self._check(asked, answer)
        return answer

    def _faulty(self, asked: Asked, fault: Fault | None) -> Answer:
        """The answer, or the fault's instead; nothing has happened then, unless it strikes after the effect."""
        if fault is None:
            return self._allowed(asked)
        if fault.after:
            answer = self._allowed(asked)
        else:
            answer = broken(500)
            self._check(asked, None)
        return fault.answer or answer

    def _allowed(self, asked: Asked) -> Answer:
        if asked.token not in {self._fake.token, self._fake.read_token}:
            return Answer(401, {"id": "unauthorized", "message": "Unable to authenticate you"})
        if wrong := self._check(asked, None):
            return unprocessable(f"against the contract: {wrong[0]}").answer
        if asked.token == self._fake.read_token and asked.method != "GET":
            message = "You are not authorized to perform this operation"
            return Answer(403, {"id": "forbidden", "message": message})
        return self._done(asked)

    def _done(self, asked: Asked) -> Answer:
        try:
            return _dispatch(self._fake, asked)
        except Refused as refused:
            return refused.answer
        except (KeyError, TypeError, ValueError, AttributeError):
            # The fake's own fault; or, where there is no contract, a request with a value of a wrong type.
            self._fake.violations.append(
                f"{asked.method} {asked.path}: the fake broke: {traceback.format_exc()}"
            )
            return Answer(500, {"id": "server_error", "message": "the fake broke"})

    def _check(self, asked: Asked, answer: Answer | None) -> list[str]:
        held = contract()
        wrong = held.faults(asked, answer) if held is not None else []
        self._fake.violations.extend(wrong)
        return wrong


def _sent(request: web.BaseRequest, answer: Answer, data: bytes, fault: Fault | None) -> web.StreamResponse:
    if fault is not None and fault.kind == "lose" and request.transport is not None:
        request.transport.abort()
    if fault is not None and fault.kind == "garble":
        data = fault.body
    headers = answer.headers | ({"content-type": "application/json; charset=utf-8"} if data else {})
    return web.Response(status=answer.status, body=data or None, headers=headers)


def _dispatch(fake: FakeDigitalOcean, asked: Asked) -> Answer:
    for method, path, handler in TABLE:
        found = path.fullmatch(asked.path)
        if found and method == asked.method:
            return handler(fake.cloud, replace(asked, ids=found.groupdict()))
    fake.violations.append(f"{asked.method} {asked.path}: the fake does not have this")
    return Answer(501, {"id": "not_implemented", "message": "the fake does not have this"})


def _read(request: web.BaseRequest, raw: bytes, at: float) -> Asked:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return Asked(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        body=_parsed(raw),
        raw=raw,
        token=token if scheme == "Bearer" else None,
        content_type=request.content_type,
        at=at,
    )


def _parsed(raw: bytes) -> Body:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        return Body()
    return Body(body) if isinstance(body, dict) else Body()


def _written(answer: Answer) -> bytes:
    return b"" if answer.body is None else json.dumps(answer.body).encode()
