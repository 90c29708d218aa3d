"""The services that drivers ask over a network, and whether they are asked at all: a circuit for each (``breaker``).

Kept in memory: after a restart a service counts as there until it fails again. What waits for one is written down by its
saga, as every wait is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from actors import breaker
from actors.breaker import Circuit, Position, Rules, Turn
from actors.clock import Clock, rfc3339
from actors.saga.calls import Postponed
from providers.contract import Ended, Failed, Unknown, Working

RULES = Rules()
"""Those of all services."""

TEXT = 500
"""An error's text is kept to this many characters."""


class Shown(msgspec.Struct, frozen=True):
    """A service as people see it."""

    name: str
    position: Position
    failures: int
    """Since its last answer."""
    error: str | None
    """What it failed with last, since then."""
    since: int | None
    """When it began to fail, where it is not asked for that."""
    until: int | None
    """When it is asked again."""


_CLOSED = Circuit()
_FREE = Turn()


class Asking:
    """One call of a driver, and what it tells of the driver's service."""

    def __init__(self, name: str, turn: Turn) -> None:
        """Begin with nothing known."""
        self.name = name
        self.turn = turn
        self.outcome: Any = None

    def came(self, outcome: Any) -> None:
        """Take what came of it: an outcome, a finding, or what it raised."""
        self.outcome = outcome.outcome if isinstance(outcome, Ended) else outcome


class Services:
    """All of them, by name. One instance serves the daemon."""

    def __init__(
        self,
        clock: Clock,
        redact: Callable[[Any], Any] = str,
        chance: Callable[[], float] = random.random,
        rules: Rules | None = None,
    ) -> None:
        """Begin with none. Clock and chance are the daemon's; `rules` are for all of them."""
        self._clock = clock
        self._redact = redact
        self._chance = chance
        self._rules = rules or RULES
        self._circuits: dict[str, Circuit] = {}

    @contextmanager
    def asking(self, name: str) -> Iterator[Asking]:
        """Ask a service for the length of one call, which says what came of it. Raises Postponed where it is shut."""
        turn = self._enter(name)
        asking = Asking(name, turn)
        try:
            yield asking
        finally:
            self._circuits[name] = self._after(asking)

    def shut(self, name: str) -> Postponed | None:
        """Give why a service is not to be asked now, or None. Whoever asks gets no turn by this."""
        if self._circuits.get(name, _CLOSED).position == "closed":
            return None
        _, turn = breaker.asked(self._circuits[name], self._clock.now(), self._rules)
        return None if isinstance(turn, Turn) else self._postponed(name, turn.until)

    def shown(self, name: str) -> Shown:
        """Give how a service is, also one that nobody has asked yet."""
        return _shown(name, self._circuits.get(name, _CLOSED))

    def _enter(self, name: str) -> Turn:
        circuit = self._circuits.get(name, _CLOSED)
        if circuit.position == "closed":
            return _FREE
        self._circuits[name], turn = breaker.asked(circuit, self._clock.now(), self._rules)
        if isinstance(turn, Turn):
            return turn
        raise self._postponed(name, turn.until)

    def _postponed(self, name: str, until: int) -> Postponed:
        circuit = self._circuits[name]
        # By chance a little later, so that those who wait do not all come at once.
        later = round(self._chance() * self._rules.spread * self._rules.pause)
        return Postponed(
            f"{name} has not answered since {rfc3339(circuit.since)}: {circuit.error}", until + later
        )

    def _after(self, asking: Asking) -> Circuit:
        circuit, now = self._circuits.get(asking.name, _CLOSED), self._clock.now()
        outcome = asking.outcome
        if outcome is None or getattr(outcome, "unasked", False) or _is_a_bug(outcome):
            return breaker.let_go(circuit, asking.turn, now)
        if not is_down(outcome):
            return breaker.answered(circuit, asking.turn)
        return breaker.failed(
            circuit, asking.turn, now, self._redact(said(outcome))[:TEXT], self._rules, self._chance()
        )


def is_down(outcome: Any) -> bool:
    """Tell whether an outcome says that the service is down: by the driver's word, or by no word in time."""
    if isinstance(outcome, TimeoutError) or (isinstance(outcome, Unknown) and outcome.code == "timeout"):
        return True
    return isinstance(outcome, Failed | Unknown | Working) and outcome.down


def _is_a_bug(outcome: Any) -> bool:
    """Tell whether an outcome is the driver's or the operator's own doing, and says nothing of the service."""
    if isinstance(outcome, Unknown):
        return outcome.code in ("raised", "interrupted", "no_outcome")
    return isinstance(outcome, BaseException) and not isinstance(outcome, TimeoutError)


def said(outcome: Any) -> str:
    """Give what an outcome failed with, in words."""
    if isinstance(outcome, Working):
        return outcome.detail
    return str(getattr(outcome, "message", "")) or "no answer in time"


def _shown(name: str, circuit: Circuit) -> Shown:
    shut = circuit.position != "closed"
    return Shown(
        name=name,
        position=circuit.position,
        failures=len(circuit.failed),
        error=circuit.error or None,
        since=circuit.since if shut else None,
        until=circuit.until if shut else None,
    )
