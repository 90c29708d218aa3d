"""What drivers' calls tell of the services that they ask."""

from __future__ import annotations

from typing import Any

import pytest

from actors.breaker import Rules
from actors.saga.calls import Postponed
from actors.services import Services
from providers.contract import Ended, Failed, NotDone, Planned, Succeeded, Unknown, Working

DOWN = Failed("http_503", "GET /v2/volumes was answered 503", transient=True, down=True)
NAME = "cloud"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1_000_000

    def now(self) -> int:
        """Give it."""
        return self.time


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


@pytest.fixture
def services(clock: Clock) -> Services:
    """Three failures open a circuit for a second; `s3cr3t` is a secret."""
    rules = Rules(failures=3, pause=1_000, spread=0.5)
    return Services(clock, lambda text: text.replace("s3cr3t", "***"), lambda: 0.0, rules)


def call(services: Services, outcome: Any) -> None:
    """Make a call that ends so."""
    with services.asking(NAME) as asking:
        asking.came(outcome)


def fail(services: Services, outcome: Any = DOWN, times: int = 3) -> None:
    """Make calls that fail."""
    for _ in range(times):
        call(services, outcome)


COUNTS = {
    "by the driver's word": (DOWN, True),
    "unknown, by the driver's word": (Unknown("no_answer", "lost", down=True), True),
    "asked again later": (Ended(Working("handle", detail="it was answered 503", down=True)), True),
    "raised by a plan": (Ended(DOWN), True),
    "no answer in the time of a step": (Unknown("timeout", "no answer within 1 s"), True),
    "no answer in the time of a find": (TimeoutError(), True),
    "refused": (Failed("http_422", "no such region"), False),
    "too fast": (Failed("rate_limited", "429", transient=True, rate_limited=True), False),
    "not asked": (Failed("rate_limited", "wait", unasked=True, retry_after=9), False),
    "done": (Succeeded(), False),
    "found absent": (NotDone(), False),
    "planned": (Planned(), False),
    "going on": (Working("handle"), False),
    "interrupted": (Unknown("interrupted", "it was interrupted"), False),
    "a bug of the driver's": (Unknown("raised", "KeyError"), False),
    "a bug in its find": (KeyError("x"), False),
}


@pytest.mark.parametrize("case", COUNTS)
def test_what_says_that_a_service_is_down(services: Services, case: str) -> None:
    """What says that the caller is wrong, or too fast, does not; nor what says nothing of the service."""
    outcome, counts = COUNTS[case]
    fail(services, outcome)

    assert (services.shut(NAME) is not None) == counts


def test_who_comes_then_is_told_since_when_why_and_when_again(services: Services, clock: Clock) -> None:
    """Without a secret in it; and no call is made."""
    fail(services, Failed("not_connected", "no connection with s3cr3t", down=True))
    with pytest.raises(Postponed) as told, services.asking(NAME):
        pytest.fail("it was asked")

    assert str(told.value) == "cloud has not answered since 1970-01-01T00:16:40.000Z: no connection with ***"
    assert told.value.until == clock.time + 1_000
    shown = services.shown(NAME)
    assert (shown.position, shown.failures, shown.since) == ("open", 3, clock.time)


def test_one_call_finds_out_and_then_all_go_on(services: Services, clock: Clock) -> None:
    """While it is out the others wait."""
    fail(services)
    clock.time += 1_000
    with services.asking(NAME) as probe:
        assert services.shown(NAME).position == "half_open"
        with pytest.raises(Postponed), services.asking(NAME):
            pytest.fail("a second one was let through")
        probe.came(Failed("http_404", "it is not there"))
    call(services, Succeeded())

    assert services.shown(NAME).position == "closed"


@pytest.mark.parametrize("nothing", ["interrupted", "not asked", "a bug in its find"])
def test_a_probe_that_finds_out_nothing_makes_way(services: Services, clock: Clock, nothing: str) -> None:
    """The next one is let through at once."""
    fail(services)
    clock.time += 1_000
    call(services, COUNTS[nothing][0])
    assert services.shown(NAME).position == "open"
    call(services, Succeeded())

    assert services.shown(NAME).position == "closed"


def test_a_probe_whose_actor_is_stopped_makes_way(services: Services, clock: Clock) -> None:
    """Whatever ends a call, its turn is given back."""
    fail(services)
    clock.time += 1_000
    with pytest.raises(KeyboardInterrupt), services.asking(NAME):
        raise KeyboardInterrupt
    call(services, Succeeded())

    assert services.shown(NAME).position == "closed"


def test_each_service_has_its_own(services: Services) -> None:
    """One is down, another is asked."""
    fail(services)

    assert services.shut(NAME) is not None
    assert services.shut("another") is None
    assert services.shown("another").position == "closed"


def test_those_who_wait_do_not_all_come_at_once(clock: Clock) -> None:
    """By chance one waits a little longer than another."""
    given = iter((0.0, 0.0, 1.0))
    services = Services(clock, str, lambda: next(given), Rules(failures=1, pause=1_000, spread=0.5))
    fail(services, times=1)
    untils = [found.until for found in (services.shut(NAME), services.shut(NAME)) if found is not None]

    assert untils == [clock.time + 1_000, clock.time + 1_500]
