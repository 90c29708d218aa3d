"""The laws as a hypothesis state machine, which shrinks what it finds.

``MACHINE_EXAMPLES=5000`` for a longer search. The runs from seeds (``test_seeds.py``) are faster and go further.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from actors.saga.state import ENDED
from actors.saga.wants import Poll, Prepare, Settle
from tests.machine.cases import Chooser, random_case
from tests.machine.simulation import Simulation

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "250"))


Rule = Callable[[Any], Any]


def wants(kind: type) -> Rule:
    """Only while the machine wants something of this kind."""
    found: Rule = precondition(lambda laws: bool(laws.sim.wanted(kind)))
    return found


class LawsHold(RuleBasedStateMachine):
    """A saga in a simulated world; the simulation checks every law after every message."""

    sim: Simulation

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Make a plan, its drivers and the world."""
        self.data = data

        def pick(options: Sequence[Any]) -> Any:
            return options[self.data.draw(st.integers(0, len(options) - 1))]

        choose = Chooser(pick)
        self.sim = Simulation(random_case(choose), choose)

    @wants(Prepare)
    @rule(data=st.data())
    def prepare(self, data: st.DataObject) -> None:
        """An intent is prepared."""
        self.data = data
        self.sim.some_prepare()

    @precondition(lambda laws: bool(laws.sim.flights))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A call ends."""
        self.data = data
        self.sim.some_end()

    @wants(Poll)
    @rule(data=st.data())
    def poll(self, data: st.DataObject) -> None:
        """Something that goes on elsewhere is asked about."""
        self.data = data
        self.sim.some_poll()

    @wants(Settle)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """An unknown outcome is settled."""
        self.data = data
        self.sim.some_settle()

    @rule(data=st.data())
    def word(self, data: st.DataObject) -> None:
        """An operator says something."""
        self.data = data
        self.sim.some_word()

    @rule(data=st.data())
    def rare(self, data: st.DataObject) -> None:
        """Something happens that seldom does: a crash, another hand, a late answer."""
        self.data = data
        self.sim.some_rare()

    @rule(data=st.data())
    def time(self, data: st.DataObject) -> None:
        """Time passes."""
        self.data = data
        self.sim.some_time()

    def teardown(self) -> None:
        """From here on everything goes well: the saga ends."""
        if hasattr(self, "sim"):
            self.sim.choose = Chooser(lambda options: options[0])
            self.sim.calm()
            assert self.sim.state.status in ENDED


@pytest.mark.slow
def test_laws_hold() -> None:
    """Random plans, outcomes, operators, crashes and time, with the shortest run that breaks a law, if one does."""
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        LawsHold,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
