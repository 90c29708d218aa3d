"""Whether a service is asked at all: a circuit breaker, as a pure state machine.

    closed      it is asked. So many failures in a row within the window open the circuit
    open        it is not asked until the pause is over; then one probe is let through
    half_open   the probe is out, and nobody else asks. It closes the circuit, or opens it for a longer pause

What counts as a failure says that the service is down: no connection, a 5xx, no answer in time, one that cannot be read.
That the caller is wrong, or too fast, is an answer, and an answer forgets the failures before it: a service that fails now
and then is what retries are for. Only the probe's own result moves a circuit that is not closed; what was asked before it
opened, and comes back late, says nothing new.

No clock and no chance in here: both are arguments. The clock is the machine's own, so that it can be set: a pause is never
longer than it was made, whatever the clock says.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

Position = Literal["closed", "open", "half_open"]

MOVES: dict[Position, frozenset[Position]] = {
    "closed": frozenset({"open"}),
    "open": frozenset({"half_open"}),
    "half_open": frozenset({"open", "closed"}),
}
"""Where a circuit may go."""


class Rules(msgspec.Struct, frozen=True):
    """When a circuit opens, and for how long; in milliseconds."""

    failures: int = 5
    window: int = 60_000
    pause: int = 30_000
    """The first pause; each probe that fails doubles it."""
    longest: int = 300_000
    again: int = 5_000
    """Who comes while the probe is out asks again after so long."""
    patience: int = 90_000
    """A probe of which nothing was heard for so long is given up, and another one may go."""
    spread: float = 0.1
    """A pause is longer by up to this part of it, by chance, so that nodes do not ask in step."""


class Circuit(msgspec.Struct, frozen=True):
    """What is known of a service."""

    position: Position = "closed"
    failed: tuple[int, ...] = ()
    """When it failed, since its last answer and within the window."""
    error: str = ""
    """What it failed with last."""
    since: int = 0
    """When the first of the failures was that opened it."""
    pause: int = 0
    until: int = 0
    """When the next probe may go."""
    probe: int = 0
    """When the probe went that is out."""


class Shut(msgspec.Struct, frozen=True):
    """It is not to be asked before ``until``."""

    until: int


class Turn(msgspec.Struct, frozen=True):
    """It may be asked. ``probe``: this call is the one that finds out whether it is back; it went at that time."""

    probe: int | None = None


def asked(circuit: Circuit, now: int, rules: Rules) -> tuple[Circuit, Turn | Shut]:
    """Somebody wants to ask: give the circuit after that, and whether he may."""
    if circuit.position == "closed":
        return circuit, Turn()
    opened = circuit.position == "open"
    begun, length = (
        (circuit.until - circuit.pause, circuit.pause) if opened else (circuit.probe, rules.patience)
    )
    if begun <= now < begun + length:  # before it began, the clock was set back
        return circuit, Shut(circuit.until if opened else min(now + rules.again, begun + length))
    return replace(circuit, position="half_open", probe=now), Turn(probe=now)


def answered(circuit: Circuit, turn: Turn) -> Circuit:
    """The service has answered, whatever it said: it is there."""
    if circuit.position == "closed" or _is_the_probe(circuit, turn):
        return Circuit()
    return circuit


def failed(circuit: Circuit, turn: Turn, now: int, error: str, rules: Rules, chance: float) -> Circuit:
    """The service seems down. ``chance`` is a number from 0 to 1."""
    if circuit.position == "closed":
        recent = (*(at for at in circuit.failed if now - rules.window < at <= now), now)[-rules.failures :]
        counted = replace(circuit, failed=recent, error=error)
        return (
            counted
            if len(recent) < rules.failures
            else _open(counted, recent[0], rules.pause, now, rules, chance)
        )
    if _is_the_probe(circuit, turn):
        again = replace(circuit, error=error)
        return _open(again, circuit.since, min(2 * circuit.pause, rules.longest), now, rules, chance)
    return circuit


def let_go(circuit: Circuit, turn: Turn, now: int) -> Circuit:
    """Nothing was found out: the call was given up, or never reached the service. If it was the probe, the next may go."""
    if _is_the_probe(circuit, turn):
        return replace(circuit, position="open", until=now, probe=0)
    return circuit


def _is_the_probe(circuit: Circuit, turn: Turn) -> bool:
    return circuit.position == "half_open" and turn.probe is not None and turn.probe == circuit.probe


def _open(circuit: Circuit, since: int, pause: int, now: int, rules: Rules, chance: float) -> Circuit:
    pause = min(round(pause * (1 + rules.spread * chance)), rules.longest)
    return replace(circuit, position="open", since=since, pause=pause, until=now + pause, probe=0)
