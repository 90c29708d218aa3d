"""A provider that is down is not asked for a while: what needs it waits, spends nothing, and goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.site import FAIL, Site
from tests.engine.test_digitalocean import POST, SNAPSHOT
from tests.fakes.digitalocean import Clock, FakeDigitalOcean

BRISK = ("tests.engine.brisk",)
FOREVER = 1_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """As that of `test_digitalocean`, with a brisk daemon."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "do-token").write_text(FakeDigitalOcean.token)
    fake = FakeDigitalOcean(Clock(step=1.0))
    fake.lags.takes["snapshot"] = 4
    with fake.in_thread():
        settings = (
            f'[secrets]\ndir = "{secrets}"\n[limits]\nwait_passivate = "50ms"\n[providers.digitalocean]\n'
            f'token = "do-token"\nbase_url = "{fake.url}"\npoll = "20ms"\nsettle = "300ms"\n'
        )
        with Daemon(tmp_path, settings).start(module=BRISK) as daemon:
            yield Site(daemon, fake)


def _down(site: Site) -> None:
    site.fake.fail(503, times=FOREVER)


def _up(site: Site) -> None:
    site.fake.faults.clear()


def _begin(site: Site, *steps: dict[str, Any], attempts: int = 3) -> str:
    saga = site.saga(*steps)
    saga["steps"][0]["retry"] = {"attempts": attempts, "delay": "1ms"}
    return str(site.daemon.submit(saga, wait=None)["id"])


def _wait_for_it(site: Site, saga: str) -> dict[str, Any]:
    def waits() -> bool:
        waiting = site.daemon.saga(saga)["waiting"]
        return (
            waiting is not None and waiting["for"] == "provider" and "not answered since" in waiting["detail"]
        )

    site.daemon.wait_until(waits, 10, "it waits for its provider")
    return dict(site.daemon.saga(saga))


def _stands(site: Site, saga: str) -> bool:
    document = site.daemon.saga(saga)
    waits = document["waiting"] is not None and document["waiting"]["for"] == "provider"
    return waits or (document["hold"] is not None and document["hold"]["reason"] == "lock")


def _is_completed(site: Site, saga: str) -> bool:
    return bool(site.daemon.saga(saga)["status"] == "completed")


def _circuit(site: Site) -> dict[str, Any]:
    (found,) = site.daemon.ask("GET", "/v1/health")[1]["providers"]
    return dict(found)


def test_sagas_wait_while_it_is_down_and_complete_when_it_is_back(site: Site) -> None:
    """However long that takes, and with one attempt to each of them; in between it is hardly asked."""
    _down(site)
    sagas = [_begin(site, attempts=2) for _ in range(6)]
    # They want the same droplet's lock: whoever has got it waits for the provider, and the others for him.
    site.daemon.wait_until(lambda: all(_stands(site, saga) for saga in sagas), 10, "all of them wait")
    first = next(saga for saga in sagas if site.daemon.saga(saga)["hold"] is None)
    assert _wait_for_it(site, first)["waiting"]["until"] is not None
    asked, began = len(site.fake.requests), time.monotonic()
    site.daemon.wait_until(lambda: len(site.fake.requests) >= asked + 3, 10, "it is probed three times")
    probes = (time.monotonic() - began) / 0.4 + 2
    assert len(site.fake.requests) - asked <= probes
    _up(site)

    for saga in sagas:  # one after the other: they want the same droplet's lock
        site.daemon.wait_until(partial(_is_completed, site, saga), 20, "it completes")
    assert site.posts() == 6
    assert _circuit(site)["circuit"] == "closed"


def test_it_is_shown_everywhere(site: Site) -> None:
    """In the saga's sentence, in health, among the providers and in the metrics."""
    assert _circuit(site) == {
        "name": "digitalocean",
        "circuit": "closed",
        "failures": 0,
        "error": None,
        "since": None,
        "until": None,
    }
    _down(site)
    saga = _begin(site)
    _wait_for_it(site, saga)
    why = site.daemon.ask("GET", f"/v1/sagas/{saga}/why")[1]["why"]
    health = site.daemon.ask("GET", "/v1/health")[1]
    (reach,) = health["providers"]
    about = site.daemon.ask("GET", "/v1/providers?type=digitalocean.droplet")[1]["providers"][0]

    assert "step snap waits for its provider (digitalocean has not answered since 20" in why
    assert f"GET /v2/droplets/{site.droplet} was answered 503" in why
    assert ": it is tried again at 20" in why
    assert reach["circuit"] in ("open", "half_open")
    assert health["status"] == "warning"
    assert any(f"digitalocean has not answered since {reach['since']}" in each for each in health["warnings"])
    assert about["service"] == "digitalocean"
    assert about["reach"]["since"] == reach["since"]


def test_it_can_be_cancelled_and_paused_meanwhile(site: Site) -> None:
    """Nothing of it has begun, so it is over at once; one that is paused stays where it is when the provider is back."""
    _down(site)
    cancelled, paused = _begin(site), _begin(site)
    for saga in (cancelled, paused):
        _wait_for_it(site, saga)
    site.daemon.say(cancelled, "cancel")
    site.daemon.say(paused, "pause")
    assert site.daemon.wait_ended(cancelled)["status"] == "rolled_back"
    _up(site)
    site.daemon.submit(site.saga())
    assert site.daemon.saga(paused)["hold"]["reason"] == "paused"
    site.daemon.say(paused, "resume")

    assert site.daemon.wait_ended(paused)["status"] == "completed"


def test_the_wait_outlives_a_crash(site: Site) -> None:
    """It is on disk, with its time; nothing of it is in memory."""
    _down(site)
    saga = _begin(site)
    _wait_for_it(site, saga)
    site.daemon.kill()
    site.daemon.start(module=BRISK)
    _up(site)

    assert site.daemon.wait_ended(saga)["status"] == "completed"
    assert site.posts() == 1


def test_an_undo_waits_for_it(site: Site) -> None:
    """None of its patience is spent, and what is to be taken back is, in the end."""
    asks = {"name": "ask", "do": "wait.approval", "with": {"message": "go on?"}}
    saga = _begin(site, asks)
    site.daemon.wait_ended(saga)
    _down(site)
    site.daemon.say(saga, "cancel")
    document = _wait_for_it(site, saga)
    assert document["status"] == "compensating"
    assert "the undo of step snap waits" in document["waiting"]["detail"]
    _up(site)
    site.daemon.wait_until(lambda: site.daemon.saga(saga)["status"] == "rolled_back", 10, "it is rolled back")

    assert site.fake.objects("snapshot") == []
    assert len(site.fake.asked("DELETE", SNAPSHOT)) <= 2


def test_what_became_of_a_call_is_found_out_when_it_is_back(site: Site) -> None:
    """Killed between the POST and its outcome, and since then nothing answers: it is adopted, not made again."""
    site.fake.slow(30, method="POST", path=POST)
    saga = _begin(site, FAIL)
    site.daemon.wait_until(lambda: bool(site.fake.asked("POST", POST)), 10, "the POST has arrived")
    site.daemon.kill()
    _down(site)
    site.daemon.start(module=BRISK)
    assert "whether it was done is asked again at" in _sentence(site, saga)
    _up(site)

    assert site.daemon.wait_ended(saga)["status"] == "rolled_back"
    assert site.posts() == 1
    assert site.fake.objects("snapshot") == []


def _sentence(site: Site, saga: str) -> str:
    _wait_for_it(site, saga)
    return str(site.daemon.ask("GET", f"/v1/sagas/{saga}/why")[1]["why"])


def test_what_goes_on_there_is_asked_about_when_it_is_back(site: Site) -> None:
    """An action that is under way: its id is on record, and nothing is begun anew."""
    site.fake.fail(503, method="GET", path="/v2/actions/*", times=FOREVER)
    saga = _begin(site)
    _wait_for_it(site, saga)
    site.daemon.kill()
    _up(site)
    site.daemon.start(module=BRISK)

    assert site.daemon.wait_ended(saga)["status"] == "completed"
    assert site.posts() == 1


def test_that_somebody_is_wrong_does_not_count(site: Site) -> None:
    """A 404 and a 429 are answers."""
    missing = {"name": "snap", "do": "digitalocean.droplet_snapshot.create", "with": {"droplet_id": 1}}
    for _ in range(4):
        site.daemon.submit({"saga": "missing", "steps": [missing]})
    site.fake.limit(retry_after=0, times=2)
    site.daemon.wait_ended(_begin(site))

    assert _circuit(site)["failures"] == 0


# --- one that is busy -----------------------------------------------------------------------------------------------


def _milliseconds(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


BUSY = {
    "the POST, and it says when": ("POST", POST, 1.5, "step.delayed", 1_500),
    "the POST, and it does not say": ("POST", POST, None, "step.delayed", 1_000),
    "the look before it": ("GET", "/v2/droplets/*", 1.5, "step.delayed", 1_500),
    # One of up to five seconds would be waited out in memory.
    "a poll": ("GET", "/v2/actions/*", 5.5, "step.working", 5_500),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BUSY)
def test_a_429_is_obeyed_and_the_wait_outlives_a_crash(site: Site, case: str) -> None:
    """It is on disk until when; the daemon is killed meanwhile; nothing is asked before, and nothing is made twice."""
    method, path, retry_after, event, least = BUSY[case]
    if event == "step.working":
        site.fake.lags.takes["snapshot"] = 1e9
    site.fake.limit(retry_after=retry_after, method=method, path=path)
    saga = _begin(site)

    def waits() -> list[dict[str, Any]]:
        return [
            each
            for each in site.daemon.events(saga)
            if each["type"] == event and each["data"]["due"] - _milliseconds(each["at"]) >= least
        ]

    site.daemon.wait_until(lambda: bool(waits()), 10, "it waits as long as it was told")
    site.daemon.kill()
    site.fake.clock.advance(2e9)
    site.daemon.start(module=BRISK)
    document = site.daemon.wait_ended(saga)
    after = [each for each in site.daemon.events(saga) if each["seq"] > waits()[0]["seq"]]

    assert document["status"] == "completed", document
    assert _milliseconds(after[0]["at"]) >= waits()[0]["data"]["due"]
    assert site.posts() == 1
