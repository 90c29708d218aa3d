"""Batches where they meet the rest: locks, rollbacks, restarts. Through the socket, on real files."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.daemon import ENDED, Daemon
from tests.engine.test_run import echo, fail, put, sleep, why
from tests.faults.folder import saga

SETTINGS = """
[limits]
wait_passivate = "50ms"
[policy."local.file"]
undo = "hold"
"""


def submit(daemon: Daemon, sagas: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Submit a batch of these sagas; give its document."""
    body = {"batch": "many", "sagas": [{"saga": each} for each in sagas], **more}
    status, document = daemon.ask("POST", "/v1/batches", body)
    assert status == 201, document
    return dict(document)


def page(daemon: Daemon, batch: dict[str, Any]) -> dict[str, Any]:
    """Give a batch's document."""
    status, document = daemon.ask("GET", f"/v1/batches/{batch['id']}")
    assert status == 200, document
    return dict(document)


def ended(daemon: Daemon, batch: dict[str, Any], seconds: float = 20) -> dict[str, Any]:
    """Wait for a batch's end."""
    daemon.wait_until(lambda: daemon.saga(batch["id"])["status"] in ENDED, seconds, "the batch has ended")
    return page(daemon, batch)


def test_a_batch_goes_on_at_once_after_the_daemon_was_stopped(tmp_path: Path) -> None:
    """Those whose turn has not come do not wait for longer than the daemon was away."""
    with Daemon(tmp_path) as daemon:
        batch = submit(daemon, [saga(f"m{n}", [sleep("s", "2500ms")]) for n in range(3)], parallel=1)
        daemon.wait_until(lambda: page(daemon, batch)["counts"].get("running") == 1, 5, "one runs")
        assert daemon.stop() == 0
        daemon.start()
        began = time.monotonic()
        done = ended(daemon, batch)

    assert done["status"] == "completed"
    assert time.monotonic() - began < 12


def test_somebody_else_who_waits_does_not_keep_a_batch_from_taking_back_what_is_its_own(
    daemon: Daemon, tmp_path: Path
) -> None:
    """A stranger waits for what a completed saga of the batch keeps; its rollback is not behind the stranger."""
    file = tmp_path / "x"
    batch = submit(
        daemon,
        [saga("one", [put("a", file, "batch")]), saga("two", [sleep("s", "700ms"), fail("f")])],
    )
    daemon.wait_until(lambda: page(daemon, batch)["counts"].get("completed") == 1, 5, "one has completed")
    stranger = daemon.submit(saga("stranger", [put("a", file, "stranger")]), wait=None)
    daemon.wait_until(lambda: daemon.saga(stranger["id"])["hold"] is not None, 5, "the stranger waits")
    done = ended(daemon, batch)
    daemon.wait_until(lambda: daemon.saga(stranger["id"])["status"] in ENDED, 5, "the stranger has its turn")

    assert done["status"] == "rolled_back"
    assert file.read_text() == "stranger"


def test_an_operators_rollback_of_a_saga_whose_batch_keeps_its_locks_goes_on(
    daemon: Daemon, tmp_path: Path
) -> None:
    """It takes back what the batch keeps for exactly that, and the batch, turning back, awaits it."""
    file = tmp_path / "y"
    batch = submit(
        daemon,
        [saga("one", [put("a", file, "batch")]), saga("two", [sleep("s", "1s"), fail("f")])],
    )
    daemon.wait_until(lambda: page(daemon, batch)["counts"].get("completed") == 1, 5, "one has completed")
    one = page(daemon, batch)["sagas"][0]["id"]
    assert daemon.say(one, "rollback")[0] == 200
    done = ended(daemon, batch)

    assert done["status"] == "rolled_back"
    assert not file.exists()


def test_two_batches_that_wait_for_each_other_are_a_deadlock(daemon: Daemon, tmp_path: Path) -> None:
    """Each keeps what a completed saga of it has changed, and a running one of each waits for the other's."""
    a, b = tmp_path / "a", tmp_path / "b"
    first = submit(
        daemon,
        [saga("one", [put("a", a, "1")]), saga("two", [sleep("s", "700ms"), put("b", b, "1")])],
    )
    second = submit(
        daemon,
        [saga("one", [put("b", b, "2")]), saga("two", [sleep("s", "700ms"), put("a", a, "2")])],
    )
    done = [ended(daemon, first), ended(daemon, second)]

    assert sorted(each["status"] for each in done) == ["completed", "rolled_back"]


def test_a_page_of_a_batch_that_ended_with_the_daemon_is_given_at_once(tmp_path: Path) -> None:
    """Sagas that have no locks have nothing to hear of its end; those that have hear of it after the restart."""
    file = tmp_path / "x"
    daemon = Daemon(tmp_path).start(module=("tests.engine.struck", "ended"))
    with daemon:
        batch = submit(daemon, [saga("one", [echo("s")]), saga("two", [put("a", file, "batch")])])
        assert daemon.process is not None
        daemon.process.wait(10)
        daemon.start()
        began = time.monotonic()
        document = page(daemon, batch)
        assert time.monotonic() - began < 2
        assert document["status"] == "completed"
        assert daemon.submit(saga("three", [put("a", file, "mine")]))["status"] == "completed"


def test_a_batch_is_accepted_whole_or_not_at_all(tmp_path: Path) -> None:
    """The daemon is killed while it writes down one that takes more than one transaction: nothing of it is ever run."""
    daemon = Daemon(tmp_path).start(module=("tests.engine.struck", "half"))
    sagas = [{"saga": saga(f"m{n}", [echo("s")])} for n in range(100)]
    body = {"batch": "many", "sagas": sagas}
    with daemon:
        with suppress(OSError):
            daemon.ask("POST", "/v1/batches", body, {"Idempotency-Key": "once"})
        assert daemon.process is not None
        daemon.process.wait(10)
        daemon.start()
        batches = daemon.ask("GET", "/v1/batches")[1]["batches"]
        left = daemon.ask("GET", "/v1/sagas?limit=500")[1]["sagas"]
        for each in left:
            daemon.wait_ended(each["id"], 5)
        over = {daemon.saga(each["id"])["status"] for each in left}
        status, again = daemon.ask("POST", "/v1/batches?wait=20s", body, {"Idempotency-Key": "once"})

    assert batches == []
    assert over == {"rolled_back"}
    assert (status, again["status"], again["counts"]) == (201, "completed", {"completed": 100})


def test_a_batch_that_was_killed_knows_what_has_become_of_its_sagas(tmp_path: Path) -> None:
    """They are on record, so nobody is asked, neither on the way forward nor back."""
    file = tmp_path / "x"
    with Daemon(tmp_path) as daemon:
        batch = submit(
            daemon, [saga("one", [put("a", file, "batch")]), saga("two", [sleep("s", "1500ms"), fail("f")])]
        )
        daemon.wait_until(lambda: page(daemon, batch)["counts"].get("completed") == 1, 5, "one has completed")
        daemon.kill()
        daemon.start()
        done = ended(daemon, batch)

    assert (done["status"], done["counts"]) == ("rolled_back", {"completed": 1, "rolled_back": 1})
    assert not file.exists()


def test_a_batch_lets_the_daemon_stop(tmp_path: Path) -> None:
    """However long its sagas still take, on their way forward or back; and again when it is stopped at once."""
    with Daemon(tmp_path, '[daemon]\nshutdown_grace = "1500ms"\n') as daemon:
        batch = submit(daemon, [saga("one", [sleep("s", "1h")]), saga("two", [sleep("s", "1h")])])
        daemon.wait_until(lambda: page(daemon, batch)["counts"].get("running") == 2, 5, "they run")
        for _ in range(3):
            assert daemon.stop(10) == 0
            daemon.start()
        daemon.ask("POST", f"/v1/batches/{batch['id']}/cancel", {"now": True})
        done = ended(daemon, batch)

    assert done["counts"] == {"rolled_back": 2}


def test_why_a_batch_does_not_move_names_its_saga_that_is_held(daemon: Daemon) -> None:
    """With the command that says what to do; and nothing of it once that has gone on."""
    batch = submit(daemon, [saga("one", [fail("f")], on_failure="hold"), saga("two", [echo("e")])])
    one = batch["sagas"][0]["id"]
    daemon.wait_until(lambda: daemon.saga(one)["hold"] is not None, 5, "it is held")
    assert f"; saga {one} (one) is held (attention): step f failed" in why(daemon, batch)
    assert f"`sagactl skip {one} f`" in why(daemon, batch)

    daemon.say(one, "skip", step="f")
    assert ended(daemon, batch)["status"] == "completed"
    assert one not in why(daemon, batch)


def test_a_taking_back_that_was_refused_stays_refused_after_a_kill(tmp_path: Path) -> None:
    """The batch finds the saga that it had begun for it, and does not ask anew."""
    with Daemon(tmp_path, SETTINGS) as daemon:
        batch = submit(
            daemon,
            [saga("one", [put("a", tmp_path / "x", "x")]), saga("two", [sleep("s", "200ms"), fail("f")])],
        )
        daemon.wait_until(lambda: bool(page(daemon, batch)["rollbacks"]), 5, "it is taken back")
        taker = page(daemon, batch)["rollbacks"][0]["id"]
        daemon.wait_until(lambda: daemon.saga(taker)["hold"] is not None, 5, "it asks")
        daemon.kill()
        daemon.start()
        assert daemon.say(taker, "reject")[0] == 200
        done = ended(daemon, batch)

    assert (done["status"], [each["id"] for each in done["rollbacks"]]) == ("failed", [taker])
