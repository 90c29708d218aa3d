from __future__ import annotations

import json
import os
import time
from http import HTTPStatus
from typing import Any

import pytest

from config.settings import Access
from orchestrator.access import Caller
from orchestrator.api import bodies
from orchestrator.problems import Conflict, Item, Unavailable
from orchestrator.requests import Submission, VerbBody
from tests.api.standin import LIMIT, Running, until

SAGA = {"saga": {"saga": "hello", "steps": []}}
PROBLEM = "application/problem+json"
ROOT = Caller("root", "admin")


def test_a_submission_is_created_and_located(api: Running) -> None:
    """A submission is created and located."""
    said = api.ask("POST", "/v1/sagas?wait=30s", SAGA, Idempotency_Key="k")

    assert (said.status, said.headers["Location"], said.document) == (201, "/v1/sagas/abc", {"fine": True})
    assert [(ROOT, Submission(saga=SAGA["saga"]), "k", 30_000), "done"] == api.service.asked


def test_a_repeated_key_is_answered_200(api: Running) -> None:
    """A repeated key is answered 200."""
    said = api.ask("POST", "/v1/sagas", SAGA, Idempotency_Key="again")

    assert (said.status, said.headers["Location"]) == (200, "/v1/sagas/abc")


def test_a_verb_is_said_with_what_belongs_to_it(api: Running) -> None:
    """A verb is said with what belongs to it."""
    api.ask(
        "POST",
        "/v1/sagas/last/resolve",
        {"step": "a", "as": "done", "output": {"k": 1}, "reason": "I looked"},
    )

    body = VerbBody(step="a", as_="done", output={"k": 1}, reason="I looked")
    assert ("verb", ROOT, "last", "resolve", body) == api.service.asked[0]


@pytest.mark.parametrize("body", [None, b"", b"{}", b" \n"])
def test_a_verb_needs_no_body(api: Running, body: bytes | None) -> None:
    """A verb needs no body."""
    assert api.ask("POST", "/v1/sagas/last/pause", body).status == 200


def test_a_list_is_asked_for_with_every_filter(api: Running) -> None:
    """A list is asked for with every filter."""
    query = (
        "status=running&kind=a&label=a%3Db&label=c=d=e&hold=lock&since=2026-01-01T00:00:00Z&limit=5&cursor=17"
    )
    api.ask("GET", f"/v1/sagas?{query}")

    expected = {
        "status": "running",
        "kind": "a",
        "labels": ["a=b", "c=d=e"],
        "hold": "lock",
        "since": 1_767_225_600_000,
        "limit": 5,
        "cursor": "17",
    }
    assert ("sagas", expected) == api.service.asked[0]


def test_an_id_is_unquoted_and_cannot_leave_its_place(api: Running) -> None:
    """An id is unquoted and cannot leave its place."""
    api.ask("GET", "/v1/sagas/a%2Fwhy")

    assert api.service.asked[0] == ("saga", "a/why")


def test_every_problem_of_a_body_is_named_with_a_hint(api: Running) -> None:
    """Every problem of a body is named with a hint."""
    said = api.ask("POST", "/v1/sagas", {"sage": {}, "inputs": 3, "labels": {"a": 1}, "format": "yml"})

    assert (said.status, said.headers["Content-Type"], said.document["code"]) == (422, PROBLEM, "invalid")
    expected = [
        {"where": "sage", "problem": "unknown key `sage`", "hint": "did you mean `saga`?"},
        {"where": "inputs", "problem": "expected `object`, got `int`", "hint": ""},
        {"where": "labels[...]", "problem": "expected `str`, got `int`", "hint": ""},
        {"where": "format", "problem": "Invalid enum value 'yml'", "hint": "did you mean `yaml`?"},
    ]
    assert expected == said.document["errors"]
    assert api.service.asked == []


def test_every_problem_of_a_query_is_named(api: Running) -> None:
    """Every problem of a query is named."""
    query = "limit=0&sinc=3&status=foo&since=yesterday&kind=a&kind=b&label=x&cursor=-1&hold=none"
    said = api.ask("GET", f"/v1/sagas?{query}")

    assert said.status == 422
    assert {"limit", "sinc", "status", "since", "kind", "label[0]", "cursor", "hold"} == set(said.wrong)


@pytest.mark.parametrize(
    ("path", "query", "where"),
    [
        ("/v1/sagas/last", "x=1", "x"),
        ("/v1/sagas/last/events", "after=-1", "after"),
        ("/v1/sagas/last/events", "after=99999999999999999999", "after"),
        ("/v1/events", "limit=1001", "limit"),
        ("/v1/providers", "type=a&type=b", "type"),
        ("/v1/health", "verbose", "verbose"),
    ],
)
def test_queries_are_strict_on_every_route(api: Running, path: str, query: str, where: str) -> None:
    """Queries are strict on every route."""
    said = api.ask("GET", f"{path}?{query}")

    assert (422, {where}) == (said.status, set(said.wrong))


@pytest.mark.parametrize("wait", ["30", "soon", "-1s", "25h", "1h30m", ""])
def test_a_wait_that_is_none_is_refused(api: Running, wait: str) -> None:
    """A wait that is none is refused."""
    said = api.ask("POST", f"/v1/sagas?wait={wait}", SAGA)

    assert (422, {"wait"}, []) == (said.status, set(said.wrong), api.service.asked)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, {"saga"}),
        ({"saga": {}, "source": "x", "format": "yaml"}, {"source"}),
        ({"source": "x"}, {"format"}),
        ({"saga": {}, "format": "yaml"}, {"format"}),
        ({"format": "yaml"}, {"saga", "format"}),
        ([], {"the body"}),
        (3, {"the body"}),
    ],
)
@pytest.mark.parametrize("route", ["/v1/sagas", "/v1/validate"])
def test_a_submission_is_one_file(api: Running, route: str, body: Any, where: set[str]) -> None:
    """A submission is one file."""
    said = api.ask("POST", route, body)

    assert (422, where, []) == (said.status, set(said.wrong), api.service.asked)


@pytest.mark.parametrize(
    ("verb", "body", "where"),
    [
        ("cancel", {"force": True}, {"force"}),
        ("retry", {"now": True, "as": "done"}, {"now", "as"}),
        ("skip", {}, {"step"}),
        ("resolve", {"step": "a"}, {"as"}),
        ("resolve", {"step": "a", "as": "gone"}, {"as"}),
        ("abandon", {}, {"reason"}),
        ("abandon", {"reason": ""}, {"reason"}),
        ("correct", {}, {"saga"}),
        ("pause", {"resaon": "x"}, {"resaon"}),
    ],
)
def test_a_verb_takes_what_is_its_own_and_no_more(
    api: Running, verb: str, body: dict[str, Any], where: set[str]
) -> None:
    """A verb takes what is its own and no more."""
    said = api.ask("POST", f"/v1/sagas/last/{verb}", body)

    assert (422, where, []) == (said.status, set(said.wrong), api.service.asked)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "caf\u00e9", "caf\u00c3\u00a9"])
def test_an_idempotency_key_that_cannot_be_one_is_refused(api: Running, key: str) -> None:
    """An idempotency key that cannot be one is refused."""
    said = api.ask("POST", "/v1/sagas", SAGA, Idempotency_Key=key)

    assert (422, {"Idempotency-Key"}, []) == (said.status, set(said.wrong), api.service.asked)


def test_two_idempotency_keys_are_refused(api: Running) -> None:
    """Two idempotency keys are refused."""
    said = api.say(
        b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n"
        b'Connection: close\r\nContent-Length: 12\r\n\r\n{"saga": {}}'
    )

    assert said.startswith(b"HTTP/1.1 422 ")
    assert api.service.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"saga: hello",
        b'{"saga": "\xff\xfe"}',
        b'{"\xc3\x28": 1}',
        b'{"saga": {"a": NaN}}',
        b'{"reason": "\\ud800"}',
        b"[" * 50_000,
        b'{"saga":' * 10_000,
        b"\x00",
    ],
)
def test_what_is_not_json_in_utf8_is_refused_with_a_problem(api: Running, body: bytes) -> None:
    """What is not JSON in UTF-8 is refused with a problem."""
    said = api.ask("POST", "/v1/sagas", body)

    assert (said.status, said.headers["Content-Type"], said.document["code"]) == (400, PROBLEM, "not_json")


def test_an_encoded_body_is_refused(api: Running) -> None:
    """An encoded body is refused."""
    said = api.ask("POST", "/v1/sagas", b"\x1f\x8b", Content_Encoding="gzip")

    assert (said.status, said.document["code"]) == (415, "unsupported")


# --- routes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1/saga", "/v1/sagas"),
        ("/v1/sagas/", "/v1/sagas"),
        ("/v1/sagas/x7/whi", "/v1/sagas/x7/why"),
        ("/v1/sagas/x7/cancle", "/v1/sagas/x7/cancel"),
        ("/v1/helth", "/v1/health"),
        ("/", "/v1/openapi.json"),
        ("/v1/sagas/%ff%fe", "UTF-8"),
        ("/v1/events/x", "/v1/events"),
    ],
)
def test_an_unknown_route_names_near_ones(api: Running, path: str, near: str) -> None:
    """An unknown route names near ones."""
    said = api.ask("GET", path)

    assert (said.status, said.document["code"]) == (404, "no_such_route")
    assert near in said.document["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/sagas", "GET, HEAD, POST"),
        ("GET", "/v1/sagas/last/cancel", "POST"),
        ("POST", "/v1/health", "GET, HEAD"),
        ("OPTIONS", "/v1/reload", "POST"),
    ],
)
def test_a_wrong_method_is_told_which_there_are(api: Running, method: str, path: str, allow: str) -> None:
    """A wrong method is told which there are."""
    said = api.ask(method, path)

    assert (405, allow, "method_not_allowed") == (said.status, said.headers["Allow"], said.document["code"])


def test_head_is_get_without_the_body(api: Running) -> None:
    """HEAD is get without the body."""
    said = api.ask("HEAD", "/v1/health")

    assert (said.status, said.headers["Content-Length"], said.body) == (200, "13", b"")


def test_head_sends_no_body_that_would_be_taken_for_the_next_answer(api: Running) -> None:
    """Head sends no body that would be taken for the next answer."""
    said = api.say(b"HEAD /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert said.endswith(b"\r\n\r\n")


def test_what_there_is_is_not_for_everybody_to_know(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is is not for everybody to know."""
    monkeypatch.setattr(os, "getuid", lambda: 1)
    api.service.settings.access = Access(admin=())

    assert [api.ask("GET", path).status for path in ("/v1/health", "/nowhere")] == [403, 403]


# --- problems ---------------------------------------------------------------------------------------------------------


def test_what_the_service_refuses_is_a_problem_document(api: Running) -> None:
    """What the service refuses is a problem document."""
    api.service.fails = Conflict("it has ended", [Item("step", "is over", "try `rollback`")], code="ended")
    said = api.ask("POST", "/v1/sagas/last/cancel")

    expected = {
        "type": "urn:sagad:problem:ended",
        "title": "Not possible now",
        "status": 409,
        "detail": "it has ended",
        "code": "ended",
        "errors": [{"where": "step", "problem": "is over", "hint": "try `rollback`"}],
    }
    assert (409, PROBLEM, expected) == (said.status, said.headers["Content-Type"], said.document)


def test_what_is_only_not_possible_now_says_when_to_ask_again(api: Running) -> None:
    """What is only not possible now says when to ask again."""
    api.service.fails = Unavailable("the disk is full")
    said = api.ask("POST", "/v1/sagas", SAGA)

    assert (said.status, said.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("error", [RuntimeError("secret inside"), TimeoutError(), KeyError("x")])
def test_a_bug_is_an_incident_and_shows_nothing_of_itself(
    api: Running, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug is an incident and shows nothing of itself."""
    api.service.fails = error
    said = api.ask("GET", "/v1/health")

    assert (said.status, said.document["code"], said.headers["Content-Type"]) == (500, "internal", PROBLEM)
    assert b"secret inside" not in said.body
    assert b"Traceback" not in said.body
    incident = said.document["detail"].rpartition(" ")[2]
    assert incident in "".join(capsys.readouterr())
    api.service.fails = None
    assert api.ask("GET", "/v1/health").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_is_told_so_in_json(api: Running, data: bytes) -> None:
    """What is not HTTP is told so in JSON."""
    head, _, body = api.say(data).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"Sagad-Version: 9.9.9" in head
    assert b"Connection: close" in head
    assert (json.loads(body)["status"], json.loads(body)["code"]) == (400, "malformed")


def test_every_answer_has_the_version(api: Running) -> None:
    """Every answer has the version."""
    asked = [("GET", "/v1/health"), ("GET", "/nowhere"), ("PUT", "/v1/sagas"), ("POST", "/v1/sagas")]

    assert [api.ask(*each).headers["Sagad-Version"] for each in asked] == ["9.9.9"] * 4


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_a_client_that_sends_fifty_megabytes_reads_that_it_is_too_much(api: Running) -> None:
    """A client that sends fifty megabytes reads that it is too much."""
    said = api.ask("POST", "/v1/sagas", b"x" * 50_000_000)

    assert (said.status, said.document["code"]) == (413, "too_large")
    assert f"{LIMIT} bytes" in said.document["detail"]
    assert "request_bytes" in said.document["detail"]


def test_a_chunked_body_is_counted_as_it_comes(api: Running) -> None:
    """A chunked body is counted as it comes."""
    connection = api.connection()
    connection.request(
        "POST",
        "/v1/sagas",
        (b"x" * 65_536 for _ in range(800)),
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )

    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(api: Running) -> None:
    """A body of the limit is read and one byte more is not."""
    empty = len(json.dumps({"saga": {}, "reason": ""}))
    bodies_ = [json.dumps({"saga": {}, "reason": "r" * (LIMIT - empty + more)}).encode() for more in (0, 1)]

    assert [api.ask("POST", "/v1/sagas", body).status for body in bodies_] == [201, 413]


def test_a_small_chunked_body_over_the_limit_is_refused_too(api: Running) -> None:
    """It may have arrived whole before anybody counts."""
    api.service.settings.limits = type("Limits", (), {"request_bytes": 10})()
    with api.raw() as client:
        client.sendall(
            b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n"
            + b" " * 20
            + b"\r\n0\r\n\r\n"
        )
        assert client.recv(20).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first_is_told_to_go_on_or_that_it_is_too_much(api: Running) -> None:
    """A client that asks first is told to go on or that it is too much."""

    def first_line(length: int) -> bytes:
        with api.raw() as client:
            client.sendall(
                b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
                % length
            )
            return client.recv(65536).split(b"\r\n")[0]

    assert [
        first_line(20),
        first_line(LIMIT + 1),
    ] == [b"HTTP/1.1 100 Continue", b"HTTP/1.1 413 " + HTTPStatus(413).phrase.encode()]


def test_a_body_that_never_comes_is_not_waited_for(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that never comes is not waited for."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    with api.raw() as client:
        client.sendall(b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{")

        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_breaks_off_starts_nothing(api: Running) -> None:
    """A body that breaks off starts nothing."""
    with api.raw() as client:
        client.sendall(b'POST /v1/sagas HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"saga": {}')

    assert api.ask("GET", "/v1/health").status == 200
    assert api.service.asked == [("health",), "done"]


def test_a_chunk_that_is_none_is_malformed(api: Running) -> None:
    """A chunk that is none is malformed."""
    said = api.say(b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")

    assert said.startswith(b"HTTP/1.1 400 ")
    assert api.service.asked == []


def test_a_chunk_that_goes_wrong_later_is_not_waited_for(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser gives up, and says so only behind the answer to what it had begun to read."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.1)
    with api.raw() as client:
        client.sendall(b"POST /v1/sagas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        time.sleep(0.05)  # it is being read by now
        client.sendall(b"zz\r\n")

        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert api.service.asked == []


def test_one_connection_takes_many_requests(api: Running) -> None:
    """One connection takes many requests."""
    connection = api.connection()
    statuses = []
    for method, path in (("GET", "/v1/health"), ("POST", "/v1/nothing"), ("GET", "/v1/health")):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert statuses == [200, 404, 200]


def test_after_a_body_too_large_the_connection_still_serves(api: Running) -> None:
    """After a body too large the connection still serves."""
    connection = api.connection()
    connection.request("POST", "/v1/sagas", b"x" * 1_000_000)
    assert connection.getresponse().read()
    connection.request("GET", "/v1/health")

    assert connection.getresponse().status == 200
    connection.close()


def test_requests_that_come_together_are_answered_in_order(api: Running) -> None:
    """Requests that come together are answered in order."""
    head = b" HTTP/1.1\r\nHost: x\r\n"
    said = api.say(b"GET /v1/health" + head + b"\r\nGET /nowhere" + head + b"Connection: close\r\n\r\n")

    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404"]


@pytest.mark.parametrize(
    ("request_head", "connection"),
    [
        (b"GET /v1/health HTTP/1.0\r\n\r\n", b"close"),
        (b"GET /v1/health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"keep-alive"),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"close"),
    ],
)
def test_the_connection_is_kept_as_the_client_wants(
    api: Running, request_head: bytes, connection: bytes
) -> None:
    """The connection is kept as the client wants."""
    with api.raw() as client:
        client.sendall(request_head)

        assert b"\r\nConnection: " + connection + b"\r\n" in client.recv(65536)


def test_a_client_that_goes_away_while_it_waits_disturbs_nothing(api: Running) -> None:
    """A client that goes away while it waits disturbs nothing."""
    api.call(api.service.go_on.clear)
    with api.raw() as client:
        body = json.dumps(SAGA).encode()
        client.sendall(
            b"POST /v1/sagas?wait=1h HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        until(lambda: len(api.service.asked) == 1)
    api.call(api.service.go_on.set)

    until(lambda: api.service.asked[1:2] == ["done"])


def test_a_request_that_is_being_answered_when_the_daemon_stops_still_gets_its_answer(api: Running) -> None:
    """A request that is being answered when the daemon stops still gets its answer."""
    api.call(api.service.go_on.clear)
    connection = api.connection()
    connection.request("GET", "/v1/health")
    until(lambda: len(api.service.asked) == 1)
    api.call(api._over.set)
    until(lambda: not api.path.exists())
    api.call(api.service.go_on.set)

    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'{"fine":true}')
    connection.close()


def test_idle_connections_do_not_hold_up_the_stop(api: Running) -> None:
    """Idle connections do not hold up the stop."""
    idle = [api.raw() for _ in range(5)]
    idle[0].sendall(b"GET /v1/hea")
    began = time.monotonic()
    api.stop()

    assert time.monotonic() - began < 1
    for each in idle:
        each.close()


def test_a_connection_that_was_being_accepted_when_the_server_closed_is_closed(api: Running) -> None:
    """A race: uvloop may still accept some while it closes; without this the stop waited for them for ever."""
    api.call(setattr, api.server._connections, "closed", True)
    with api.raw(5) as late:
        assert late.recv(1) == b""
