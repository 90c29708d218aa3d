"""DigitalOcean's API over HTTP, and an honest word about what came of each request.

One session for all types of the provider, its connections kept open. Nothing is sent twice by itself: aiohttp's own
repeats are switched off, redirects are not followed. No create of this service takes an idempotency key, so a repeat
is the drivers' to make safe, by looking first.

What comes of a request, by the first row that fits:

    no connection                              failed, may be tried again: nothing was sent
    401, 403, 409, 422 and any other 4xx       failed, with the service's message; 404 is absence, where that is asked
    429                                        failed, rate-limited
    408, 425                                   failed, may be tried again
    connection lost, no answer in time,        GET: failed, may be tried again · else unknown
    5xx, an answer that cannot be read

A token is the name of a secret, read at each request: a new one counts at once, and none is kept or written here.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from providers.contract import READS_ONLY, Ended, Failed, Outcome, Unknown, beginning
from providers.limits import Limits, limited

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

SERVICE = "digitalocean"
"""Its name among the services that drivers ask."""

BASE_URL = "https://api.digitalocean.com"
PER_PAGE = 200
"""As many as the service gives on one page."""

CONNECT_TIME = 10.0
ANSWER_TIME = 60.0
"""Seconds for an answer, with its body. Whatever takes longer is an action, which is polled."""

READ = 8 * 1024 * 1024
"""Bytes of an answer that are read; a longer one cannot be read."""

QUOTED = 500
"""Characters of an answer that an error's text repeats."""

OK = range(200, 300)
CLIENT_ERRORS = range(400, 500)
NOT_TAKEN = frozenset({408, 425})

Thing = dict[str, Any]
"""A JSON object of the service."""


class Client:
    """Asks the service, within its limits, with the settings as they are at that moment."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the provider's settings. Opens nothing."""
        self.settings = settings
        self._limits: Limits | None = None
        self._session: ClientSession | None = None

    @classmethod
    def shared(cls, settings: Mapping[str, Any]) -> Client:
        """Give the client that all types share which were made with these settings: limits count for all together."""
        shared: dict[str, Client] | None = settings.get("shared")
        if shared is None:
            return cls(settings)
        return shared.setdefault("client", cls(settings))

    # -- what can be asked -----------------------------------------------------------------------------------------

    async def get(self, path: str, *, reader: bool = False, **query: Any) -> Thing | None:
        """Get an object; None where the service has none (404). ``reader``: with the ``read_token``, if there is one."""
        return await self._ask("GET", path, query=query, reader=reader)

    async def pages(
        self, path: str, many: str, *, reader: bool = False, **query: Any
    ) -> AsyncIterator[Thing]:
        """Give every object of a list, page after page; of a list that is not there, none."""
        size, page = int(self.settings.get("per_page", PER_PAGE)), 1
        while True:
            answer = await self.get(path, reader=reader, **query, per_page=size, page=page) or {}
            found = answer.get(many) or []
            if not isinstance(found, list):
                raise Ended(
                    Failed("unreadable", f"GET {path}: `{many}` is no list", transient=True, down=True)
                )
            for thing in found:
                yield thing
            if not _goes_on(answer) and len(found) < size:
                return
            if not found or _is_last(answer):
                return
            page += 1

    async def post(self, path: str, body: Thing) -> Thing:
        """Post; a 404 is a failure that names the path. Raises Ended."""
        return _present(await self._ask("POST", path, body=body), "POST", path)

    async def put(self, path: str, body: Thing) -> Thing:
        """Put, as ``post``."""
        return _present(await self._ask("PUT", path, body=body), "PUT", path)

    async def patch(self, path: str, body: Thing) -> Thing:
        """Patch, as ``post``."""
        return _present(await self._ask("PATCH", path, body=body), "PATCH", path)

    async def delete(self, path: str) -> bool:
        """Delete; False where the service has no such thing (404)."""
        return await self._ask("DELETE", path) is not None

    # -- one request -----------------------------------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Thing | None = None,
        reader: bool = False,
    ) -> Thing | None:
        import aiohttp
        from yarl import URL

        base = str(self.settings.get("base_url") or BASE_URL).rstrip("/")
        url = URL(base + path + (f"?{urlencode(query)}" if query else ""), encoded=True)
        headers = {
            "Authorization": f"Bearer {self._token(reader=reader)}",
            "Content-Type": "application/json",
        }
        where = f"{method} {path}"
        limits = self._limited()
        try:
            async with (
                limits.turn() as turn,
                self._client().request(
                    method,
                    url,
                    headers=headers,
                    data=None if body is None else msgspec.json.encode(body),
                    allow_redirects=False,
                ) as response,
            ):
                data = await _read(response)
                limits.heed(turn, response.headers)
                return self._judge(where, response, data)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Ended(
                Failed("certificate", f"{where}: its certificate is not to be trusted: {error}")
            ) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Ended(
                Failed("not_connected", f"{where}: {_said(error)}", transient=True, down=True)
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Ended(lost(where, "no_answer", f"no answer that can be read: {_said(error)}")) from error

    def _token(self, *, reader: bool) -> str:
        reader = reader or READS_ONLY.get()
        name = (self.settings.get("read_token") if reader else None) or self.settings.get("token")
        if name is None:
            raise Ended(Failed("secret", "no token: name its secret in [providers.digitalocean] token"))
        give: Callable[[str], str] | None = self.settings.get("secret")
        if give is None:
            raise Ended(Failed("secret", f"secret `{name}`: this daemon gives no secrets to its drivers"))
        try:
            return give(name)
        except Exception as error:
            raise Ended(Failed("secret", str(error))) from error

    def _limited(self) -> Limits:
        if self._limits is None:
            self._limits = Limits(SERVICE, self.settings.get("wall") or time.time)
        rate = self.settings.get("rate")
        count, per = (250, 60.0) if rate is None else (rate.count, rate.per / 1000)
        self._limits.allow(count, per, int(self.settings.get("parallel", 8)))
        return self._limits

    def _judge(self, where: str, response: ClientResponse, data: bytes) -> Thing | None:
        """Turn the answer into an object, or None for 404, or raise Ended: the table at the head of this file."""
        status = response.status
        if status in OK:
            return _object(where, data)
        if status == HTTPStatus.NOT_FOUND:
            return None
        said = f"{where} was answered {status}: {_message(data)}"
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Ended(limited(self._limited().refused(response.headers), said))
        if status in CLIENT_ERRORS:
            raise Ended(Failed(f"http_{status}", said, transient=status in NOT_TAKEN))
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Ended(Failed(f"http_{status}", f"{said}; is `base_url` right?"))
        raise Ended(lost(where, f"http_{status}", said))

    def _client(self) -> ClientSession:
        """Give the session, made at the first request: it belongs to the loop that runs then."""
        from providers.session import session

        if self._session is None or self._session.closed:
            self._session = session(connect=CONNECT_TIME, answer=ANSWER_TIME)
        return self._session

    async def close(self) -> None:
        """Close the session; a later request opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def lost(where: str, code: str, message: str) -> Outcome:
    """Say that a request was sent and its effect is not known, which matters only if it could have had one.

    Either way it says that the service is down.
    """
    text = message if message.startswith(where) else f"{where}: {message}"
    if where.startswith("GET "):
        return Failed(code, text, transient=True, down=True)
    return Unknown(code, text, down=True)


def part(answer: Thing, name: str, where: str, *fields: str) -> Thing:
    """Give the named object of an answer, which has these fields. Their document promises few of them.

    Raises Ended: of a request that changed something the outcome is unknown, ``find`` will look.
    """
    thing = answer.get(name)
    missing = (
        fields if not isinstance(thing, dict) else [field for field in fields if thing.get(field) is None]
    )
    if not isinstance(thing, dict) or missing:
        which = ", ".join(f"{name}.{field}" for field in missing) or name
        raise Ended(lost(where, "unreadable", f"its answer lacks {which}"))
    return thing


def path(*parts: object) -> str:
    """Make a path below /v2 of parts that may hold anything."""
    return "/v2/" + "/".join(quote(str(part), safe="") for part in parts)


async def _read(response: ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        data += chunk
        if len(data) > READ:
            raise OSError(f"its answer is longer than {READ} bytes")
    return bytes(data)


def _object(where: str, data: bytes) -> Thing:
    if not data.strip():
        return {}
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Ended(lost(where, "unreadable", "its answer is no JSON object"))
    return value


def _message(data: bytes) -> str:
    """Give the service's own words: ``{"id": …, "message": …}``."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    said = value.get("message") if isinstance(value, dict) else None
    return beginning(str(said or data.decode(errors="replace").strip() or "nothing more"), QUOTED)


def _present(answer: Thing | None, method: str, path: str) -> Thing:
    if answer is None:
        raise Ended(Failed("not_found", f"{method} {path}: the service has no such thing"))
    return answer


def _goes_on(answer: Thing) -> bool:
    pages = (answer.get("links") or {}).get("pages") or {}
    return bool(pages.get("next"))


def _is_last(answer: Thing) -> bool:
    """Tell whether a full page says of itself that it is the last; one that says nothing may have another after it."""
    pages = (answer.get("links") or {}).get("pages") or {}
    return bool(pages) and not pages.get("next")


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
