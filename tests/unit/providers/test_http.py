import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest
import uvloop
from aiohttp import web

from providers import http
from providers.contract import Ended, Failed, Outcome, Partial, Succeeded, Unknown, cut
from providers.http import Http
from tests.unit.providers.calls import NOW, NoBlobs, call_of, problems_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHANGING = ["POST", "PATCH", "PUT", "DELETE"]
READING = ["GET", "HEAD"]


class Site:
    """A real server on the loopback that answers as the test says and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Handler = self.say()

    def say(self, status: int = 200, **response: Any) -> Handler:
        """Make an answer."""

        async def handler(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, **response)

        return handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request, then answer it."""
        self.seen.append((request.path_qs, dict(request.headers), await request.read()))
        return await self.answer(request)


async def lose(request: web.Request) -> web.StreamResponse:
    """Do what was asked, and drop the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def break_off(request: web.Request) -> web.StreamResponse:
    """Begin an answer, and drop the connection in the middle of it."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half of")
    return await lose(request)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Serve one on a free port."""
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


@pytest.fixture
async def driver() -> AsyncIterator[Http]:
    """One that may ask anything."""
    driver = Http({"allow": ["*"]}, NoBlobs())
    yield driver
    await driver.close()


async def ask(driver: Http, method: str, url: str, *, attempt: int = 1, **more: Any) -> Outcome:
    """Send a request to its outcome."""
    return await driver.apply(
        call_of(driver, "request", {"method": method, "url": url, **more}, attempt=attempt)
    )


# --- what is sent ---------------------------------------------------------------------------------------------------


async def test_the_request_is_sent_as_written_with_its_key(driver: Http, site: Site) -> None:
    """Method, path, query, headers and body; every repeat carries the same key."""
    await ask(driver, "POST", f"{site.url}/a/b?q=%26", json={"ü": [1, None]}, headers={"X-Number": 7})
    path, headers, body = site.seen[0]

    assert path == "/a/b?q=%26"
    assert msgspec.json.decode(body) == {"ü": [1, None]}
    assert headers["Idempotency-Key"] == "k-1"
    assert headers["X-Number"] == "7"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "sagad"


async def test_a_text_body_is_sent_as_it_is(driver: Http, site: Site) -> None:
    """Its type is what the saga says, else plain text."""
    await ask(driver, "PUT", site.url, body="ü")
    await ask(driver, "PUT", site.url, body="<a/>", headers={"content-type": "text/xml"})
    sent = [(headers["Content-Type"], body) for _, headers, body in site.seen]

    assert sent == [("text/plain; charset=utf-8", "ü".encode()), ("text/xml", b"<a/>")]


async def test_json_null_is_a_body_and_no_body_is_none(driver: Http, site: Site) -> None:
    """Left out is not the same as null."""
    await ask(driver, "POST", site.url, json=None)
    await ask(driver, "POST", site.url)

    assert [body for _, _, body in site.seen] == [b"null", b""]


async def test_no_cookie_is_carried_to_the_next_request(driver: Http, site: Site) -> None:
    """What one saga got must not reach another's request."""
    site.answer = site.say(headers={"Set-Cookie": "session=1"})
    url = site.url.replace("127.0.0.1", "localhost")  # from an address cookies are not taken anyway
    await ask(driver, "GET", url)
    await ask(driver, "GET", url)

    assert "Cookie" not in site.seen[1][1]


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_redirects_are_not_followed(driver: Http, site: Site, status: int) -> None:
    """They may lead anywhere, also out of what is allowed."""
    site.answer = site.say(status, headers={"Location": f"{site.url}/elsewhere"})
    outcome = await ask(driver, "GET", site.url)

    assert isinstance(outcome, Failed)
    assert outcome.code == f"http_{status}"
    assert len(site.seen) == 1


# --- success --------------------------------------------------------------------------------------------------------


async def test_a_json_answer_is_put_out_with_what_is_captured(driver: Http, site: Site) -> None:
    """Paths go through objects and lists; a captured null is a value."""
    data = {"data": [{"id": 7}, {"id": None}]}
    site.answer = site.say(201, body=msgspec.json.encode(data), content_type="application/json")
    outcome = await ask(driver, "POST", site.url, capture={"id": "data.0.id", "nothing": "data.1.id"})

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["headers"]["content-type"] == "application/json"
    del outcome.outputs["headers"]
    assert outcome.outputs == {"status": 201, "json": data, "id": 7, "nothing": None}


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
async def test_any_other_answer_is_put_out_as_text(driver: Http, site: Site, kind: str) -> None:
    """Also one that only says that it is JSON."""
    site.answer = site.say(body="not {json} ü".encode(), content_type=kind)
    outcome = await ask(driver, "GET", site.url)

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["body"] == "not {json} ü"
    assert "json" not in outcome.outputs


async def test_an_unknown_or_wrong_charset_is_no_reason_to_fail(driver: Http, site: Site) -> None:
    """The request has been answered; how its text is spelt is a lesser matter."""
    bodies = []
    for charset in ("latin-1", "klingon", "hex", "undefined"):
        site.answer = site.say(body=b"a\xfc", headers={"Content-Type": f"text/plain; charset={charset}"})
        outcome = await ask(driver, "POST", site.url)
        assert isinstance(outcome, Succeeded)
        bodies.append(outcome.outputs["body"])

    assert bodies == ["aü", *["a\N{REPLACEMENT CHARACTER}"] * 3]


async def test_a_long_answer_is_put_out_whole(driver: Http, site: Site) -> None:
    """How much of it may be kept is the engine's to say, which fails the step with its size."""
    data = {"id": 7, "text": "x" * (2 << 20)}
    site.answer = site.say(body=msgspec.json.encode(data), content_type="application/json")
    outcome = await ask(driver, "GET", site.url, capture={"id": "id"})

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["id"] == 7
    assert outcome.outputs["json"] == data


async def test_an_endless_answer_comes_to_an_end(
    driver: Http, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is read than is ever looked at."""
    monkeypatch.setattr(http, "READ", 200_000)

    async def go_on(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    site.answer = go_on
    with anyio.fail_after(5):
        outcome = await ask(driver, "POST", site.url)

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["body"].startswith("xxx")


async def test_expect_says_which_answers_are_good(driver: Http, site: Site) -> None:
    """Without it any 2xx; with it only those, whatever they are."""
    site.answer = site.say(404)
    good = await ask(driver, "DELETE", site.url, expect=[204, 404])
    site.answer = site.say(204)
    default = await ask(driver, "DELETE", site.url)

    assert isinstance(good, Succeeded)
    assert isinstance(default, Succeeded)


@pytest.mark.parametrize("status", [404, 410])
async def test_a_repeated_delete_that_finds_nothing_has_deleted(
    driver: Http, site: Site, status: int
) -> None:
    """The first attempt's answer may have been lost; its own repeat must not be called a failure."""
    site.answer = site.say(status)
    first, repeated = [await ask(driver, "DELETE", site.url, attempt=attempt) for attempt in (1, 2)]

    assert isinstance(first, Failed)
    assert isinstance(repeated, Succeeded)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*CHANGING, *READING])
async def test_a_4xx_is_failed(driver: Http, site: Site, method: str) -> None:
    """The error says what was asked, what came, and what the server said."""
    site.answer = site.say(403, text="not you")
    outcome = await ask(driver, method, f"{site.url}/x")
    said = "" if method == "HEAD" else ": not you"

    assert outcome == Failed("http_403", f"{method} {site.url}/x was answered 403, not 2xx{said}")


@pytest.mark.parametrize(
    ("header", "milliseconds"),
    [
        ("120", 120_000),
        ("0", 0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("9" * 5000, None),
        (None, None),
    ],
)
async def test_a_429_is_rate_limited_for_as_long_as_the_server_says(
    driver: Http, site: Site, header: str | None, milliseconds: int | None
) -> None:
    """Seconds or an HTTP date, RFC 9110 §10.2.3; what cannot be read is not there."""
    site.answer = site.say(429, headers={} if header is None else {"Retry-After": header})
    outcome = await ask(driver, "POST", site.url)

    assert isinstance(outcome, Failed)
    assert (outcome.transient, outcome.rate_limited, outcome.retry_after) == (True, True, milliseconds)


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_503_is_rate_limited_only_with_retry_after(driver: Http, site: Site, method: str) -> None:
    """Without it, it is a 5xx like any other."""
    site.answer = site.say(503, headers={"Retry-After": "1"})
    limited = await ask(driver, method, site.url)
    site.answer = site.say(503)
    other = await ask(driver, method, site.url)

    assert isinstance(limited, Failed)
    assert (limited.rate_limited, limited.retry_after) == (True, 1000)
    assert isinstance(other, Unknown if method == "POST" else Failed)


async def test_what_an_error_quotes_of_a_long_answer_ends_with_a_mark(driver: Http, site: Site) -> None:
    """By it the engine knows where to look for part of a secret."""
    site.answer = site.say(400, text="x" * 501)
    outcome = await ask(driver, "GET", site.url)

    assert isinstance(outcome, Failed)
    assert outcome.message.endswith(f": {'x' * 500}{cut('1 characters')}")


# --- unknown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 501, 502, 504, 599])
async def test_a_5xx_is_unknown_to_what_changes_and_failed_to_what_reads(
    driver: Http, site: Site, status: int
) -> None:
    """A server that broke down may have done so after the work."""
    site.answer = site.say(status)
    changing = [await ask(driver, method, site.url) for method in CHANGING]
    reading = [await ask(driver, method, site.url) for method in READING]

    assert [type(outcome) for outcome in changing] == [Unknown] * 4
    assert all(isinstance(outcome, Failed) and outcome.transient for outcome in reading)


@pytest.mark.parametrize("answer", [lose, break_off])
@pytest.mark.parametrize("method", [*CHANGING, *READING])
async def test_a_lost_answer_is_unknown_and_the_request_was_sent_once(
    driver: Http, site: Site, method: str, answer: Handler
) -> None:
    """Repeats are the engine's: the client library must make none by itself."""
    if method == "HEAD" and answer is break_off:
        pytest.skip("an answer to HEAD has no middle")
    site.answer = answer
    outcome = await ask(driver, method, site.url)

    assert isinstance(outcome, Unknown if method in CHANGING else Failed)
    assert not isinstance(outcome, Failed) or outcome.transient
    assert len(site.seen) == 1


@pytest.mark.parametrize("garbage", [b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b""])
async def test_an_answer_that_is_not_http_is_unknown(driver: Http, garbage: bytes) -> None:
    """Somebody was there and took the request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(garbage)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        changing, reading = await ask(driver, "POST", url), await ask(driver, "GET", url)

    assert isinstance(changing, Unknown)
    assert isinstance(reading, Failed)


async def test_a_server_that_is_not_there_failed_before_anything_was_sent(
    driver: Http, unused_tcp_port: int
) -> None:
    """Also for a POST this may be tried again."""
    refused = await ask(driver, "POST", f"http://127.0.0.1:{unused_tcp_port}/")
    no_tls = await ask(driver, "POST", f"https://127.0.0.1:{unused_tcp_port}/")
    no_host = await ask(driver, "POST", "http://sagad.invalid/")

    assert [type(outcome) for outcome in (refused, no_tls, no_host)] == [Failed] * 3
    assert all(isinstance(outcome, Failed) and outcome.transient for outcome in (refused, no_tls, no_host))


async def test_a_server_without_tls_failed_before_anything_was_sent(driver: Http, site: Site) -> None:
    """The handshake comes before the request."""
    outcome = await ask(driver, "POST", site.url.replace("http:", "https:"))

    assert isinstance(outcome, Failed)
    assert site.seen == []


async def test_cancelling_ends_the_request(driver: Http, site: Site) -> None:
    """A time limit is the engine's, and what comes of it too."""
    arrived = anyio.Event()

    async def stay(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    site.answer = stay
    with anyio.fail_after(5):
        async with anyio.create_task_group() as attempt:
            attempt.start_soon(ask, driver, "POST", site.url)
            await arrived.wait()
            attempt.cancel_scope.cancel()

    assert len(site.seen) == 1


# --- partial --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 302, 303])
async def test_done_otherwise_than_expected_is_partial(driver: Http, site: Site, status: int) -> None:
    """The server says that it has done something, so it is not failed: it is undone with the rest."""
    site.answer = site.say(status, text="made")
    changing = await ask(driver, "POST", site.url, expect=[201])
    reading = await ask(driver, "GET", site.url, expect=[201])

    assert isinstance(changing, Partial)
    assert (changing.outputs["status"], changing.outputs["body"]) == (status, "made")
    assert isinstance(reading, Failed)
    assert not reading.transient


@pytest.mark.parametrize("status", [301, 304, 307, 308])
async def test_a_redirect_that_says_ask_elsewhere_is_failed(driver: Http, site: Site, status: int) -> None:
    """The same request is to be sent to another place, so here nothing was done."""
    site.answer = site.say(status)

    assert isinstance(await ask(driver, "POST", site.url), Failed)


async def test_a_capture_that_is_not_in_the_answer_is_partial(driver: Http, site: Site) -> None:
    """The request has had its effect; what is there is put out, and what is missing is named."""
    body = msgspec.json.encode({"id": 7, "list": [1]})
    site.answer = site.say(body=body, content_type="application/json")
    capture = {"id": "id", "name": "data.name", "second": "list.1", "deeper": "id.x"}
    changing = await ask(driver, "POST", site.url, capture=capture)
    reading = await ask(driver, "GET", site.url, capture=capture)

    assert isinstance(changing, Partial)
    assert changing.message.endswith("but without `name` (data.name), `second` (list.1), `deeper` (id.x)")
    assert changing.outputs["id"] == 7
    assert isinstance(reading, Failed)


# --- declaration and refusal ----------------------------------------------------------------------------------------


def test_what_may_be_repeated_follows_the_method() -> None:
    """SPEC §4: GET, HEAD, PUT and DELETE are safe to repeat, POST and PATCH are not."""
    driver = Http({}, NoBlobs())
    declared = {
        method: driver.refine(
            "request", call_of(driver, "request", {"method": method, "url": "http://x/"}).arguments
        )
        for method in [*CHANGING, *READING, "OPTIONS"]
    }

    assert {method: (verb.changes, verb.repeat) for method, verb in declared.items()} == {
        "POST": (True, "no"),
        "PATCH": (True, "no"),
        "PUT": (True, "idempotent"),
        "DELETE": (True, "idempotent"),
        "GET": (False, "idempotent"),
        "HEAD": (False, "idempotent"),
        "OPTIONS": (False, "idempotent"),
    }


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("https://example.net/", "https://example.net/"),
        ("https://example.net/", "https://EXAMPLE.net:443/a?b#c"),
        ("https://example.net", "https://example.net/a"),
        ("https://example.net/a/", "https://example.net/b/../a/c"),
        ("https://example.net:8443/", "https://example.net:8443/"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("*", "http://anything/"),
    ],
)
def test_addresses_below_an_allowed_one_may_be_asked(prefix: str, url: str) -> None:
    """The same scheme, host and port, and a path that begins so."""
    assert problems_of(Http({"allow": [prefix]}, NoBlobs()), "request", {"method": "GET", "url": url}) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.net/a/",
        "https://example.net.evil/a/",
        "https://example.net@evil/a/",
        "https://example.net:443@evil/a/",
        "https://user:pw@example.net/a/",
        "https://user@example.net/a/",
        "https://:pw@example.net/a/",
        "https://example.net:444/a/",
        "https://evil/https://example.net/a/",
        "https://evil#@example.net/a/",
        "https://evil?@example.net/a/",
        "https://evil\\@example.net/a/",
        "https://example.net/a/../b",
        "https://example.net/a/%2e%2e/b",
        "https://example.net/a/..%2fb",
        "https://example.net/a/..%5cb",
        "https://example.net/a/..;/b",
        "https://example.net/b",
        "https://example.net./a/",
        "https://example.net%00.evil/a/",
        "https://example.net /a/",
        "//example.net/a/",
        "example.net/a/",
        "file:///etc/passwd",
        "https:///a/",
        "https://example.net:99999/a/",
        "https://example.net/a/\r\nX: y",
        "",
    ],
)
async def test_other_addresses_are_refused_and_not_asked(url: str) -> None:
    """Whatever they look like to the eye."""
    driver = Http({"allow": ["https://example.net/a/"]}, NoBlobs())
    (problem,) = problems_of(driver, "request", {"method": "GET", "url": url})
    with pytest.raises(Ended, match="url: "):
        await ask(driver, "GET", url)

    assert problem.startswith("url: ")
    assert driver._session is None


def test_nothing_is_allowed_where_nothing_is_said() -> None:
    """A driver without settings does nothing."""
    (problem,) = problems_of(Http({}, NoBlobs()), "request", {"method": "GET", "url": "http://x/"})

    assert problem == (
        "url: `http://x/` may not be asked; allowed is nothing: add it to `allow` in [providers.http]"
    )


def test_every_problem_is_named_at_once(driver: Http) -> None:
    """What the client would refuse with an exception, and what would change the answer's meaning."""
    arguments = {
        "method": "POST",
        "url": "nowhere",
        "json": 1,
        "body": "2",
        "headers": {"a b": "", "Idempotency-Key": "mine", "HOST": "x", "X": "a\r\nY: b"},
        "capture": {"status": "a", "x": "a..b"},
    }

    assert [problem.split(" ")[0] for problem in problems_of(driver, "request", arguments)] == [
        "url:",
        "json",
        "headers:",
        "headers:",
        "headers:",
        "headers:",
        "capture:",
        "capture:",
    ]


# --- the session ----------------------------------------------------------------------------------------------------


async def test_one_session_serves_all_and_close_closes_it(site: Site) -> None:
    """After that the next request opens another."""
    driver = Http({"allow": ["*"]}, NoBlobs())
    await ask(driver, "GET", site.url)
    session = driver._session
    await ask(driver, "GET", site.url)
    assert driver._session is session
    assert session is not None

    await driver.close()
    assert session.closed
    assert isinstance(await ask(driver, "GET", site.url), Succeeded)
    await driver.close()
    await driver.close()


def test_it_runs_under_uvloop() -> None:
    """The daemon's loop is not the tests' one."""

    async def refused() -> Outcome:
        driver = Http({"allow": ["*"]}, NoBlobs())
        try:
            return await ask(driver, "POST", "http://127.0.0.1:1/")
        finally:
            await driver.close()

    outcome = uvloop.run(refused())

    assert isinstance(outcome, Failed)
    assert outcome.transient


def test_the_test_clock_is_what_the_dates_assume() -> None:
    """The HTTP dates above are written against it."""
    assert NOW == 1_800_000_000_000
