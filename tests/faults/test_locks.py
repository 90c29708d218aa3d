"""Many sagas over few files, with failures, cancels and SIGKILLs at random: as if they had run one after the other."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import ENDED, Daemon

SAGAS = int(os.environ.get("TESTS_SAGAS", "150"))
"""The full run is `TESTS_SAGAS=1000`."""
FILES = 50
KILLS = max(3, SAGAS // 50)
SETTINGS = '[limits]\nwait_passivate = "50ms"\n'


def some_saga(chance: random.Random, number: int, folder: Path) -> dict[str, Any]:
    """Write one to four of the files, in any order, now and then slowly, or failing, or side by side."""
    graph = chance.random() < 0.2
    steps: list[dict[str, Any]] = []
    for index, file in enumerate(chance.sample(range(FILES), chance.randint(1, 4))):
        path = folder / f"d{file % 5}" / f"f{file}"
        write = {"path": str(path), "content": f"saga {number} step {index}\n"}
        steps.append({"name": f"w{index}", "do": "local.file.put", "with": write})
        if chance.random() < 0.2:
            steps.append({"name": f"p{index}", "do": "test.sleep", "with": {"duration": "30ms"}})
    if chance.random() < 0.25:
        steps.append({"name": "fails", "do": "test.fail", "with": {"kind": "error"}})
    if graph:
        steps = [{**step, "needs": []} for step in steps]
    return {"saga": f"s{number}", "steps": steps}


def expected(daemon: Daemon, documents: list[dict[str, Any]], folder: Path) -> dict[str, str]:
    """Run the completed sagas one after the other, in the order of their commits, on paper."""
    after, order = 0, []
    while events := daemon.ask("GET", f"/v1/events?after={after}")[1]["events"]:
        order += [event["saga"] for event in events if event["type"] == "saga.completed"]
        after = events[-1]["seq"]
    by_id = {each["id"]: each for each in documents}
    files: dict[str, str] = {}
    for id_ in order:
        for execution in daemon.executions(by_id[id_]["id"]):
            if execution["operation"] == "local.file.put":
                files[execution["arguments"]["path"]] = execution["arguments"]["content"]
    return files


@pytest.mark.slow
def test_locks_make_it_as_if_sagas_ran_one_after_the_other(tmp_path: Path) -> None:
    """No deadlock lasts, no lock leaks, and the files are those of the completed sagas in commit order."""
    seed = int(os.environ.get("TESTS_SEED", str(random.randrange(10**6))))
    chance = random.Random(seed)
    print(f"TESTS_SEED={seed}")
    folder = tmp_path / "site"
    for number in range(5):
        (folder / f"d{number}").mkdir(parents=True)
    daemon = Daemon(tmp_path, SETTINGS).start()
    try:
        ids = _submit_all(daemon, chance, folder)
        daemon.wait_until(lambda: _all_ended(daemon), 30 + SAGAS / 5, "every saga has ended")
        documents = [daemon.saga(id_) for id_ in ids]
        files = expected(daemon, documents, folder)
    finally:
        daemon.__exit__()

    assert {each["status"] for each in documents} <= {"completed", "rolled_back"}, [
        (each["id"], each["left_behind"]) for each in documents if each["status"] == "failed"
    ]
    assert not any(each["locks"]["held"] or each["locks"]["awaits"] for each in documents)
    assert len({each["status"] for each in documents}) == 2
    found = {str(path): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == files


def _submit_all(daemon: Daemon, chance: random.Random, folder: Path) -> list[str]:
    """Submit them all, cancel some of them, and kill the daemon now and then."""
    kill_at = set(chance.sample(range(SAGAS), KILLS))
    ids: list[str] = []
    for number in range(SAGAS):
        ids.append(daemon.submit(some_saga(chance, number, folder), wait=None)["id"])
        if chance.random() < 0.1:
            daemon.say(chance.choice(ids), "cancel", now=chance.random() < 0.5)
        if number in kill_at:
            time.sleep(chance.uniform(0, 0.2))
            daemon.kill()
            daemon.start()
    return ids


def _all_ended(daemon: Daemon) -> bool:
    time.sleep(0.1)
    counts = daemon.ask("GET", "/v1/health")[1]["sagas"]
    return all(each["status"] in ENDED for each in counts)
