"""One saga that keeps sagad from its work is stopped or shown; the others go on as if it were not there."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Connection, Daemon
from tests.faults.folder import saga

pytestmark = pytest.mark.slow

QUICK = '[daemon]\nshutdown_grace = "100ms"\n[supervisor]\nmax_restarts = 2\nbackoff = "1ms"\n'
ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}
SLEEP: dict[str, Any] = {"name": "nap", "do": "test.sleep", "with": {"duration": "1ms"}}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all: each test shows that it goes on."""
    made = Daemon(tmp_path_factory.mktemp("unruly"), QUICK)
    made.start(module=("tests.faults.unruly",))
    with made:
        yield made


def goes_on(daemon: Daemon) -> bool:
    """Others run as ever."""
    return all(daemon.submit(saga("other", [ECHO, SLEEP]))["status"] == "completed" for _ in range(5))


def warning(daemon: Daemon, id_: str) -> str:
    """Give what `health` says of a saga, once it does."""
    found: list[str] = []

    def said() -> bool:
        found[:] = [text for text in daemon.ask("GET", "/v1/health")[1]["warnings"] if id_ in text]
        return bool(found)

    daemon.wait_until(said, 20, f"health names {id_}")
    return found[0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("crashes", "ZeroDivisionError: at every message"),
        ("endless", "it had sagad to itself"),
        ("blocks", "it had sagad to itself"),
        ("forgets", "did not take in how attempt 1 of step 0 ended"),
    ],
)
def test_an_actor_that_cannot_go_on_is_quarantined_and_the_others_go_on(
    daemon: Daemon, kind: str, said: str
) -> None:
    """`health` says which saga, since when and why; the step was performed once; abandon ends it."""
    id_ = daemon.submit(saga(kind, [SLEEP]), wait=None)["id"]
    text = warning(daemon, id_)
    shown = daemon.saga(id_)

    assert shown["hold"]["reason"] == "quarantined"
    assert said in text
    assert f"quarantined since {shown['hold']['since']}" in text
    assert shown["steps"][0]["attempts"] <= 1
    assert goes_on(daemon)


def test_a_driver_that_blocks_the_loop_is_broken_off_and_its_outcome_unknown(daemon: Daemon) -> None:
    """It may have done anything; nobody can find out, so somebody is asked."""
    shown = daemon.submit(saga("blocked", [{"name": "block", "do": "unruly.block", "with": {}}]))

    assert (shown["status"], shown["hold"]["reason"]) == ("running", "attention")
    assert "it had sagad to itself" in shown["hold"]["detail"]
    assert goes_on(daemon)


def test_a_daemon_that_was_stopped_for_a_while_has_done_nothing_wrong(daemon: Daemon) -> None:
    """SIGSTOP and SIGCONT, in the middle of a saga."""
    assert daemon.process is not None
    id_ = daemon.submit(saga("stopped", [SLEEP, ECHO, {**SLEEP, "name": "again"}]), wait=None)["id"]
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)  # of real time, in which nothing of the daemon runs: there is no other clock for that
    daemon.process.send_signal(signal.SIGCONT)

    assert daemon.wait_ended(id_)["status"] == "completed"


@pytest.mark.parametrize(
    ("kind", "step", "said"),
    [
        ("waits", SLEEP, "is in one turn, which does not end"),
        ("reads", {"name": "look", "do": "unruly.read", "with": {}}, "reads what step look is to change"),
    ],
)
def test_an_actor_that_does_not_come_on_is_shown(
    daemon: Daemon, kind: str, step: dict[str, Any], said: str
) -> None:
    """With its saga and since when."""
    id_ = submitted_unheard(daemon, {"saga": saga(kind, [ECHO, step])}, kind)
    text = warning(daemon, id_)

    assert said in text
    assert ", since 20" in text
    assert goes_on(daemon)


def submitted_unheard(daemon: Daemon, body: dict[str, Any], kind: str) -> str:
    """Submit and hang up: whoever submits waits for the end of a turn. Give the saga."""
    connection = Connection(daemon.socket)
    connection.request("POST", "/v1/sagas", json.dumps(body), {"Content-Type": "application/json"})

    def there() -> bool:
        return bool(daemon.ask("GET", f"/v1/sagas?kind={kind}")[1]["sagas"])

    daemon.wait_until(there, 10, "it is on record")
    connection.close()
    return str(daemon.ask("GET", f"/v1/sagas?kind={kind}")[1]["sagas"][0]["id"])
