from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.api import stream
from orchestrator.problems import NotFound
from store.errors import SubscriberTooSlow
from tests.api.standin import Running, Said, until

SSE = {"Accept": "text/event-stream"}
FIRST = (1, "saga.submitted", b'{"seq":1}')
SECOND = (2, "step.started", b'{"seq":2}')


@contextmanager
def listening(
    api: Running, path: str = "/v1/events", headers: dict[str, str] = SSE
) -> Iterator[http.client.HTTPResponse]:
    """Open a stream; its head is read."""
    connection = api.connection()
    try:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            yield answer
    finally:
        connection.close()


def message(answer: http.client.HTTPResponse) -> str:
    """Read one message of a stream."""
    lines: list[bytes] = []
    while line := answer.readline().strip():
        lines.append(line)
    return b"\n".join(lines).decode()


def test_events_are_sent_as_they_come(api: Running) -> None:
    """Events are sent as they come."""
    with listening(api) as answer:
        head = (answer.status, answer.headers["Content-Type"], answer.headers["Sagad-Version"])
        assert message(answer) == "retry: 1000"
        api.put(FIRST)
        first = message(answer)
        api.put(SECOND)
        second = message(answer)

    assert head == (200, "text/event-stream", "9.9.9")
    assert first == 'id: 1\nevent: saga.submitted\ndata: {"seq":1}'
    assert second == 'id: 2\nevent: step.started\ndata: {"seq":2}'


@pytest.mark.parametrize(
    ("path", "seen", "expected"),
    [
        ("/v1/events", None, (None, 0)),
        ("/v1/events?after=7", None, (None, 7)),
        ("/v1/events?after=7", "9", (None, 9)),
        ("/v1/events?after=9", "7", (None, 9)),
        ("/v1/sagas/last/events", "3", ("last", 3)),
    ],
)
def test_a_stream_goes_on_behind_the_last_event_that_was_seen(
    api: Running, path: str, seen: str | None, expected: tuple[str | None, int]
) -> None:
    """A stream goes on behind the last event that was seen."""
    with listening(api, path, SSE | ({"Last-Event-ID": seen} if seen else {})) as answer:
        message(answer)

    assert api.service.asked[0] == ("stream", *expected)


@pytest.mark.parametrize("seen", ["", "x", "-1", "1e3", "99999999999999999999", "1&limit=5"])
def test_a_last_event_id_that_is_no_number_is_refused(api: Running, seen: str) -> None:
    """A last event id that is no number is refused."""
    said = api.ask("GET", "/v1/events", Accept="text/event-stream", Last_Event_ID=seen)

    assert (said.status, set(said.wrong)) == (422, {"Last-Event-ID"})


def test_a_stream_of_nothing_is_a_problem_and_no_stream(api: Running) -> None:
    """A stream of nothing is a problem and no stream."""
    api.service.fails = NotFound("there is no saga `x`")
    said = api.ask("GET", "/v1/sagas/x/events", Accept="text/event-stream")

    assert (said.status, said.headers["Content-Type"]) == (404, "application/problem+json")


def test_without_the_accept_header_events_are_a_page(api: Running) -> None:
    """Without the accept header events are a page."""
    said = api.ask("GET", "/v1/events?after=3&limit=4", Accept="application/json")

    assert said.headers["Content-Type"] == "application/json"
    assert api.service.asked[0] == ("events", None, 3, 4)


def test_a_quiet_stream_is_kept_alive_and_loses_nothing(
    api: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that is broken off for a comment must not end the events."""
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.02)
    with listening(api) as answer:
        message(answer)
        comments = [message(answer) for _ in range(3)]
        api.put(FIRST)
        seen = ""
        while not seen.startswith("id:"):
            seen = message(answer)

    assert comments == [": nothing new"] * 3
    assert seen.startswith("id: 1\n")


def test_the_end_of_the_events_is_the_end_of_the_stream(api: Running) -> None:
    """The end of the events is the end of the stream."""
    with listening(api) as answer:
        api.put(FIRST, None)
        text = answer.read().decode()

    assert re.findall("id: .*", text) == ["id: 1"]
    assert api.service.streams_ended == 1


def test_a_reader_that_is_too_slow_is_told_and_dropped(api: Running) -> None:
    """A reader that is too slow is told and dropped."""
    with listening(api) as answer:
        api.put(FIRST, SubscriberTooSlow("all events", "more than 1000 events behind"))
        last = answer.read().decode().strip().split("\n\n")[-1]

    event, data = last.split("\n")
    problem = json.loads(data.removeprefix("data: "))
    assert (event, problem["code"]) == ("event: error", "too_slow")
    assert "Last-Event-ID" in problem["detail"]


def test_a_bug_in_the_middle_of_a_stream_is_an_incident(api: Running) -> None:
    """A bug in the middle of a stream is an incident."""
    with listening(api) as answer:
        api.put(FIRST, RuntimeError("secret inside"))
        text = answer.read().decode()

    assert "event: error\n" in text
    assert "under incident" in text
    assert "secret inside" not in text


def test_a_reader_that_takes_nothing_is_hung_up_on(
    api: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader that takes nothing is hung up on."""
    monkeypatch.setattr(stream, "STALLED", 0.05)
    with listening(api) as answer:
        message(answer)
        api.put(*[(seq, "step.started", b"x" * 100_000) for seq in range(20)])
        until(lambda: api.service.streams_ended == 1)

    assert "stream.failed" not in "".join(capsys.readouterr())


def test_a_reader_that_leaves_ends_its_stream(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that leaves ends its stream."""
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.02)
    with listening(api) as answer:
        message(answer)

    until(lambda: api.service.streams_ended == 1)


def test_no_more_streams_are_open_than_may_be(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds memory until its reader has taken it; one that has ended makes room for another."""
    monkeypatch.setattr(stream, "MOST", 2)
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.02)
    with listening(api) as one:
        message(one)
        with listening(api) as other:
            message(other)
            with listening(api) as refused:
                problem = json.loads(refused.read())
        until(lambda: api.service.streams_ended == 1)
        with listening(api) as another:
            again = message(another)

    assert (refused.status, problem["code"]) == (503, "too_many_streams")
    assert again == "retry: 1000"


def test_streams_end_when_the_daemon_stops(api: Running) -> None:
    """Streams end when the daemon stops."""
    with listening(api) as answer:
        message(answer)
        api.stop()

        assert answer.read() == b""
    assert api.service.streams_ended == 1


def test_head_is_no_stream(api: Running) -> None:
    """HEAD is no stream."""
    assert isinstance(said := api.ask("HEAD", "/v1/events", Accept="text/event-stream"), Said)
    assert said.headers["Content-Type"] == "application/json"
