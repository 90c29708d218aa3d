"""Batches through the API, with the real daemon behind it. Each answer is held to what openapi.json promises."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.promises import Said, ask
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

ECHO = {"name": "say", "do": "test.echo", "with": {"message": "hello"}}
FAIL = {"name": "fall", "do": "test.fail", "with": {"kind": "error"}}
UNKNOWN = {"name": "who", "do": "test.fail", "with": {"kind": "unknown"}}
SLEEP = {"name": "nap", "do": "test.sleep", "with": {"duration": "1h"}}
TEXT = 'saga: said\ninputs: {text: {type: string}}\nsteps:\n  - {name: say, do: test.echo, with: {message: "${inputs.text}"}}\n'
YAML = """\
batch: nightly
parallel: 2
sagas:
  - {file: jobs/said.yaml, inputs: {text: one}}
  - {file: jobs/said.yaml, inputs: {text: two}}
"""
FILES = {"jobs/said.yaml": TEXT}


def batch(*sagas: Any, **more: Any) -> dict[str, Any]:
    """Give a batch of sagas of one step each, written out."""
    return {
        "batch": "trial",
        "sagas": [{"saga": {"saga": "trial", "steps": [step]}} for step in sagas],
        **more,
    }


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One daemon for all."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made, Daemon(Path(made)) as started:
        yield started


def submit(daemon: Daemon, body: Any, wait: str = "30s", **headers: str) -> Said:
    """Submit a batch."""
    return ask(daemon, "POST", f"/v1/batches?wait={wait}", body, **headers)


def statuses(document: dict[str, Any]) -> list[str]:
    """Give the status of each saga of a batch."""
    return [saga["status"] for saga in document["sagas"]]


# --- submitting -------------------------------------------------------------------------------------------------------


def test_a_batch_is_submitted_located_and_read(daemon: Daemon) -> None:
    """With what it was given, its sagas in the file's order, and how it is counted."""
    said = submit(
        daemon,
        {"source": YAML, "format": "yaml", "files": FILES, "labels": {"a": "b"}, "reason": "to see"},
    )
    found = ask(daemon, "GET", said.headers["Location"])

    assert (said.status, found.status) == (201, 200)
    assert said.headers["Location"] == f"/v1/batches/{said.document['id']}"
    assert said.document["warnings"] == []
    shown = found.document
    assert {name: shown[name] for name in ("batch", "mode", "parallel", "on_failure", "reason")} == {
        "batch": "nightly",
        "mode": "all_or_nothing",
        "parallel": 2,
        "on_failure": "compensate",
        "reason": "to see",
    }
    assert (shown["status"], shown["counts"], shown["taken_back"]) == ("completed", {"completed": 2}, 0)
    assert [saga["inputs"] for saga in shown["sagas"]] == [{"text": "one"}, {"text": "two"}]
    assert [(saga["labels"], saga["batch"], saga["submitted_by"]) for saga in shown["sagas"]] == [
        ({"a": "b"}, shown["id"], "root")
    ] * 2


@pytest.mark.parametrize("step", [ECHO, FAIL])
def test_a_batch_is_a_saga_too(daemon: Daemon, step: dict[str, Any]) -> None:
    """It is read, explained and followed as one; in the list of sagas are only those that it holds."""
    shown = submit(daemon, batch(step)).document
    as_saga = ask(daemon, "GET", f"/v1/sagas/{shown['id']}").document
    events = ask(daemon, "GET", f"/v1/sagas/{shown['id']}/events").document["events"]
    listed = ask(daemon, "GET", "/v1/sagas?limit=1").document["sagas"]

    assert (as_saga["status"], as_saga["batch"], as_saga["kind"]) == (shown["status"], shown["id"], "trial")
    assert events[-1]["type"] == f"saga.{shown['status']}"
    assert [saga["id"] for saga in listed] == [shown["sagas"][0]["id"]]
    assert ask(daemon, "GET", "/v1/sagas/last").document["id"] == shown["sagas"][0]["id"]
    assert ask(daemon, "GET", "/v1/batches/last").document["id"] == shown["id"]


def test_a_batch_may_be_sent_as_one_object(daemon: Daemon) -> None:
    """As a saga may."""
    said = submit(daemon, {"batch": batch(ECHO, parallel=1), "reason": "to see"})

    assert (said.status, said.document["parallel"], len(said.document["sagas"])) == (201, 1, 1)


def test_the_same_key_and_body_are_the_same_batch(daemon: Daemon) -> None:
    """The same key and body are the same batch; another body, or a saga, is a conflict."""
    first = submit(daemon, batch(ECHO), Idempotency_Key="batch-1")
    again = submit(daemon, batch(ECHO), Idempotency_Key="batch-1")
    other = submit(daemon, batch(ECHO, ECHO), Idempotency_Key="batch-1")
    saga = ask(
        daemon, "POST", "/v1/sagas", {"saga": batch(ECHO)["sagas"][0]["saga"]}, Idempotency_Key="batch-1"
    )

    assert (first.status, again.status, other.status, saga.status) == (201, 200, 409, 409)
    assert again.document["id"] == first.document["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert other.document["code"] == saga.document["code"] == "idempotency_key_reused"


def test_a_wait_ends_where_the_sagas_of_a_batch_need_somebody(daemon: Daemon) -> None:
    """Its hold is then theirs; it is lifted with theirs."""
    began = time.monotonic()
    said = submit(daemon, batch(UNKNOWN, ECHO), "20s").document
    assert time.monotonic() - began < 15
    saga = said["sagas"][0]["id"]

    assert (said["status"], said["hold"]["reason"]) == ("running", "attention")
    assert f"saga {saga}: nobody knows whether step who was done" in said["hold"]["detail"]
    assert ask(daemon, "GET", "/v1/batches?limit=1").document["batches"][0]["hold"] == said["hold"]
    ask(daemon, "POST", f"/v1/sagas/{saga}/resolve", {"step": "who", "as": "done"})
    ended = daemon.wait_ended(said["id"])
    found = ask(daemon, "GET", f"/v1/batches/{said['id']}").document
    assert (ended["status"], found["hold"], statuses(found)) == ("completed", None, ["completed"] * 2)


def test_an_approval_that_is_asked_for_early_holds_up_nothing(daemon: Daemon) -> None:
    """A saga whose turn has not come may be approved already; the batch is not on hold for it."""
    asks = {"saga": {"saga": "asks", "policy": {"approve": "start"}, "steps": [ECHO]}}
    body = batch(SLEEP, parallel=1)
    said = submit(daemon, body | {"sagas": [*body["sagas"], asks]}, "700ms").document

    assert (said["hold"], said["sagas"][1]["hold"]["reason"]) == (None, "approval")
    ask(daemon, "POST", f"/v1/batches/{said['id']}/cancel", {"now": True})
    assert daemon.wait_ended(said["id"])["status"] == "rolled_back"


def test_while_one_saga_is_at_work_a_batch_is_not_on_hold(daemon: Daemon) -> None:
    """Another one may need somebody meanwhile, which that one says."""
    said = submit(daemon, batch(UNKNOWN, SLEEP), "700ms").document

    assert said["hold"] is None
    assert said["sagas"][0]["hold"]["reason"] == "attention"
    cancel = ask(daemon, "POST", f"/v1/batches/{said['id']}/cancel", {"now": True})
    assert (cancel.status, cancel.document["did"], cancel.document["rollback"]) == (200, "accepted", None)
    ask(daemon, "POST", f"/v1/sagas/{said['sagas'][0]['id']}/resolve", {"step": "who", "as": "failed"})
    assert daemon.wait_ended(said["id"])["status"] == "rolled_back"


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_everything_wrong_with_a_batch_is_named_and_nothing_is_started(daemon: Daemon) -> None:
    """With line and column, of the batch file and of the files that it names."""
    head = ask(daemon, "GET", "/v1/health").document["head"]
    source = YAML.replace("parallel: 2", "parallel: 0\nmod: best_effort") + (
        "  - {file: gone.yaml}\n  - {file: bad.yaml}\n  - {saga: {saga: x, steps: []}}\n"
    )
    bad = "saga: bad\nsteps:\n  - {name: a, do: test.ecko}\n"
    said = submit(daemon, {"source": source, "format": "yaml", "files": FILES | {"bad.yaml": bad}})

    assert (said.status, said.document["code"]) == (422, "invalid")
    assert said.document["detail"] == "the batch is not valid: 5 problems; nothing was started"
    assert [error["where"] for error in said.document["errors"]] == [
        "2:11: parallel",
        "3:1: mod",
        "7:12: sagas[2].file",
        "bad.yaml:3:19: steps[0].do",
        "9:12: sagas[4].saga: steps",
    ]
    assert said.document["errors"][1]["hint"] == "did you mean `mode`?"
    assert "`gone.yaml` was not sent along" in said.document["errors"][2]["problem"]
    assert ask(daemon, "GET", "/v1/health").document["head"] == head


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["sagas"]),
        ({"source": YAML}, ["format"]),
        ({"source": YAML, "format": "yaml", "sagas": []}, ["source"]),
        ({"batch": "b", "sagas": [], "paralel": 2, "reason": 3}, ["paralel", "reason"]),
        (batch(), ["sagas"]),
        (batch(ECHO, parallel=0), ["parallel"]),
        (batch(ECHO, mode="all"), ["mode"]),
        ({"sagas": batch(ECHO)["sagas"]}, ["the whole file"]),
        (batch(*[ECHO] * 1_001), ["sagas"]),
        ({"batch": "b", "sagas": [{"file": "a.yaml"}]}, ["sagas[0].file"]),
        ({"batch": batch(ECHO), "sagas": []}, ["sagas"]),
        ({"batch": batch(ECHO, mode="all")}, ["mode"]),
    ],
)
def test_a_body_that_is_no_batch_is_refused(daemon: Daemon, body: Any, where: list[str]) -> None:
    """Each problem with its place in the body."""
    said = submit(daemon, body)

    assert (said.status, [error["where"] for error in said.document["errors"]]) == (422, where)


def test_a_file_is_checked_as_what_it_is(daemon: Daemon) -> None:
    """A batch file as a saga, and a saga file as a batch, are told apart."""
    said = ask(daemon, "POST", "/v1/validate", {"source": YAML, "format": "yaml"})
    other = submit(daemon, {"source": TEXT, "format": "yaml"})

    (problem,) = said.document["problems"]
    assert (problem["where"], problem["problem"]) == ("1:1", "this is a batch file, not a saga file")
    assert "sagactl batch submit" in problem["hint"]
    assert other.document["errors"][0]["problem"] == "this is a saga file, not a batch file"


def test_a_batch_file_may_be_as_large_as_the_settings_say() -> None:
    """`document_bytes` counts for it as for a saga file."""
    settings = "[limits]\ndocument_bytes = 2000000\n"
    large = {"source": YAML + f"# {'x' * 1_500_000}\n", "format": "yaml", "files": FILES}
    with tempfile.TemporaryDirectory(prefix="sagad-") as made, Daemon(Path(made), settings) as daemon:
        assert submit(daemon, large).status == 201


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_batch_is_found_by_the_beginning_of_its_id(daemon: Daemon) -> None:
    """Where that is one's alone; a saga that is no batch is none."""
    ids = [submit(daemon, batch(ECHO)).document["id"] for _ in range(33)]
    first = ids[0]
    shared = next(each[0] for each in ids if sum(other[0] == each[0] for other in ids) > 1)
    ambiguous = ask(daemon, "GET", f"/v1/batches/{shared}")
    saga = ask(daemon, "GET", f"/v1/batches/{first}").document["sagas"][0]["id"]

    assert ask(daemon, "GET", f"/v1/batches/{first[:11].upper()}").document["id"] == first
    assert (ambiguous.status, ambiguous.document["code"]) == (409, "ambiguous")
    assert ask(daemon, "GET", f"/v1/batches/{saga}").status == 404


@pytest.mark.parametrize(("method", "more"), [("GET", ""), ("POST", "/cancel"), ("POST", "/rollback")])
def test_a_batch_that_is_not_there_is_404(daemon: Daemon, method: str, more: str) -> None:
    """With where to look."""
    said = ask(daemon, method, f"/v1/batches/zzzzzzzzzzzz{more}", {} if method == "POST" else None)

    assert (said.status, "sagactl batch ls" in said.document["detail"]) == (404, True)


def test_the_list_is_read_by_pages_without_gap_or_repeat(daemon: Daemon) -> None:
    """The newest first; batches only."""
    ids = [submit(daemon, batch(ECHO)).document["id"] for _ in range(5)]
    page = ask(daemon, "GET", "/v1/batches?limit=2").document
    seen = [each["id"] for each in page["batches"]]
    while len(seen) < 5:
        page = ask(daemon, "GET", f"/v1/batches?limit=2&cursor={page['next']}").document
        seen += [each["id"] for each in page["batches"]]

    assert seen[:5] == ids[::-1]
    assert "sagas" not in page["batches"][0]


# --- steering ---------------------------------------------------------------------------------------------------------


def put(path: Path, content: str = "x") -> dict[str, Any]:
    """Give a step that makes a file."""
    return {"name": "put", "do": "local.file.put", "with": {"path": str(path), "content": content}}


def test_a_batch_that_fails_takes_back_all(daemon: Daemon, tmp_path: Path) -> None:
    """What had completed by sagas of their own, which it names and counts."""
    said = submit(daemon, batch(put(tmp_path / "a"), FAIL, put(tmp_path / "b"), parallel=1)).document

    assert (said["status"], statuses(said)) == ("rolled_back", ["completed", "rolled_back", "rolled_back"])
    assert (said["counts"], said["taken_back"]) == ({"completed": 1, "rolled_back": 2}, 1)
    assert [each["rollback_of"] for each in said["rollbacks"]] == [said["sagas"][0]["id"]]
    assert said["sagas"][0]["rolled_back_by"] == said["rollbacks"][0]["id"]
    assert list(tmp_path.iterdir()) == []
    again = ask(daemon, "POST", f"/v1/batches/{said['id']}/rollback")
    assert (again.status, again.document["did"]) == (200, "nothing")


def test_each_for_itself(daemon: Daemon, tmp_path: Path) -> None:
    """With best_effort one that fails is its own affair, and the batch says that not all went well."""
    said = submit(daemon, batch(put(tmp_path / "a"), FAIL, mode="best_effort")).document

    assert statuses(said) == ["completed", "rolled_back"]
    assert (said["mode"], (tmp_path / "a").exists(), said["taken_back"]) == ("best_effort", True, 0)


def test_a_rollback_is_seen_beforehand_and_done(daemon: Daemon, tmp_path: Path) -> None:
    """Saga by saga with its steps, the newest first; then by a saga that is named."""
    said = submit(daemon, batch(put(tmp_path / "a"), put(tmp_path / "b"), parallel=1)).document
    path = f"/v1/batches/{said['id']}/rollback"
    preview = ask(daemon, "POST", path, {"preview": True}).document
    first, second = (saga["id"] for saga in said["sagas"])

    assert [(each["saga"], each["will"]) for each in preview["preview"]] == [
        (second, "roll back"),
        (first, "roll back"),
    ]
    assert [step["do"] for each in preview["preview"] for step in each["steps"]] == ["local.file.delete"] * 2
    assert preview["did"] == "nothing"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

    taken = ask(daemon, "POST", path, {"reason": "wrong night"}).document
    assert daemon.wait_ended(taken["rollback"])["status"] == "completed"
    found = ask(daemon, "GET", f"/v1/batches/{said['id']}").document
    assert (found["rolled_back_by"], found["taken_back"]) == (taken["rollback"], 2)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_has_ended_cannot_be_cancelled(daemon: Daemon) -> None:
    """And is told what can be done instead."""
    said = submit(daemon, batch(ECHO)).document
    cancelled = ask(daemon, "POST", f"/v1/batches/{said['id']}/cancel")

    assert (cancelled.status, "possible: rollback" in cancelled.document["detail"]) == (409, True)
    unknown = ask(daemon, "POST", f"/v1/batches/{said['id']}/cancel", {"noww": True})
    assert (unknown.status, unknown.document["errors"][0]["hint"]) == (422, "did you mean `now`?")


def test_a_thousand_sagas_are_one_batch(daemon: Daemon) -> None:
    """As many as may be; all start, all are counted."""
    said = submit(daemon, batch(*[ECHO] * 1_000, parallel=50), "60s")

    assert (said.status, said.document["counts"]) == (201, {"completed": 1_000})
    assert len(json.dumps(said.document["sagas"])) > 0
