"""The HTTP side: a request becomes `Asked`, faults strike, the token and the rate are looked at, a family answers."""

from __future__ import annotations

import asyncio
import json
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
from tests.fakes.digitalocean.faults import Fault
from tests.fakes.digitalocean.wire import Answer, Asked, Refused, not_found, unprocessable

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
TABLE = [row for family in FAMILIES for row in family.ROUTES.table]


class Server:
    """Listens on loopback, on a port of its own."""

    def __init__(self, fake: FakeDigitalOcean) -> None:
        self._fake = fake
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._fake.cloud.base = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop, whatever is going on."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = _read(request, await request.read(), self._fake.clock())
        self._fake.requests.append(asked)
        faults = [fault for fault in self._fake.faults if fault.strikes(asked)]
        fault = faults[0] if faults else None
        answer = self._answer(asked, fault)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        return self._sent(request, answer, fault)

    def _answer(self, asked: Asked, fault: Fault | None) -> Answer:
        fake = self._fake
        fake.clock.tick()
        now = fake.clock()
        fake.cloud.settle()
        if fault is not None and not fault.after:
            self._check(asked, None)
            answer = fault.answer or Answer(500)
        else:
            answer = fake.rate.take(now) or self._allowed(asked)
        # What takes no time is over before the answer is read, but the answer still calls it in progress.
        if fault is not None and fault.kind == "answer" and fault.answer is not None:
            answer = fault.answer
        return replace(answer, headers=fake.rate.headers(now) | answer.headers)

    def _allowed(self, asked: Asked) -> Answer:
        if asked.token not in {self._fake.token, self._fake.read_token}:
            answer = Answer(401, {"id": "unauthorized", "message": "Unable to authenticate you"})
        elif wrong := self._check(asked, None):
            answer = unprocessable(f"against the contract: {wrong[0]}").answer
        elif asked.token == self._fake.read_token and asked.method != "GET":
            message = "You are not authorized to perform this operation"
            answer = Answer(403, {"id": "forbidden", "message": message})
        else:
            answer = self._done(asked)
        self._check(asked, answer)
        return answer

    def _done(self, asked: Asked) -> Answer:
        try:
            return _dispatch(self._fake, asked)
        except Refused as refused:
            return refused.answer
        except (KeyError, TypeError, ValueError, AttributeError):
            # With the contract the fake's own fault; without it, perhaps a request that lacks something.
            self._fake.violations.append(
                f"{asked.method} {asked.path}: the fake broke: {traceback.format_exc()}"
            )
            return Answer(500, {"id": "server_error", "message": "the fake broke"})

    def _check(self, asked: Asked, answer: Answer | None) -> list[str]:
        held = contract()
        wrong = held.faults(asked, answer) if held is not None else []
        self._fake.violations.extend(wrong)
        return wrong

    def _sent(self, request: web.BaseRequest, answer: Answer, fault: Fault | None) -> web.StreamResponse:
        if fault is not None and fault.kind == "lose" and request.transport is not None:
            request.transport.abort()
        data = b"" if answer.body is None else json.dumps(answer.body).encode()
        if fault is not None and fault.kind == "garble":
            data = fault.body
        headers = answer.headers | ({"content-type": "application/json; charset=utf-8"} if data else {})
        return web.Response(status=answer.status, body=data or None, headers=headers)


def _dispatch(fake: FakeDigitalOcean, asked: Asked) -> Answer:
    for method, path, handler in TABLE:
        if method == asked.method and (found := path.fullmatch(asked.path)):
            return handler(fake.cloud, replace(asked, ids=found.groupdict()))
    raise not_found()


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


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
