"""A revert that is killed at each of its commits ends reverted or open, never half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon

pytestmark = pytest.mark.slow

MOST = 12
"""Commits of a revert, at most."""


def _drifted(daemon: Daemon, page: Path, number: int) -> dict[str, Any]:
    """Change the file behind the daemon's back; give the record of that."""
    page.write_text(f"theirs {number}")
    (record,) = daemon.ask("POST", "/v1/drift/detect", {})[1]["drift"]
    return dict(record)


def _revert(daemon: Daemon, record: dict[str, Any]) -> bool:
    """Have it reverted; tell whether the daemon has lived to say that it is done."""
    try:
        status, answer = daemon.ask("POST", f"/v1/drift/{record['id']}/revert?wait=20s", {})
    except OSError:
        return False
    return status == 200 and answer["drift"][0]["status"] == "reverted"


def _settled(daemon: Daemon, record: dict[str, Any]) -> dict[str, Any]:
    """Give the record once nobody is at it any more."""
    found: dict[str, Any] = {}

    def over() -> bool:
        nonlocal found
        found = daemon.ask("GET", f"/v1/drift/{record['id']}")[1]
        return found["status"] != "open" or found["resolved_by"] is None

    daemon.wait_until(over, 20, "the record is settled")
    return found


@pytest.mark.parametrize("point", ["before", "after"])
def test_a_revert_that_is_killed_is_never_half(tmp_path: Path, point: str) -> None:
    """Reverted exactly if its saga has completed, and then the file is as it should be; else open again, with why."""
    page, arm = tmp_path / "page", tmp_path / "arm"
    module = ("tests.faults.armed", str(arm))
    lived, ends, number = False, list[str](), 0
    with Daemon(tmp_path).start(module=module) as daemon:
        step = {"name": "f", "do": "local.file.create", "with": {"path": str(page), "content": "wanted"}}
        assert daemon.submit({"saga": "file", "steps": [step]})["status"] == "completed"
        while not lived:
            number += 1
            assert number < MOST
            record = _drifted(daemon, page, number)
            arm.write_text(f"{point} {number}")
            lived = _revert(daemon, record)
            if not lived:
                arm.unlink()
                daemon.kill()
                daemon.start(module=module)
            found = _settled(daemon, record)
            sagas = daemon.ask("GET", f"/v1/sagas?label=drift={record['id']}")[1]["sagas"]
            completed = [each["id"] for each in sagas if each["status"] == "completed"]
            ends.append(found["status"])
            arm.unlink(missing_ok=True)

            assert completed == ([found["resolved_by"]] if found["status"] == "reverted" else [])
            if found["status"] == "reverted":
                assert page.read_text() == "wanted"
            elif sagas or number > 1:
                assert page.read_text() == f"theirs {number}"
                assert found["why"] is not None
            # What is open is not in the way of another try.
            if found["status"] == "open":
                assert _revert(daemon, record)
                assert page.read_text() == "wanted"
        types = [each["type"] for each in daemon.ask("GET", "/v1/events")[1]["events"]]

    assert {"open", "reverted"} <= set(ends), ends
    assert types.count("drift.detected") == number
    assert types.count("drift.reverted") == number


def test_an_actor_that_crashes_is_begun_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    """Whoever waits is told, health says so, the rest goes on; once it is mended, so does this."""
    page, arm = tmp_path / "page", tmp_path / "arm"
    settings = '[supervisor]\nmax_restarts = 2\nbackoff = "1ms"\n'
    step = {"name": "f", "do": "local.file.create", "with": {"path": str(page), "content": "wanted"}}
    with Daemon(tmp_path, settings).start(module=("tests.faults.armed", str(arm))) as daemon:
        daemon.submit({"saga": "file", "steps": [step]})
        page.write_text("changed")
        arm.write_text("bug 0")
        status, problem = daemon.ask("POST", "/v1/drift/detect", {})
        health = daemon.ask("GET", "/v1/health")[1]
        other = daemon.submit(
            {"saga": "other", "steps": [{"name": "e", "do": "test.echo", "with": {"message": "x"}}]}
        )
        arm.unlink()
        mended = daemon.ask("POST", "/v1/drift/detect", {})[1]

        assert (status, problem["code"]) == (503, "drift_failed")
        assert any("a bug in the sweep" in text for text in health["warnings"])
        assert health["restarts"] == 2
        assert other["status"] == "completed"
        assert mended["opened"] == 1
        assert daemon.ask("GET", "/v1/health")[1]["warnings"] == []
