"""`make demo-cloud` and `make live`: what they say is so, nothing of theirs stays, and the real service is not asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.test_demo import place, running
from tests.fakes.digitalocean import Clock, FakeDigitalOcean

ROOT = Path(__file__).parents[2]
REFUSED = 2
__all__ = ["place"]


def ran(module: str, place: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the examples as make does; its temporary files go to this folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("DIGITALOCEAN_")}
    return subprocess.run(
        [sys.executable, "-m", f"examples.{module}"],
        cwd=ROOT,
        env={**own, "TMPDIR": str(place), "LC_ALL": "C.UTF-8", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_demo_proves_what_it_says_and_cleans_up(place: Path) -> None:
    """Every example is run, one at least of each is taken back, and no secret of a key is told."""
    done = ran("demo_cloud", place)
    examples = {path.stem for path in (ROOT / "examples" / "digitalocean").glob("*.yaml")}

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Proven: ")
    assert "NOT SO" not in done.stdout
    assert {name for name in examples if f"digitalocean/{name}.yaml" in done.stdout} == examples - {
        "snapshot"
    }
    assert "secret-" not in done.stdout
    assert running(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "needs a token"),
        ({"DIGITALOCEAN_TOKEN": "x"}, "needs the id of a droplet"),
        ({"DIGITALOCEAN_TOKEN": "x", "DIGITALOCEAN_DROPLET": "web-1"}, "`web-1` is none"),
    ],
)
def test_live_refuses_in_a_sentence(place: Path, environ: dict[str, str], sentence: str) -> None:
    """What is missing and what to type, and nothing was started."""
    done = ran("live", place, **environ)

    assert done.returncode == REFUSED
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert list(place.iterdir()) == []


def made(fake: FakeDigitalOcean) -> int:
    """Make a droplet, as its owner would have long before; give its id."""
    body = json.dumps({"name": "web-1", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}).encode()
    headers = {"Authorization": f"Bearer {fake.token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{fake.url}/v2/droplets", body, headers)) as answer:
        droplet = json.loads(answer.read())["droplet"]["id"]
    fake.clock.advance(60)
    return int(droplet)


@pytest.mark.slow
def test_live_takes_a_snapshot_and_deletes_it(place: Path) -> None:
    """Tried out against the fake: as many things as before, and the token is nowhere."""
    fake = FakeDigitalOcean(Clock(step=60.0))
    with fake.in_thread():
        droplet = made(fake)
        done = ran(
            "live",
            place,
            DIGITALOCEAN_TOKEN=fake.token,
            DIGITALOCEAN_DROPLET=str(droplet),
            DIGITALOCEAN_API_URL=fake.url,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Proven: ")
    assert len(fake.asked("DELETE", "/v2/snapshots/*")) == 1
    assert fake.objects("snapshot") == []
    assert fake.token not in done.stdout + done.stderr
    assert list(place.iterdir()) == []
