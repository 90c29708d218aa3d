"""Batches, through the socket: together or each for itself, seen on one page, cancelled, taken back, killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import ENDED, Daemon
from tests.engine.test_run import fail, put, sleep, statuses, why


def member(kind: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A saga of a batch, written out."""
    return {"saga": {"saga": kind, "steps": list(steps), **more}}


def over(folder: Path, number: int, *more: dict[str, Any]) -> dict[str, Any]:
    """A saga that changes one file of a folder and makes another."""
    return member(
        f"m{number}",
        put("change", folder / f"page{number}", f"after {number}"),
        put("make", folder / f"new{number}", f"new {number}"),
        *more,
    )


def fill(folder: Path) -> dict[str, str]:
    """Make a folder of ten pages; give what is in it."""
    folder.mkdir()
    for number in range(10):
        (folder / f"page{number}").write_text(f"before {number}")
    return look(folder)


def look(folder: Path) -> dict[str, str]:
    """Give what is in a folder."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def submit(
    daemon: Daemon, sagas: list[dict[str, Any]], *, wait: str = "?wait=30s", **batch: Any
) -> dict[str, Any]:
    """Submit a batch that must be accepted; give its page."""
    status, page = daemon.ask("POST", f"/v1/batches{wait}", {"batch": "ten", "sagas": sagas, **batch})
    assert status == 201, page
    return dict(page)


def page(daemon: Daemon, batch: dict[str, Any]) -> dict[str, Any]:
    """Give a batch's page."""
    return dict(daemon.ask("GET", f"/v1/batches/{batch['id']}")[1])


def ended(daemon: Daemon, batch: dict[str, Any]) -> dict[str, Any]:
    """Give a batch's page once it has ended."""
    daemon.wait_until(lambda: page(daemon, batch)["status"] in ENDED, 60, "the batch has ended")
    return page(daemon, batch)


def forward(daemon: Daemon, saga: str) -> list[dict[str, Any]]:
    """The executions by which a saga changed something on its way forward."""
    return [
        each
        for each in daemon.executions(saga)
        if each["operation"].startswith("local.") and each["nature"] == "forward"
    ]


@pytest.mark.parametrize("parallel", [1, 3, None])
def test_one_of_ten_fails_and_the_folder_is_as_before(
    daemon: Daemon, tmp_path: Path, parallel: int | None
) -> None:
    """Every original execution names its compensating one and the other way round; the record tells it as a story."""
    folder = tmp_path / "site"
    before = fill(folder)
    sagas = [over(folder, number, *[fail("bad")] * (number == 6)) for number in range(10)]
    batch = submit(daemon, sagas, mode="all_or_nothing", parallel=parallel)

    assert (batch["status"], batch["error"]["code"]) == ("rolled_back", "step_failed")
    assert look(folder) == before
    assert {each["status"] for each in batch["sagas"]} <= {"completed", "rolled_back"}
    assert not any(each["locks"]["held"] for each in batch["sagas"])
    by_id = {
        each["id"]: each
        for saga in batch["sagas"] + batch["rollbacks"]
        for each in daemon.executions(saga["id"])
    }
    for saga in batch["sagas"]:
        assert saga["status"] == "rolled_back" or saga["rolled_back_by"] in {
            each["id"] for each in batch["rollbacks"]
        }
        for execution in forward(daemon, saga["id"]):
            (taker,) = execution["compensated_by"]
            assert (by_id[taker]["compensates"], by_id[taker]["nature"]) == (execution["id"], "restore")
    told = subprocess.run(
        [Path(sys.executable).with_name("sagactl"), "audit", "show", batch["id"]],
        env={**os.environ, "SAGAD_SOCKET": str(daemon.socket)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for saga in batch["sagas"] + batch["rollbacks"]:
        assert f"saga {saga['id']}" in told
    assert "which was made up for by" in told
    assert "makes up for" in told


def test_all_go_well_and_the_batch_is_completed(daemon: Daemon, tmp_path: Path) -> None:
    """No more at once than it says; each starts when its turn has come, and nobody keeps a lock."""
    folder = tmp_path / "site"
    fill(folder)
    sagas = [over(folder, number, sleep("rest", "50ms")) for number in range(6)]
    batch = submit(daemon, sagas, parallel=2, wait="")
    most = 0
    while page(daemon, batch)["status"] not in ENDED:
        most = max(most, page(daemon, batch)["counts"].get("running", 0))
    done = page(daemon, batch)

    assert (done["status"], done["counts"]) == ("completed", {"completed": 6})
    assert 1 <= most <= 2
    assert not any(each["locks"]["held"] for each in done["sagas"])
    assert [each["kind"] for each in done["sagas"]] == [f"m{number}" for number in range(6)]
    assert {each["batch"] for each in done["sagas"]} == {batch["id"]}
    assert batch["id"] not in {each["id"] for each in daemon.ask("GET", "/v1/sagas")[1]["sagas"]}


def test_each_for_itself_the_others_go_on(daemon: Daemon, tmp_path: Path) -> None:
    """``best_effort``: the batch has failed, for one of them has, and what the others did stays."""
    folder = tmp_path / "site"
    fill(folder)
    sagas = [over(folder, number, *[fail("bad")] * (number == 1)) for number in range(4)]
    batch = submit(daemon, sagas, mode="best_effort", parallel=1)

    assert (batch["status"], batch["counts"]) == ("failed", {"completed": 3, "rolled_back": 1})
    assert [each["status"] for each in batch["sagas"]] == [
        "completed",
        "rolled_back",
        "completed",
        "completed",
    ]
    assert look(folder)["page3"] == "after 3"
    assert look(folder)["page1"] == "before 1"


def test_a_cancel_turns_all_of_it_back(daemon: Daemon, tmp_path: Path) -> None:
    """What has completed, what runs, and what had not had its turn."""
    folder = tmp_path / "site"
    before = fill(folder)
    sagas = [over(folder, 0), over(folder, 1, sleep("long", "1h")), over(folder, 2)]
    batch = submit(daemon, sagas, parallel=1, wait="")
    daemon.wait_until(
        lambda: statuses(page(daemon, batch)["sagas"][1])[2] == "running", 10, "the second runs"
    )
    status, said = daemon.ask("POST", f"/v1/batches/{batch['id']}/cancel", {"now": True, "reason": "enough"})
    done = ended(daemon, batch)

    assert (status, said["did"]) == (200, "accepted")
    assert (done["status"], done["cancel"]["reason"]) == ("rolled_back", "enough")
    assert [each["status"] for each in done["sagas"]] == ["completed", "rolled_back", "rolled_back"]
    assert statuses(done["sagas"][2]) == ["skipped", "skipped"]
    assert look(folder) == before


def test_a_failed_batch_can_be_looked_at_before_its_way_back(daemon: Daemon, tmp_path: Path) -> None:
    """``on_failure: hold`` stops; the preview touches nothing and says, saga by saga, what would be done."""
    folder = tmp_path / "site"
    before = fill(folder)
    sagas = [over(folder, 0), over(folder, 1, fail("bad")), over(folder, 2)]
    batch = submit(daemon, sagas, parallel=1, on_failure="hold")
    assert (batch["status"], batch["hold"]["reason"]) == ("running", "attention")
    changed = look(folder)
    (folder / "page0").write_text("by hand")
    _, seen = daemon.ask("POST", f"/v1/batches/{batch['id']}/rollback", {"preview": True})
    (folder / "page0").write_text("after 0")
    assert look(folder) == changed

    assert [(each["kind"], each["will"]) for each in seen["preview"]] == [
        ("m1", "nothing"),
        ("m0", "roll back"),
    ]
    assert [(each["step"], each["will"]) for each in seen["preview"][1]["steps"]] == [
        ("make", "undo"),
        ("change", "conflict"),
    ]
    status, said = daemon.ask("POST", f"/v1/batches/{batch['id']}/rollback", {})
    done = ended(daemon, batch)
    assert (status, said["did"], done["status"]) == (200, "accepted", "rolled_back")
    assert look(folder) == before


def test_a_batch_that_has_ended_is_taken_back_by_a_saga(daemon: Daemon, tmp_path: Path) -> None:
    """The newest first, each by a saga of its own."""
    folder = tmp_path / "site"
    before = fill(folder)
    batch = submit(daemon, [over(folder, number) for number in range(3)], parallel=1)
    status, said = daemon.ask("POST", f"/v1/batches/{batch['id']}/rollback", {"reason": "second thoughts"})
    daemon.wait_until(lambda: page(daemon, batch)["rolled_back_by"] is not None, 30, "it is taken back")
    done = page(daemon, batch)
    takers = [each["rolled_back_by"] for each in done["sagas"]]

    assert (status, said["did"], done["rolled_back_by"]) == (200, "accepted", said["rollback"])
    assert None not in takers
    assert look(folder) == before


def test_what_a_batch_has_done_is_locked_until_it_is_over(daemon: Daemon, tmp_path: Path) -> None:
    """A saga of the batch's own may have it, others wait; all_or_nothing means nobody builds on what may be taken back."""
    folder = tmp_path / "site"
    fill(folder)
    first, second = over(folder, 0), member("again", put("change", folder / "page0", "twice"))
    batch = submit(daemon, [first, second, member("slow", sleep("long", "1h"))], parallel=1, wait="")
    daemon.wait_until(lambda: page(daemon, batch)["counts"].get("completed") == 2, 10, "two have completed")
    other = daemon.submit({"saga": "other", "steps": [put("change", folder / "page0", "other")]}, wait=None)
    daemon.wait_until(lambda: daemon.saga(other["id"])["hold"] is not None, 10, "it waits")
    held = daemon.saga(other["id"])
    daemon.ask("POST", f"/v1/batches/{batch['id']}/cancel", {"now": True})
    daemon.wait_until(lambda: daemon.saga(other["id"])["status"] in ENDED, 20, "it has ended")

    assert held["hold"]["reason"] == "lock"
    assert daemon.saga(other["id"])["status"] == "completed"
    assert (folder / "page0").read_text() == "other"


def test_a_saga_that_needs_somebody_keeps_its_batch_going(daemon: Daemon, tmp_path: Path) -> None:
    """Its hold is on the page; once it is answered, the batch goes on."""
    ask = {
        "saga": {"saga": "asks", "policy": {"approve": "start"}, "steps": [put("one", tmp_path / "x", "1")]}
    }
    batch = submit(daemon, [ask], wait="")
    daemon.wait_until(lambda: page(daemon, batch)["hold"] is not None, 10, "it asks")
    held = page(daemon, batch)
    sentence = why(daemon, batch)
    daemon.say(held["sagas"][0]["id"], "approve")

    assert held["status"] == "running"
    assert held["sagas"][0]["hold"]["reason"] == held["hold"]["reason"] == "approval"
    assert f"saga {held['sagas'][0]['id']} (asks) is held (approval)" in sentence
    assert f"`sagactl approve {held['sagas'][0]['id']}`" in sentence
    assert ended(daemon, batch)["status"] == "completed"


@pytest.mark.slow
@pytest.mark.parametrize("fails", [True, False])
def test_a_batch_that_is_killed_again_and_again_ends_as_it_would_have(tmp_path: Path, *, fails: bool) -> None:
    """At random moments, on its way forward and back."""
    seed = int(os.environ.get("TESTS_SEED", str(random.randrange(10**6))))
    chance = random.Random(seed)
    print(f"TESTS_SEED={seed}")
    folder = tmp_path / "site"
    before = fill(folder)
    sagas = [over(folder, number, *[fail("bad")] * (fails and number == 6)) for number in range(10)]
    with Daemon(tmp_path) as daemon:
        batch = submit(daemon, sagas, parallel=3, wait="")
        for _ in range(12):
            time.sleep(chance.uniform(0, 0.06))
            daemon.kill()
            daemon.start()
        done = ended(daemon, batch)

        assert done["status"] == ("rolled_back" if fails else "completed")
        if fails:
            assert look(folder) == before
        assert not any(each["locks"]["held"] for each in done["sagas"] + done["rollbacks"])
        assert {each["status"] for each in done["sagas"]} <= {"completed", "rolled_back"}


def test_a_drain_lets_a_batch_go_and_a_restart_carries_it_on(tmp_path: Path) -> None:
    """The batch is no reason for a drain never to end."""
    with Daemon(tmp_path) as daemon:
        sagas = [member("slow", sleep("rest", "1s"), put("one", tmp_path / "x", "1"))]
        batch = submit(daemon, sagas, wait="")
        daemon.wait_until(lambda: statuses(page(daemon, batch)["sagas"][0])[0] == "running", 10, "it runs")
        assert daemon.ask("POST", "/v1/drain")[0] == 200
        daemon.stop()
        daemon.start()

        assert ended(daemon, batch)["status"] == "completed"
