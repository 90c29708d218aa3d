"""Answers that are lost, at each request of an operation in turn: in the end it is done once, and undone once.

What the engine does around a driver is done here in small: polls to the end, asks ``find`` where the outcome is
unknown, calls again where nothing was done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from providers.contract import (
    Call,
    Done,
    Driver,
    Ended,
    Failed,
    NotDone,
    Outcome,
    Succeeded,
    Unknown,
    Working,
)
from tests.conformance import Case, Trial
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.cases import CASES

WAYS: dict[str, Callable[[Account, int], Any]] = {
    "lost before": lambda account, nth: account.fake.lose(after=False, nth=nth),
    "lost after": lambda account, nth: account.fake.lose(after=True, nth=nth),
    "500 after": lambda account, nth: account.fake.fail(500, after=True, nth=nth),
    "garbled": lambda account, nth: account.fake.garble(b"{", nth=nth),
    "429": lambda account, nth: account.fake.limit(retry_after=0, nth=nth),
}
OPERATIONS = [
    pytest.param(driver, case, id=f"{driver.type.rpartition('.')[2]} {case.name}")
    for driver, cases in CASES.items()
    for case in cases
    if case.refused is None
]


async def brought_to_its_end(driver: Driver, call: Call) -> Succeeded:
    """Do what the engine does until the call is done."""
    outcome: Outcome | None = None
    for _ in range(6):
        outcome = await _followed(driver, call)
        if isinstance(outcome, Succeeded):
            return outcome
        if isinstance(outcome, Unknown):
            finding = await _found(driver, call)
            if isinstance(finding, Done):
                return Succeeded(finding.outputs, finding.after)
            assert isinstance(finding, NotDone), finding
        else:
            assert isinstance(outcome, Failed), outcome
            assert outcome.transient, outcome
    raise AssertionError(f"never done: {outcome}")


async def _followed(driver: Driver, call: Call) -> Outcome:
    try:
        outcome = await driver.apply(call)
        while isinstance(outcome, Working):
            outcome = await driver.poll(msgspec.structs.replace(call, handle=outcome.handle))
    except Ended as ended:
        return ended.outcome
    return outcome


async def _found(driver: Driver, call: Call) -> Any:
    while True:
        try:
            return await driver.find(call)
        except Ended as ended:
            if not isinstance(ended.outcome, Working):
                raise
            await anyio.sleep(0.001)


@pytest.mark.parametrize(("driver", "case"), OPERATIONS)
async def test_each_answer_lost_in_turn(driver: type[Driver], case: Case, tmp_path: Path) -> None:
    """Whatever is lost, the account ends up as without the loss, forward and back."""
    plain = Trial(driver, Account(tmp_path), case)
    call = await plain.plan()
    asked = len(plain.world.fake.requests)  # type: ignore[attr-defined]
    outcome = await brought_to_its_end(plain.driver, call)
    forward = len(plain.world.fake.requests) - asked  # type: ignore[attr-defined]
    expected = plain.world.state()
    back = 0
    if plain.verb.inverse != "none":
        await brought_to_its_end(plain.driver, plain.undo(call, outcome))
        back = len(plain.world.fake.requests) - asked - forward  # type: ignore[attr-defined]
    for way, lose in WAYS.items():
        for nth in range(1, forward + back + 1):
            account = Account(tmp_path)
            trial = Trial(driver, account, case)
            call = await trial.plan()
            lose(account, nth)
            outcome = await brought_to_its_end(trial.driver, call)
            assert trial.world.state() == expected, f"{way}, request {nth} of {forward}"
            if back:
                await brought_to_its_end(trial.driver, trial.undo(call, outcome))
                assert trial.world.state() == trial.before, f"{way}, request {nth} of {forward + back}, back"
