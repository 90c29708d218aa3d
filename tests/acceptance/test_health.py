"""What `health` warns of: nothing that is over, and also what the daemon should never do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.daemon import Daemon
from tests.faults.folder import saga


def warnings(daemon: Daemon) -> list[str]:
    """What somebody should look at."""
    return list(daemon.ask("GET", "/v1/health")[1]["warnings"])


def test_a_saga_that_neither_moves_nor_has_a_reason_is_a_bug_that_health_shows(tmp_path: Path) -> None:
    """One whose timer was lost, beside one whose timer is not; it is gone from there once somebody has moved it."""
    wait = {"name": "wait", "do": "wait.timer", "with": {"duration": "1h"}}
    daemon = Daemon(tmp_path, '[limits]\nwait_passivate = "50ms"\n')
    with daemon:
        lost, kept = (daemon.submit(saga("waits", [wait]), wait=None)["id"] for _ in range(2))
        daemon.wait_until(lambda: daemon.saga(lost)["waiting"] is not None, 10, "it waits")
        daemon.stop()
        with sqlite3.connect(daemon.state / "sagad.db") as db:
            db.execute("UPDATE sagas SET wake = NULL WHERE id = ?", (lost,))
        db.close()
        daemon.start(module=("tests.acceptance.impatient",))
        daemon.wait_until(lambda: bool(warnings(daemon)), 10, "health warns")
        found = warnings(daemon)
        status = daemon.ask("GET", "/v1/health")[1]["status"]
        daemon.say(lost, "cancel")
        daemon.wait_ended(lost)

        assert [lost in each and kept not in each for each in found] == [True]
        assert status == "warning"
        assert warnings(daemon) == []
        daemon.say(kept, "cancel")
