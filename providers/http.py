"""`http.request`: one request, sent once, and an honest word about what came of it.

A connection of its own for each request: a kept-alive one that the server has just closed would turn a POST into an
unknown outcome for nothing. aiohttp's own repeats are switched off: repeating is the engine's. Redirects are not followed and cookies
not kept: neither is in the saga, so neither is on the record.

What comes of it, by the first row that fits (SPEC §3, §4; "changing" is any method but GET, HEAD and OPTIONS):

    no connection: refused, no such host, no time  failed, may be tried again: nothing was sent
    connection lost, answer that is not HTTP       changing: unknown · else failed, may be tried again
    a status in `expect` (default: any 2xx)        succeeded; but see `capture`
    404 or 410 to a repeated DELETE                succeeded: gone, as was asked
    429, or 503 with Retry-After                   failed, rate-limited
    any 5xx                                        changing: unknown · else failed, may be tried again
    408, 425                                       failed, may be tried again: the server did not take the request
    any other 4xx, 3xx but 302 and 303             failed
    a 2xx that was not expected, 302, 303          changing: partial · else failed

A 302 or 303 to a form's POST is how servers say that it is done, so it cannot count as "nothing changed". An expected
answer that lacks a field of `capture` is partial too: the request has had its effect, so it is not failed; what later
steps refer to is not there, so it has not succeeded. Partial, it is undone with the rest.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, UnsetType

from providers.contract import (
    Blobs,
    Call,
    Driver,
    Ended,
    Failed,
    Outcome,
    Partial,
    Succeeded,
    Unknown,
    Value,
    Verb,
    beginning,
    cut,
)

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

CONNECT_TIME = 10.0
"""Seconds for one address to accept a connection; past it nothing was sent, which the verb's time limit could not say."""

READ = 8 * 1024 * 1024
"""Bytes of an answer that are read. What a step may put out is the engine's to limit, and is less."""

QUOTED = 500
"""Characters of an answer that an error's text repeats."""

CHANGE_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENT = frozenset({"PUT", "DELETE"})  # RFC 9110 §9.2.2

SUCCESSES = range(200, 300)
SAID_DONE = frozenset({302, 303})
CLIENT_ERRORS = range(400, 500)
NOT_TAKEN = frozenset({408, 425})
SERVER_ERRORS = range(500, 1000)  # an invalid status beyond 599 counts as one (RFC 9110 §15)
GONE = frozenset({404, 410})

OWN_HEADERS = frozenset(
    {"idempotency-key", "host", "content-length", "transfer-encoding", "connection", "trailer", "upgrade"}
)

Token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2

Status = Annotated[int, msgspec.Meta(ge=100, le=599)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to ask. `capture` names outputs by dotted paths into the JSON answer: `data.0.id`."""

    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    headers: dict[str, str | int | float] = {}
    json: Value | UnsetType = UNSET
    body: str | UnsetType = UNSET
    expect: Annotated[list[Status], msgspec.Meta(min_length=1)] | None = None
    capture: dict[str, str] = {}


OUTPUTS = {"status": int, "headers": dict, "json": Any, "body": str}


class Http(Driver):
    """Sends requests."""

    type = "http"
    version = "1.0"
    summary = "sends an HTTP request"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "request": Verb(
            arguments=Request,
            outputs=OUTPUTS,
            open_outputs=True,
            inverse="none",
            repeat="no",
            may_end=frozenset({"partial"}),
            timeout=60_000,
            summary="send one request; redirects are not followed",
        ),
    }

    def __init__(self, settings: Mapping[str, Any], blobs: Blobs) -> None:
        """Open nothing yet."""
        super().__init__(settings, blobs)
        self._session: ClientSession | None = None

    def settle_in(self, settings: Mapping[str, Any]) -> None:
        """Take `allow`: how addresses may begin, or "*" for any. Without it nothing may be asked."""
        super().settle_in(settings)
        self._allow = list(settings.get("allow", ()))

    def refine(self, verb: str, arguments: Request) -> Verb:
        """GET, HEAD and OPTIONS change nothing; PUT and DELETE may be repeated."""
        declared = self.verbs[verb]
        if arguments.method in CHANGE_NOTHING:
            return msgspec.structs.replace(declared, changes=False, repeat="idempotent", may_end=frozenset())
        if arguments.method in IDEMPOTENT:
            return msgspec.structs.replace(declared, repeat="idempotent")
        return declared

    def check(self, verb: str, arguments: Request) -> list[str]:
        """Refuse addresses that are not allowed and what cannot be sent."""
        return [*_address_problems(arguments.url, self._allow), *_message_problems(arguments)]

    async def apply(self, call: Call) -> Outcome:
        """Send the request and judge its answer."""
        import aiohttp

        if problems := self.check(call.verb, call.arguments):
            raise Ended(Failed("not_allowed", "; ".join(problems)))
        where = f"{call.arguments.method} {call.arguments.url}"
        try:
            answer = await self._ask(call)
        except aiohttp.ClientConnectorCertificateError as error:
            return Failed("certificate", f"{where}: its certificate is not to be trusted: {error}")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Failed("not_connected", f"{where}: {_said(error)}", transient=True)
        except (aiohttp.ClientError, OSError) as error:
            return _lost(call, f"{where}: no answer that can be read: {_said(error)}")
        return _judge(call, answer)

    async def _ask(self, call: Call) -> "_Answer":
        request: Request = call.arguments
        sent = {name: str(value) for name, value in request.headers.items()} | {"Idempotency-Key": call.key}
        async with self._client().request(
            request.method,
            _address(request.url),
            headers=sent,
            data=_payload(request, sent),
            allow_redirects=False,
        ) as response:
            return await _read(response)

    def _client(self) -> "ClientSession":
        """Give the session, made at the first request: it belongs to the loop that runs then."""
        from providers.session import session

        if self._session is None or self._session.closed:
            self._session = session(connect=CONNECT_TIME, force_close=True, limit=0)
        return self._session

    async def close(self) -> None:
        """Close the session; a later request opens another."""
        if self._session is not None:
            await self._session.close()
            self._session = None


# --- the request ----------------------------------------------------------------------------------------------------


def _address(url: str) -> "URL":
    """Parse as the client will, once, for the check and the request alike: two parsers may disagree."""
    from yarl import URL

    return URL(url)


def _address_problems(url: str, allow: list[str]) -> Iterator[str]:
    try:
        address = _address(url)
    except ValueError as error:
        yield f"url: `{url}` is not an address: {error}"
        return
    if address.scheme not in {"http", "https"} or not address.raw_host:
        yield f"url: `{url}` is not an address: write http://HOST/… or https://HOST/…"
    elif re.search(r"[\x00-\x1f\x7f]", url) or re.search(r"[\s%\\]", address.raw_host):
        yield f"url: `{url}` holds a control character, or a blank in the host: remove it"
    elif address.raw_user is not None or address.raw_password is not None:
        yield f"url: the address of {address.raw_host} carries a user name: use the Authorization header instead"
    elif not any(_begins(address, prefix) for prefix in allow):
        may = ", ".join(allow) or "nothing"
        yield f"url: `{url}` may not be asked; allowed is {may}: add it to `allow` in [providers.http]"


def _begins(address: "URL", prefix: str) -> bool:
    """Tell whether the address lies below the prefix: the same scheme, host and port, and a path that begins so."""
    if prefix == "*":
        return True
    allowed = _address(prefix)
    # The client has resolved plain dot segments; an encoded slash, a backslash or a path parameter (`..;`) could hide
    # one from it and not from the server.
    climbs = ".." in re.split(r"[/\\;]", unquote(address.raw_path))
    same_server = _server(address) == _server(allowed)
    return same_server and address.raw_path_qs.startswith(allowed.raw_path_qs) and not climbs


def _server(address: "URL") -> tuple[str, str | None, int | None]:
    return address.scheme, address.raw_host, address.port


def _message_problems(request: Request) -> Iterator[str]:
    if request.json is not UNSET and request.body is not UNSET:
        yield "json and body are both given: leave one of them out"
    for name, value in request.headers.items():
        if not Token.fullmatch(name):
            yield f"headers: `{name}` is not a header's name (RFC 9110 §5.1)"
        elif name.lower() in OWN_HEADERS:
            yield f"headers: {name} is set by sagad: remove it"
        elif re.search(r"[\x00-\x08\x0a-\x1f\x7f]", str(value)):
            yield f"headers: the value of {name} holds a line break or control character: remove it"
    for name, path in request.capture.items():
        if name in OUTPUTS:
            yield f"capture: `{name}` is an output of every request: choose another name"
        if not all(path.split(".")):
            yield f"capture: `{path}` is not a path: write names and list positions with dots between, as `data.0.id`"


def _payload(request: Request, headers: dict[str, str]) -> bytes | None:
    """Give the body's bytes, and name their type in the headers where the saga does not."""
    if request.json is not UNSET:
        kind, data = "application/json", msgspec.json.encode(request.json)
    elif request.body is not UNSET:
        kind, data = "text/plain; charset=utf-8", request.body.encode()
    else:
        return None
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return data


# --- the answer -----------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct, frozen=True):
    """An answer as it was read: `data` is cut at READ, then `whole` is False."""

    status: int
    headers: dict[str, str]
    data: bytes
    whole: bool
    charset: str

    @property
    def text(self) -> str:
        """The answer as text; where it was cut, it says so."""
        more = "" if self.whole else cut("the answer")
        try:
            return self.data.decode(self.charset, errors="replace") + more
        except (LookupError, ValueError):  # the server names an encoding that is none
            return self.data.decode(errors="replace") + more

    def json(self) -> Value | UnsetType:
        """The answer's JSON value; UNSET where it is none."""
        try:
            return msgspec.json.decode(self.data) if self.whole else UNSET
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return UNSET

    def outputs(self, value: Value | UnsetType) -> dict[str, Value]:
        """What the step puts out: `json` where the answer is such, else `body`."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = kind == "application/json" or kind.endswith("+json")
        known: dict[str, Value] = {"status": self.status, "headers": self.headers}
        if is_json and value is not UNSET:
            return known | {"json": value}
        return known | {"body": self.text}


async def _read(response: "ClientResponse") -> _Answer:
    data = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        data += chunk
        if len(data) > READ:
            break
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    charset = response.charset or "utf-8"
    return _Answer(response.status, headers, bytes(data[:READ]), len(data) <= READ, charset)


def _judge(call: Call, answer: _Answer) -> Outcome:
    """Turn the answer into an outcome: the table at the head of this file."""
    request: Request = call.arguments
    value = answer.json()
    outputs = answer.outputs(value)
    if _is_expected(call, answer.status):
        return _captured(request, value, outputs)
    code, message = f"http_{answer.status}", _complaint(request, answer)
    wait = _retry_after(answer.headers.get("retry-after"), call.now)
    busy = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None
    if busy or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Failed(code, message, transient=True, rate_limited=True, retry_after=wait)
    if answer.status in SERVER_ERRORS:
        return _lost(call, message, code)
    if answer.status in CLIENT_ERRORS:
        return Failed(code, message, transient=answer.status in NOT_TAKEN)
    acted = answer.status in SUCCESSES or answer.status in SAID_DONE
    if acted and request.method not in CHANGE_NOTHING:
        return Partial(code, message, outputs)
    return Failed(code, message)


def _is_expected(call: Call, status: int) -> bool:
    if call.arguments.expect is not None and status in call.arguments.expect:
        return True
    if call.arguments.method == "DELETE" and call.attempt > 1 and status in GONE:
        return True
    return call.arguments.expect is None and status in SUCCESSES


def _captured(request: Request, value: Value | UnsetType, outputs: dict[str, Value]) -> Outcome:
    """Add what `capture` asks for to the outputs."""
    missing = []
    for name, path in request.capture.items():
        found = _look_up(value, path)
        if found is UNSET:
            missing.append(f"`{name}` ({path})")
        else:
            outputs[name] = found
    if not missing:
        return Succeeded(outputs)
    code = "capture_missing"
    message = f"{request.method} {request.url} was answered as expected, but without {', '.join(missing)}"
    return Failed(code, message) if request.method in CHANGE_NOTHING else Partial(code, message, outputs)


def _look_up(value: Value | UnsetType, path: str) -> Value | UnsetType:
    """Follow a dotted path into a JSON value; UNSET where it leads nowhere."""
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and re.fullmatch(r"[0-9]{1,9}", part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return UNSET
    return value


def _complaint(request: Request, answer: _Answer) -> str:
    expected = "2xx" if request.expect is None else " or ".join(map(str, request.expect))
    said = beginning(answer.text.strip(), QUOTED)
    text = f"{request.method} {request.url} was answered {answer.status}, not {expected}"
    return f"{text}: {said}" if said else text


def _lost(call: Call, message: str, code: str = "no_answer") -> Outcome:
    """The request was sent, and whether it took effect is not known; that matters only if it could have."""
    if call.arguments.method in CHANGE_NOTHING:
        return Failed(code, message, transient=True)
    return Unknown(code, message)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _retry_after(text: str | None, now: int) -> int | None:
    """Read Retry-After, seconds or an HTTP date (RFC 9110 §10.2.3), as milliseconds from now."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return int(text) * 1000
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0, round((due - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000) - now)
