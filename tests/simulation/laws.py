"""The laws: what must be true of every run, whatever went wrong in it.

They look at what a user can see, at what is on the disk, and at what was done to the world; of sagad's own opinions they
ask only what is to be compared. Each has a name, which a failing run prints and a planted bug is filed under.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from actors.replay import replay
from actors.saga.state import ENDED
from store import audit
from tests.simulation.node import KEY

if TYPE_CHECKING:
    from orchestrator.parts import Parts
    from providers.contract import Call
    from tests.simulation.run import Run
    from tests.simulation.world import Effect

LAWS = {
    "durable": "What was acknowledged is there after every crash: sagas, verbs, and the record up to that moment.",
    "intent": "No effect without an intent on the disk before it.",
    "once": "No effect twice, unless its driver makes a repeat harmless or an operator said `retry`.",
    "final": "Every step of an ended saga has one final status, every execution one outcome, every saga one end.",
    "linked": "What compensates names what it compensates, and that names it back.",
    "restored": "After `rolled_back` the world is as before, less what `left_behind` says; so after a rollback.",
    "done": "What is said to be completed was done, and nothing was done that is not said.",
    "order": "What is taken back is taken back in the opposite order.",
    "apart": "Nobody touches what another saga has locked.",
    "free": "When all sagas have ended, all locks are free.",
    "folds": "The events of a saga fold to its checkpoint.",
    "chain": "The hash chain is whole, and passes through every head that was shown to anybody.",
    "registry": "The registry of resources says what is there.",
    "moves": "What neither moves nor has a reason is a bug; what is due begins.",
    "crash": "Nothing crashes but what was told to.",
}
FINAL = frozenset({"completed", "failed", "unknown", "compensated", "compensation_failed", "kept", "skipped"})
_JSON = msgspec.json.Decoder()
_ATTEMPTS = (
    "SELECT e.attempts, e.operation FROM sagas AS s JOIN executions AS e USING (number)"
    " WHERE s.id = ? AND e.step = ? AND e.direction = ? AND e.generation = ?"
)
_DIRECTIONS = {"f": "forward", "h": "hook", "u": "undo"}


class Broken(Exception):
    """A law was broken: which, and how that shows."""

    def __init__(self, law: str, how: str) -> None:
        assert law in LAWS
        super().__init__(f"{law}: {how}")
        self.law = law
        self.how = how


class Told(NamedTuple):
    """An event, as far as the laws look at it."""

    seq: int
    saga: str
    type: str
    step: str | None
    actor: str
    data: dict[str, Any]


class Laws:
    """The laws that are held against a run while it goes on; those about its end are in ``rest``."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.db: sqlite3.Connection | None = None
        """What is committed, as a reader beside the daemon sees it."""

    def effect(self, effect: Effect, call: Call) -> None:
        """Hold an effect against the record, at the moment at which it happens."""
        if self.db is not None and not self._run.loop.dead:
            self._intended(effect.key, call.attempt)
        twice = self._run.world.counts[effect.key] > self._run.world.settled[effect.key]
        if twice and effect.kind != "cleanup" and self._counted(call):
            raise_later(self._run, Broken("once", f"{effect.key} was done twice ({effect.resource})"))

    def _counted(self, call: Call) -> bool:
        resource = call.resource.path if call.resource is not None else None
        return call.verb not in ("again", "token", "once") and resource not in self._run.world.disturbed

    def _intended(self, key: str, attempt: int) -> None:
        assert self.db is not None
        saga, step, way, generation = key.split("-")
        row = self.db.execute(_ATTEMPTS, (saga, int(step), _DIRECTIONS[way], int(generation))).fetchone()
        if row is None or row[0] < attempt:
            raise_later(self._run, Broken("intent", f"{key}, attempt {attempt}, changed the world unwritten"))

    # -- after each start --------------------------------------------------------------------------------------------

    def at_start(self, made: Parts) -> None:
        """Hold what the daemon found on its disk against what was said and done before."""
        assert self.db is not None
        run = self._run
        for effect in run.world.log:
            if effect.key:
                self._intended(effect.key, 1)
        run.check_raised()
        self.acknowledged(self.db)
        for seq, head in run.operators.heads[-1:]:
            report = audit.verify(self.db, KEY, anchor=audit.Anchor(seq, bytes.fromhex(head)))
            if report.problem:
                raise Broken("durable" if "cut off" in report.problem else "chain", report.problem)
        problems = replay(self.db, 0, 1_000).differing
        if problems:
            raise Broken("folds", f"{problems[0].saga}: {problems[0].problem}")

    def acknowledged(self, db: sqlite3.Connection) -> None:
        """Hold the record against what people were told."""
        operators = self._run.operators
        known = dict(db.execute("SELECT key, saga FROM idempotency_keys"))
        for key, saga in operators.keys.items():
            if known.get(key) != saga:
                raise Broken("durable", f"{key} was acknowledged as saga {saga}, and is {known.get(key)}")
        there = {saga for (saga,) in db.execute("SELECT id FROM sagas")}
        for saga in operators.sagas:
            if saga not in there:
                raise Broken("durable", f"saga {saga} was acknowledged and is gone")
        if operators.words:
            record = b"\n".join(body for (body,) in db.execute("SELECT body FROM events"))
            for word, what in operators.words.items():
                if word.encode() not in record:
                    raise Broken("durable", f"{what} was acknowledged and is not on record ({word})")


def raise_later(run: Run, broken: Broken) -> None:
    """Note what is broken where an exception would be taken for a driver's."""
    run.raised.append(broken)


def told(db: sqlite3.Connection) -> Iterable[Told]:
    """Give all events in order."""
    for seq, saga, body in db.execute("SELECT seq, saga, body FROM events ORDER BY seq"):
        event = _JSON.decode(body)
        yield Told(seq, saga, event["type"], event.get("step"), event["actor"], event["data"])


def at_rest(made: Parts, run: Run) -> None:
    """Hold the memory of a daemon in which every saga has ended against what is on its disk."""
    if not made.host.locks.idle:
        raise Broken("free", f"all sagas have ended, and locks are held: {made.host.locks._claims}")
    if made.directory.supervisor.restarts:
        raise Broken("crash", f"an actor was restarted: {run.log.errors[:1]}")
    for saga in run.operators.sagas:
        if made.directory.durable(saga)[1].status not in ENDED:
            raise Broken("moves", f"saga {saga} has not ended")
