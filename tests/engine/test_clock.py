"""The machine's clock is set while something is going on."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.fakes.digitalocean import FakeDigitalOcean

DAY = 86_400.0
VOLUMES = "/v2/volumes"


@pytest.mark.slow
def test_a_clock_set_forward_does_not_end_the_time_for_which_absence_proves_nothing(tmp_path: Path) -> None:
    """Found by torture: the volume was made, its answer lost, and it was taken for absent before it could be listed."""
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "do-token").write_text(FakeDigitalOcean.token)
    shift = tmp_path / "shift"
    shift.write_bytes(bytes(8))
    fake = FakeDigitalOcean()
    fake.lags.unlisted["volume"] = 1000
    fake.lose(after=True, method="POST", path=VOLUMES)
    with fake.in_thread():
        settings = (
            f'[secrets]\ndir = "{tmp_path / "secrets"}"\n[providers.digitalocean]\ntoken = "do-token"\n'
            f'base_url = "{fake.url}"\npoll = "20ms"\n'
        )
        daemon = Daemon(tmp_path, settings).start(module=("tests.torture.shifted", str(shift)))

        def looked(times: int) -> bool:
            return len(fake.asked("GET", VOLUMES)) >= times

        with daemon:
            given = {"name": "data", "size_gigabytes": 10, "region": "nyc3"}
            step = {"name": "volume", "do": "digitalocean.volume.create", "with": given}
            saga = daemon.submit({"saga": "make", "steps": [step]}, wait=None)["id"]
            daemon.wait_until(lambda: bool(fake.asked("POST", VOLUMES)), 10, "it is posted")
            now = len(fake.asked("GET", VOLUMES))
            daemon.wait_until(lambda: looked(now + 1), 10, "it is looked for")
            shift.write_bytes(struct.pack("d", DAY))
            daemon.wait_until(lambda: looked(now + 3), 10, "it is looked for again")
            fake.clock.advance(2000)
            document = daemon.wait_ended(saga)

    assert document["status"] == "completed", document["error"]
    assert len(fake.asked("POST", VOLUMES)) == 1
