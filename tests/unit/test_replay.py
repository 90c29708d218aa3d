"""A saga's row against its events: what is compared, and how a difference is named."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from actors.replay import DAMAGED, compare, fold
from actors.saga import events as e
from actors.saga.state import MACHINE
from store.records import Event
from store.snapshot import Checkpoint

INPUTS = b'{"page":"x"}'
SUBMITTED = e.Submitted(
    kind="publish", steps=2, plan="70" * 32, inputs=hashlib.sha256(INPUTS).hexdigest(), reason="because"
)


def happened(seq: int, event: e.Event) -> Event:
    """An event of ann's as it stands in the journal."""
    data = e.encode(event)
    return Event(seq, "a", 1000 + seq, e.type_of(event), event.version, data, None, "ann", None, b"")


EVENTS = [happened(1, SUBMITTED), happened(2, e.PauseRequested(actor="ann", reason="lunch"))]


def row(**changes: object) -> Checkpoint:
    """The row that belongs to EVENTS, with these changes; the sum fits the state."""
    state = fold(EVENTS)
    if "state" in changes:
        state = msgspec.structs.replace(state, **changes.pop("state"))  # type: ignore[arg-type]
    encoded = msgspec.msgpack.encode(state)
    made = Checkpoint(
        1, "a", "publish", "ann", "because", None, None, b"p" * 32, INPUTS, "pending", None, 1002, None, MACHINE,
        hashlib.sha256(encoded).digest()[:8], encoded,
    )  # fmt: skip
    return made._replace(**changes)  # type: ignore[arg-type]


def test_a_row_that_is_what_its_events_say() -> None:
    """Nothing is said of it."""
    assert compare(row(), EVENTS) == ""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"state": {"status": "completed"}},
            "checkpoint differs from its events in status: completed, not pending",
        ),
        ({"state": {"paused": False}}, "checkpoint differs from its events in paused: False, not True"),
        ({"state": {"steps": ()}}, "checkpoint differs from its events in step 0"),
        ({"status": "completed"}, "row differs from its events in status: completed, not pending"),
        ({"hold": "paused"}, "row differs from its events in hold: paused, not nothing"),
        ({"finished_at": 7}, "row differs from its events in finished_at: 7, not nothing"),
        ({"updated_at": 7}, "row differs from its events in updated_at"),
        ({"submitted_by": "eve"}, "row differs from its events in submitted_by: eve, not ann"),
        ({"reason": None}, "row differs from its events in reason: nothing, not because"),
        ({"rollback_of": "other"}, "row differs from its events in rollback_of: other, not nothing"),
        ({"kind": "other"}, "row differs from its events in kind"),
        ({"inputs": b"{}"}, "row differs from its events in inputs"),
        ({"plan": b"q" * 32}, "row differs from its events in plan"),
        ({"state_sum": b"12345678"}, DAMAGED),
    ],
)
def test_what_differs_is_named(changed: dict[str, object], said: str) -> None:
    """Of the checkpoint, and of the columns that lists and documents go by."""
    assert said in compare(row(**changed), EVENTS)


def test_events_that_make_no_sense_are_named_too() -> None:
    """None at all, or one that no release has written."""
    bad = [EVENTS[0], EVENTS[0].__class__(2, "a", 1, "saga.eaten", 1, b"{}", None, "eve", None, b"")]

    assert compare(row(), []) == "it has no events"
    assert "cannot be folded: KeyError" in compare(row(), bad)
