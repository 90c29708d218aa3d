"""The API with the real daemon behind it. Each answer is held to what openapi.json promises for its route."""

from __future__ import annotations

import json
import os
import pwd
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.access import ROLES, Role
from orchestrator.api.routes import ROUTES
from tests.api.promises import Said, ask
from tests.daemon import Connection, Daemon

pytestmark = pytest.mark.slow

SETTINGS = """
[daemon]
socket_mode = "0666"
[access]
admin = ["root"]
operator = ["daemon"]
viewer = ["bin", "@games"]
"""
ECHO = {"name": "say", "do": "test.echo", "with": {"message": "hello"}}
SLEEP = {"name": "nap", "do": "test.sleep", "with": {"duration": "1h"}}
FAIL = {"name": "fall", "do": "test.fail", "with": {"kind": "error"}}
UNKNOWN = {"name": "who", "do": "test.fail", "with": {"kind": "unknown"}}


def saga(*steps: Any, **more: Any) -> dict[str, Any]:
    """Give a submission of these steps."""
    return {"saga": {"saga": more.pop("kind", "trial"), "steps": list(steps), **more}}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One daemon, which others may reach too."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made:
        Path(made).chmod(0o755)
        with Daemon(Path(made), SETTINGS) as started:
            yield started


def submit(daemon: Daemon, *steps: Any, wait: str = "30s", **more: Any) -> dict[str, Any]:
    """Submit a saga that must be accepted; give its document."""
    said = ask(daemon, "POST", f"/v1/sagas?wait={wait}", saga(*steps, **more))
    assert said.status == 201, said.document
    return dict(said.document)


# --- submitting -------------------------------------------------------------------------------------------------------


def test_a_saga_is_submitted_located_and_read(daemon: Daemon) -> None:
    """A saga is submitted located and read."""
    said = ask(daemon, "POST", "/v1/sagas", saga(ECHO) | {"labels": {"a": "b"}, "reason": "to see"})
    found = ask(daemon, "GET", said.headers["Location"])

    assert (said.status, found.status) == (201, 200)
    shown = found.document
    assert (shown["id"], shown["labels"], shown["reason"], shown["submitted_by"]) == (
        said.document["id"],
        {"a": "b"},
        "to see",
        "root",
    )


@pytest.mark.parametrize(
    ("format", "source"),
    [
        ("yaml", "saga: trial\nsteps:\n  - {name: say, do: test.echo, with: {message: hello}}\n"),
        ("toml", 'saga = "trial"\n[[steps]]\nname = "say"\ndo = "test.echo"\nwith = {message = "hello"}\n'),
        ("json", json.dumps(saga(ECHO)["saga"])),
    ],
)
def test_a_file_may_come_as_its_text(daemon: Daemon, format: str, source: str) -> None:
    """A file may come as its text."""
    said = ask(daemon, "POST", "/v1/sagas?wait=30s", {"source": source, "format": format})

    assert (said.status, said.document["status"]) == (201, "completed")
    assert said.document["steps"][0]["output"] == {"message": "hello"}


def test_inputs_may_come_as_words(daemon: Daemon) -> None:
    """Inputs may come as words."""
    body = saga(ECHO, inputs={"n": {"type": "integer"}}) | {"inputs": {"n": "7"}}
    refused = ask(daemon, "POST", "/v1/sagas", body)
    taken = ask(daemon, "POST", "/v1/sagas", body | {"inputs_as_text": True})

    assert (refused.status, taken.status, taken.document["inputs"]) == (422, 201, {"n": 7})


def test_everything_wrong_with_a_file_is_named_and_nothing_is_started(daemon: Daemon) -> None:
    """Everything wrong with a file is named and nothing is started."""
    steps = [{"name": "a", "do": "test.ecco"}, {"name": "a", "do": "test.echo", "wiht": {}}]
    said = ask(daemon, "POST", "/v1/sagas", saga(*steps, kind="wrong"))

    assert (said.status, len(said.document["errors"]) >= 3) == (422, True)
    assert ask(daemon, "GET", "/v1/sagas?kind=wrong").document == {"sagas": [], "next": None}


def test_the_same_key_and_body_are_the_same_saga(daemon: Daemon) -> None:
    """The same key and body are the same saga."""
    first = ask(daemon, "POST", "/v1/sagas", saga(ECHO), Idempotency_Key="k1")
    again = ask(daemon, "POST", "/v1/sagas?wait=30s", saga(ECHO), Idempotency_Key="k1")

    assert (first.status, again.status) == (201, 200)
    assert (again.document["id"], again.document["status"]) == (first.document["id"], "completed")
    assert again.headers["Location"] == first.headers["Location"]


def test_the_same_key_with_another_body_is_a_conflict(daemon: Daemon) -> None:
    """The same key with another body is a conflict."""
    first = ask(daemon, "POST", "/v1/sagas", saga(ECHO), Idempotency_Key="k2")
    other = ask(daemon, "POST", "/v1/sagas", saga(ECHO, ECHO | {"name": "b"}), Idempotency_Key="k2")

    assert (other.status, other.document["code"]) == (409, "idempotency_key_reused")
    assert first.document["id"] in other.document["detail"]


def test_a_key_that_many_send_at_once_starts_one_saga(daemon: Daemon) -> None:
    """A key that many send at once starts one saga."""
    with ThreadPoolExecutor(16) as pool:
        said = list(
            pool.map(lambda _: ask(daemon, "POST", "/v1/sagas", saga(ECHO), Idempotency_Key="k3"), range(32))
        )

    assert len({each.document["id"] for each in said}) == 1
    assert sorted(each.status for each in said) == [200] * 31 + [201]


def test_a_wait_that_runs_out_answers_with_the_saga_as_it_is(daemon: Daemon) -> None:
    """A wait that runs out answers with the saga as it is."""
    began = time.monotonic()
    shown = submit(daemon, SLEEP, wait="100ms")
    took = time.monotonic() - began
    cancelled = ask(daemon, "POST", f"/v1/sagas/{shown['id']}/cancel", {"now": True})

    assert (shown["status"], cancelled.status) == ("running", 200)
    assert 0.1 <= took < 5


def test_a_wait_ends_with_a_hold_that_needs_a_person(daemon: Daemon) -> None:
    """A wait ends with a hold that needs a person."""
    shown = submit(daemon, UNKNOWN)

    assert shown["hold"]["reason"] == "attention"


def test_a_client_that_goes_away_while_it_waits_leaves_its_saga_alone(daemon: Daemon) -> None:
    """A client that goes away while it waits leaves its saga alone."""
    nap = SLEEP | {"with": {"duration": "300ms"}}
    body = json.dumps(saga(nap, ECHO, kind="left-alone")).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        head = "POST /v1/sagas?wait=1h HTTP/1.1\r\nHost: x\r\nContent-Length: "
        client.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
        daemon.wait_until(lambda: _listed(daemon, "left-alone") != [], 10, "it is submitted")
    (found,) = _listed(daemon, "left-alone")

    assert daemon.wait_ended(found["id"])["status"] == "completed"


def _listed(daemon: Daemon, kind: str) -> list[dict[str, Any]]:
    return list(ask(daemon, "GET", f"/v1/sagas?kind={kind}").document["sagas"])


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_saga_is_found_by_its_id_its_beginning_and_last(daemon: Daemon) -> None:
    """A saga is found by its id its beginning and last."""
    shown = submit(daemon, ECHO)
    found = [
        ask(daemon, "GET", f"/v1/sagas/{ref}").document["id"]
        for ref in (shown["id"], shown["id"][:8], "last")
    ]

    assert found == [shown["id"]] * 3


@pytest.mark.parametrize("more", ["", "/why", "/executions", "/events"])
def test_a_saga_that_is_not_there_is_404(daemon: Daemon, more: str) -> None:
    """A saga that is not there is 404."""
    assert ask(daemon, "GET", f"/v1/sagas/zzzzzzzzzzzz{more}").status == 404


@pytest.mark.parametrize("ref", ["%00", "%27%20OR%201=1", "caf%C3%A9", "x" * 5000, "%25", "*", "~"])
def test_what_cannot_be_an_id_is_404(daemon: Daemon, ref: str) -> None:
    """What cannot be an id is 404."""
    assert ask(daemon, "GET", f"/v1/sagas/{ref}").status == 404


def test_a_beginning_of_more_than_one_id_is_a_conflict(daemon: Daemon) -> None:
    """Ids begin with one of 32 characters, so of 33 two begin alike."""
    for _ in range(33):
        submit(daemon, ECHO, kind="many", wait="0s")
    found = ask(daemon, "GET", "/v1/sagas?kind=many").document["sagas"]
    firsts = [each["id"][0] for each in found]
    twice = next(first for first in firsts if firsts.count(first) > 1)

    said = ask(daemon, "GET", f"/v1/sagas/{twice}")
    assert (said.status, said.document["code"]) == (409, "ambiguous")


def test_the_list_is_read_by_pages_without_gap_or_repeat(daemon: Daemon) -> None:
    """The list is read by pages without gap or repeat."""
    ids = [submit(daemon, ECHO, kind="paged")["id"] for _ in range(7)]
    page = ask(daemon, "GET", "/v1/sagas?kind=paged&limit=3").document
    seen = [each["id"] for each in page["sagas"]]
    while page["next"] is not None:
        page = ask(daemon, "GET", f"/v1/sagas?kind=paged&limit=3&cursor={page['next']}").document
        seen += [each["id"] for each in page["sagas"]]

    assert seen == ids[::-1]


def test_the_list_is_filtered(daemon: Daemon) -> None:
    """The list is filtered."""
    held = submit(daemon, UNKNOWN, kind="filtered", labels={"site": "harbour"})
    done = submit(daemon, ECHO, kind="filtered", labels={"site": "hill"})

    def ids(query: str) -> list[str]:
        return [
            each["id"] for each in ask(daemon, "GET", f"/v1/sagas?kind=filtered&{query}").document["sagas"]
        ]

    assert ids("hold=attention") == [held["id"]]
    assert ids("status=completed") == [done["id"]]
    assert ids("label=site=harbour") == [held["id"]]
    assert ids("label=site=hill&status=running") == []
    assert ids("since=2020-01-01T00:00:00Z") == [done["id"], held["id"]]
    assert ids("since=2120-01-01T00:00:00Z") == []


def test_why_and_executions_and_events_are_told(daemon: Daemon) -> None:
    """Why and executions and events are told."""
    shown = submit(daemon, ECHO, FAIL)
    why = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/why").document["why"]
    done = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/executions").document["executions"]
    events = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/events").document["events"]

    assert shown["status"] == "rolled_back"
    assert shown["id"] in why
    assert [each["nature"] for each in done if each["compensates"]] == ["restore"]
    assert (events[0]["type"], events[-1]["type"]) == ("saga.submitted", "saga.rolled_back")


def test_events_are_read_behind_a_number(daemon: Daemon) -> None:
    """Events are read behind a number."""
    shown = submit(daemon, ECHO)
    events = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/events").document["events"]
    rest = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/events?after={events[0]['seq']}&limit=2").document[
        "events"
    ]
    every = ask(daemon, "GET", f"/v1/events?after={events[0]['seq'] - 1}").document["events"]

    assert rest == events[1:3]
    assert every[: len(events)] == events


@pytest.mark.parametrize("path", ["/v1/health", "/v1/metrics", "/v1/openapi.json", "/v1/providers"])
def test_the_node_tells_about_itself(daemon: Daemon, path: str) -> None:
    """The node tells about itself."""
    assert ask(daemon, "GET", path).status == 200


def test_providers_are_told_by_type_and_family(daemon: Daemon) -> None:
    """Providers are told by type and family."""

    def types(query: str) -> list[str]:
        return [
            each["type"] for each in ask(daemon, "GET", f"/v1/providers?type={query}").document["providers"]
        ]

    assert types("local.file") == ["local.file"]
    assert sorted(types("local")) == ["local.directory", "local.file", "local.symlink"]
    assert ask(daemon, "GET", "/v1/providers?type=tset").status == 404


def test_validate_says_what_is_wrong_and_starts_nothing(daemon: Daemon) -> None:
    """Validate says what is wrong and starts nothing."""
    good = ask(daemon, "POST", "/v1/validate", saga(ECHO, kind="only-checked")).document
    bad = ask(daemon, "POST", "/v1/validate", {"source": "saga: [", "format": "yaml"}).document

    assert (good["problems"], bool(bad["problems"])) == ([], True)
    assert _listed(daemon, "only-checked") == []


def test_a_rehearsal_tells_each_case_and_leaves_no_trace(daemon: Daemon, tmp_path: Path) -> None:
    """Case by case what would be left behind. Nothing is in the journal, nothing on the disk; secrets need not be there."""
    put = {
        "name": "page",
        "do": "local.file.put",
        "with": {"path": f"{tmp_path}/a", "content": "${secret.none}"},
    }
    ring = {"name": "ring", "do": "command.run", "with": {"argv": ["touch", f"{tmp_path}/b"]}, "undo": "none"}
    head = ask(daemon, "GET", "/v1/health").document["head"]
    found = ask(daemon, "POST", "/v1/rehearse", saga(put, ring, deadline="1h", kind="only-rehearsed"))

    assert found.status == 200
    assert found.document["clean"] is False
    assert (found.document["steps"], found.document["rehearsed"]) == (2, 2)
    assert found.document["notes"] == ["calls took no time, so the deadline never passed"]
    cases = {(case["step"], case["fault"]): case for case in found.document["cases"]}
    assert found.document["cases"][0] == {
        "step": None,
        "fault": "none",
        "what": "nothing goes wrong",
        "status": "completed",
        "hold": None,
        "left_behind": [],
        "clean": True,
    }
    assert all(cases["page", fault]["clean"] for fault in ("fails", "lost_done", "lost_not_done"))
    asked = cases["ring", "lost_done"]
    assert [each["step"] for each in asked["left_behind"]] == ["page", "ring"]
    assert asked["left_behind"][0]["resource"] == f"{tmp_path}/a"
    assert asked["hold"]["reason"] == "attention"
    assert "`resolve ring --as done|failed|retry`" in asked["hold"]["detail"]
    assert [each["step"] for each in cases[None, "cancelled"]["left_behind"]] == ["ring"]
    assert list(tmp_path.iterdir()) == []
    assert ask(daemon, "GET", "/v1/health").document["head"] == head
    assert _listed(daemon, "only-rehearsed") == []


def test_what_was_rehearsed_comes_true(daemon: Daemon, tmp_path: Path) -> None:
    """The saga that really fails at its third step leaves behind what its rehearsal said, in the same words."""
    put = {"name": "page", "do": "local.file.put", "with": {"path": f"{tmp_path}/a", "content": "x"}}
    ring = {"name": "ring", "do": "command.run", "with": {"argv": ["true"]}, "undo": "none"}
    for on_failure in ("compensate", "stop"):
        sent = saga(put, ring, FAIL, on_failure=on_failure)
        cases = ask(daemon, "POST", "/v1/rehearse", sent).document["cases"]
        (said,) = (case for case in cases if (case["step"], case["fault"]) == ("fall", "fails"))
        real = ask(daemon, "POST", "/v1/sagas?wait=20s", sent).document

        assert (real["status"], real["left_behind"]) == (said["status"], said["left_behind"])
        assert said["left_behind"]


def test_what_cannot_be_submitted_cannot_be_rehearsed(daemon: Daemon) -> None:
    """The same problems, at once."""
    bad = saga({**ECHO, "with": {"message": "${inputs.n}"}}, inputs={"n": {"type": "string"}})
    submitted = ask(daemon, "POST", "/v1/sagas", bad)
    rehearsed = ask(daemon, "POST", "/v1/rehearse", bad)

    assert rehearsed.status == submitted.status == 422
    assert rehearsed.document == submitted.document


def test_a_long_rehearsal_is_answered_while_others_are_served(daemon: Daemon) -> None:
    """Hundreds of steps: some of them are tried, on a thread of their own."""
    long = saga(*({**ECHO, "name": f"s{index}"} for index in range(300)))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, daemon, "POST", "/v1/rehearse", long)
        served, slowest = 0, 0.0
        while not answer.done():
            began = time.monotonic()
            ask(daemon, "GET", "/v1/sagas?limit=1")
            slowest = max(slowest, time.monotonic() - began)
            served += 1
        found = answer.result().document

    assert (found["clean"], found["steps"], found["rehearsed"]) == (True, 300, 22)
    assert found["notes"] == ["22 of 300 steps were made to go wrong, evenly chosen"]
    assert served > 10
    assert slowest < 1


# --- the stream -------------------------------------------------------------------------------------------------------


def _streamed(daemon: Daemon, path: str, last: str, **headers: str) -> list[tuple[int, str, Any]]:
    """Read a stream until an event of type `last`."""
    connection = Connection(daemon.socket, timeout=20)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={"Accept": "text/event-stream", **sent})
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        seen: list[tuple[int, str, Any]] = []
        fields: dict[str, str] = {}
        while not seen or seen[-1][1] != last:
            line = answer.readline().decode().strip()
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line and "data" in fields:
                seen.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                fields = {}
        answer.close()
        return seen
    finally:
        connection.close()


def test_a_stream_begins_with_what_was_and_goes_on_with_what_comes(daemon: Daemon) -> None:
    """A stream begins with what was and goes on with what comes."""
    shown = submit(daemon, ECHO, SLEEP | {"with": {"duration": "300ms"}}, FAIL, wait="0s")
    seen = _streamed(daemon, f"/v1/sagas/{shown['id']}/events", "saga.rolled_back")
    events = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/events").document["events"]

    assert [each[:2] for each in seen] == [(each["seq"], each["type"]) for each in events]
    assert [document for _, _, document in seen] == events


def test_a_stream_is_taken_up_again_without_gap_or_repeat(daemon: Daemon) -> None:
    """A stream is taken up again without gap or repeat."""
    shown = submit(daemon, ECHO, ECHO | {"name": "more"})
    path = f"/v1/sagas/{shown['id']}/events"
    whole = _streamed(daemon, path, "saga.completed")
    for number, _, _ in whole[:-1]:
        rest = _streamed(daemon, path, "saga.completed", Last_Event_ID=str(number))
        assert rest == [each for each in whole if each[0] > number]


def test_the_stream_of_all_has_every_saga_in_order(daemon: Daemon) -> None:
    """The stream of all has every saga in order."""
    head = ask(daemon, "GET", "/v1/health").document["head"]["seq"]
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(_streamed, daemon, f"/v1/events?after={head}", "saga.rolled_back")
        ids = [submit(daemon, ECHO)["id"] for _ in range(5)]
        ids.append(submit(daemon, FAIL)["id"])
        seen = listening.result(20)

    numbers = [number for number, _, _ in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [each["saga"] for _, kind, each in seen if kind == "saga.submitted"] == ids


# --- steering ---------------------------------------------------------------------------------------------------------


def verb(daemon: Daemon, shown: dict[str, Any], name: str, **body: Any) -> Said:
    """Say something to a saga."""
    return ask(daemon, "POST", f"/v1/sagas/{shown['id']}/{name}", body)


def test_a_saga_is_paused_resumed_and_cancelled(daemon: Daemon) -> None:
    """A saga is paused resumed and cancelled."""
    shown = submit(daemon, ECHO, SLEEP, ECHO | {"name": "after"}, wait="0s")
    did = [verb(daemon, shown, name).document["did"] for name in ("pause", "pause", "resume")]
    cancelled = verb(daemon, shown, "cancel", now=True, reason="enough")
    ended = daemon.wait_ended(shown["id"])

    assert did == ["accepted", "nothing", "accepted"]
    assert cancelled.document["saga"]["cancel"]["reason"] == "enough"
    assert (ended["hold"] is not None, ended["error"]) != (False, None)


def test_an_unknown_outcome_is_resolved_with_its_output(daemon: Daemon) -> None:
    """An unknown outcome is resolved with its output."""
    shown = submit(daemon, UNKNOWN)
    refused = verb(daemon, shown, "resolve", step="who", **{"as": "failed"}, output={"a": 1})
    taken = verb(daemon, shown, "resolve", step="who", **{"as": "done"})

    assert (refused.status, taken.status, taken.document["did"]) == (422, 200, "accepted")
    assert daemon.wait_ended(shown["id"])["status"] == "completed"


def test_a_verb_that_is_not_possible_now_names_what_is(daemon: Daemon) -> None:
    """A verb that is not possible now names what is."""
    shown = submit(daemon, UNKNOWN)
    said = verb(daemon, shown, "retry")

    assert (said.status, "resolve" in said.document["detail"]) == (409, True)


def test_a_preview_is_in_the_answer_only_where_it_was_asked_for(daemon: Daemon) -> None:
    """The answer of every other verb is as it was."""
    shown = submit(daemon, ECHO)

    assert "preview" in verb(daemon, shown, "rollback", preview=True).document
    assert "preview" not in verb(daemon, shown, "rollback").document


def test_a_step_that_is_not_there_is_404(daemon: Daemon) -> None:
    """A step that is not there is 404."""
    shown = submit(daemon, UNKNOWN)
    said = verb(daemon, shown, "retry", step="hwo")

    assert (said.status, said.document["code"]) == (404, "no_such_step")
    assert "who" in said.document["detail"]


def test_a_verb_on_no_saga_is_404(daemon: Daemon) -> None:
    """A verb on no saga is 404."""
    assert ask(daemon, "POST", "/v1/sagas/zzzzzzzzzzzz/cancel", {}).status == 404


def test_abandon_wants_a_reason(daemon: Daemon) -> None:
    """Abandon wants a reason."""
    shown = submit(daemon, UNKNOWN)
    without, given = verb(daemon, shown, "abandon"), verb(daemon, shown, "abandon", reason="gone anyway")

    assert (without.status, given.status) == (422, 200)
    assert daemon.wait_ended(shown["id"])["status"] == "failed"


# --- who --------------------------------------------------------------------------------------------------------------

CLIENT = """
import http.client, json, os, socket, sys
path, uid, gid, groups, asked = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]), json.loads(sys.argv[5])
os.setgroups(groups); os.setgid(gid); os.setuid(uid)
for method, route in asked:
    connection = http.client.HTTPConnection("sagad")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request(method, route, "{}" if method == "POST" else None)
    answer = connection.getresponse()
    text = answer.read()
    print(json.dumps([answer.status, json.loads(text).get("detail", "") if text[:1] == b"{" else ""]))
"""
USERS: dict[Role | None, str] = {"admin": "root", "operator": "daemon", "viewer": "bin", None: "nobody"}


def _as(
    daemon: Daemon, user: str, *asked: tuple[str, str], groups: tuple[int, ...] = ()
) -> list[tuple[int, str]]:
    """Ask as another user, in a process of his own."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    who = pwd.getpwnam(user)
    words = [str(daemon.socket), str(who.pw_uid), str(who.pw_gid), json.dumps(groups), json.dumps(asked)]
    ended = subprocess.run(
        [sys.executable, "-c", CLIENT, *words], check=True, capture_output=True, text=True, timeout=60
    )
    return [tuple(json.loads(line)) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_role_may_use_the_routes_that_are_its_own_and_no_others(
    daemon: Daemon, role: Role | None
) -> None:
    """The saga does not exist and the bodies are empty, so that nothing happens where it is allowed."""
    routes = [route for route in ROUTES if route.path not in ("/v1/drain", "/v1/reload") or role != "admin"]
    said = _as(
        daemon, USERS[role], *((each.method, each.path.replace("{id}", "zzzzzzzzzzzz")) for each in routes)
    )
    rank = -1 if role is None else [*ROLES].index(role)
    expected = {(each.method, each.path): rank >= ROLES.index(each.role) for each in routes}

    assert [status for status, _ in said if status >= 500] == []
    assert {
        (each.method, each.path): status != 403 for each, (status, _) in zip(routes, said, strict=True)
    } == expected


def test_who_has_no_role_is_told_how_to_get_one(daemon: Daemon) -> None:
    """Who has no role is told how to get one."""
    ((status, detail),) = _as(daemon, "nobody", ("GET", "/v1/health"))

    assert (status, "nobody has no role" in detail, "add yourself to group games" in detail) == (
        403,
        True,
        True,
    )


def test_a_group_gives_its_role_to_who_is_in_it(daemon: Daemon) -> None:
    """A group gives its role to who is in it."""
    games = pwd.getpwnam("games").pw_gid
    said = _as(daemon, "nobody", ("GET", "/v1/health"), groups=(games,))

    assert [status for status, _ in said] == [200]


def test_the_actor_of_an_event_is_who_said_it(daemon: Daemon) -> None:
    """The actor of an event is who said it."""
    shown = submit(daemon, SLEEP, wait="0s")
    said = _as(daemon, "daemon", ("POST", f"/v1/sagas/{shown['id']}/pause"))
    events = daemon.events(shown["id"])
    verb(daemon, shown, "cancel", now=True)

    assert [status for status, _ in said] == [200]
    assert "daemon" in {each["actor"] for each in events}


# --- the daemon's own life --------------------------------------------------------------------------------------------


def test_sagactl_ends_with_2_for_fifty_megabytes(daemon: Daemon, tmp_path: Path) -> None:
    """The daemon answers while the body is still being sent; the client must come to read that."""
    (tmp_path / "big.yaml").write_bytes(b"saga: x\ndescription: " + b"x" * 50_000_000 + b"\n")
    ended = subprocess.run(
        [Path(sys.executable).with_name("sagactl"), "submit", tmp_path / "big.yaml"],
        env={**os.environ, "SAGAD_SOCKET": str(daemon.socket)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)


def test_fifty_megabytes_do_not_stay_in_memory(daemon: Daemon) -> None:
    """Fifty megabytes do not stay in memory."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status")

    def resident() -> int:
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) // 1024

    before = resident()
    for _ in range(3):
        assert ask(daemon, "POST", "/v1/sagas", {"source": "x" * 50_000_000, "format": "yaml"}).status == 413

    assert resident() - before < 8


def test_reload_says_what_changed(daemon: Daemon) -> None:
    """Reload says what changed."""
    daemon.config.write_text(SETTINGS + "[limits]\nsagas_in_flight = 999\n")
    changed = ask(daemon, "POST", "/v1/reload")
    daemon.config.write_text(SETTINGS)
    back = ask(daemon, "POST", "/v1/reload", {})

    done = {"changed": ["limits"], "needs_restart": []}
    assert (changed.document, back.document) == (done, done)


def test_bad_settings_are_refused_with_each_problem_and_change_nothing(daemon: Daemon) -> None:
    """Bad settings are refused with each problem and change nothing."""
    daemon.config.write_text(SETTINGS + "[limits]\nsagas_in_fligth = 999\n")
    said = ask(daemon, "POST", "/v1/reload")
    daemon.config.write_text(SETTINGS)

    assert (said.status, "sagas_in_fligth" in str(said.document["errors"])) == (422, True)


@pytest.fixture
def own_daemon() -> Iterator[Daemon]:
    """A daemon for one test alone, which may end it."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made, Daemon(Path(made), "") as started:
        yield started


def test_a_daemon_that_drains_takes_no_new_sagas_and_still_answers(own_daemon: Daemon) -> None:
    """A daemon that drains takes no new sagas and still answers."""
    drained = ask(own_daemon, "POST", "/v1/drain")
    refused = ask(own_daemon, "POST", "/v1/sagas", saga(ECHO))

    assert (drained.status, refused.status, refused.document["code"]) == (200, 503, "draining")
    assert "only a restart of sagad ends this" in drained.document["detail"]
    assert ask(own_daemon, "GET", "/v1/health").document["status"] == "draining"


def test_without_file_descriptors_a_request_is_refused_and_works_again_later(own_daemon: Daemon) -> None:
    """Found by torture: a rollback, and a misspelt step (its near word takes an import), were answered 500."""
    shown = submit(own_daemon, ECHO)
    assert own_daemon.process is not None
    pid = own_daemon.process.pid
    connection = Connection(own_daemon.socket)
    connection.connect()
    connection.request("GET", "/v1/health")
    connection.getresponse().read()
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))

    def said(verb: str, **body: Any) -> tuple[int, Any]:
        connection.request("POST", f"/v1/sagas/{shown['id']}/{verb}", json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()).get("code")

    refused = [said("rollback", preview=True), said("skip", step="sya")]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    later = [said("rollback", preview=True), said("skip", step="sya")]
    connection.close()

    assert refused == [(503, "no_descriptors")] * 2
    assert [status for status, _ in later] == [200, 404]


def test_a_stop_ends_streams_and_waits_and_carries_the_saga_on(own_daemon: Daemon) -> None:
    """A stop ends streams and waits and carries the saga on."""
    shown = submit(
        own_daemon, ECHO, {"name": "nap", "do": "wait.timer", "with": {"duration": "2s"}}, wait="0s"
    )
    with ThreadPoolExecutor(2) as pool:
        stream = pool.submit(_streamed_to_its_end, own_daemon, f"/v1/sagas/{shown['id']}/events")
        waiting = pool.submit(_status_or_none, own_daemon)
        time.sleep(0.3)
        began = time.monotonic()
        code = own_daemon.stop()
        took = time.monotonic() - began
        text = stream.result(10)
        waiting.result(10)
    own_daemon.start()

    assert (code, took < 5) == (0, True)
    assert b"event: saga.submitted" in text
    assert own_daemon.wait_ended(shown["id"])["status"] == "completed"


def _streamed_to_its_end(daemon: Daemon, path: str) -> bytes:
    connection = Connection(daemon.socket)
    try:
        connection.request("GET", path, headers={"Accept": "text/event-stream"})
        with connection.getresponse() as answer:
            return answer.read()
    finally:
        connection.close()


def _status_or_none(daemon: Daemon) -> int | None:
    timer = {"name": "nap", "do": "wait.timer", "with": {"duration": "1h"}}
    try:
        return daemon.ask("POST", "/v1/sagas?wait=1h", saga(timer))[0]
    except OSError:
        return None


# --- the record -------------------------------------------------------------------------------------------------------


def test_the_record_is_proved_and_searched(daemon: Daemon) -> None:
    """By whoever may read; what is wrong with a question is said."""
    made = submit(daemon, ECHO)
    proved = ask(daemon, "GET", "/v1/audit/verify").document
    head = f"{proved['head']['seq']}:{proved['head']['hash']}"

    assert (proved["ok"], proved["bad"], proved["problem"]) == (True, None, None)
    assert ask(daemon, "GET", f"/v1/audit/verify?head={head}").document["ok"]
    assert ask(daemon, "GET", f"/v1/audit/verify?head=1:{'0' * 64}").document["bad"] == 1
    assert not ask(daemon, "GET", f"/v1/audit/verify?head={'1' * 64}").document["ok"]
    assert ask(daemon, "GET", "/v1/audit/verify?head=12").status == 422
    assert ask(daemon, "GET", "/v1/audit/replay").document["ok"]
    found = ask(daemon, "GET", f"/v1/audit/events?saga={made['id']}&actor=root").document["events"]
    assert [each["type"] for each in found] == ["saga.submitted"]
    assert ask(daemon, "GET", "/v1/audit/events?saga=nosuch").status == 404
    assert ask(daemon, "GET", "/v1/audit/events?since=then").status == 422
