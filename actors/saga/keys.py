"""Names made from a saga, a step, a direction and a generation: the same on every repeat and after every crash.

The generation rises only when the earlier outcome is settled and the step or undo is started anew, so that a lingering
ghost of an undone creation is never taken for the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from actors.saga.plan import Plan
from actors.saga.state import Direction

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, lower case."""
LENGTH = 12
_PAIRS = tuple(one + two for one in ALPHABET for two in ALPHABET)


def crockford(bits: int) -> str:
    """Write the lowest 60 bits in 12 characters."""
    pairs = _PAIRS
    return (
        pairs[bits >> 50 & 1023]
        + pairs[bits >> 40 & 1023]
        + pairs[bits >> 30 & 1023]
        + pairs[bits >> 20 & 1023]
        + pairs[bits >> 10 & 1023]
        + pairs[bits & 1023]
    )


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    """Make a random id."""
    return crockford(int.from_bytes(random_bytes(8)))


def key(saga: str, step: int, direction: Direction, generation: int) -> str:
    """Give the idempotency key of an execution."""
    return f"{saga}-{step}-{direction[0]}-{generation}"


def execution_id(key: str) -> str:
    """Give the id of the execution that has this key."""
    return crockford(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]))


def given_id(saga: str, step: int) -> str:
    """Give the id under which that is sealed which an operator gives for the outputs of a step that was skipped."""
    return execution_id(f"{saga}-{step}-given")


def name(plan: Plan, saga: str, step: int, generation: int, direction: Direction = "forward") -> str:
    """Give the name hint for what a step creates: first 8 of the saga's id, then `-2`, `-3`… so that no two share one.

    Two steps with the same operation, two generations of one step, and a step and its hook never get the same name.
    """
    operation = plan.steps[step].operation
    same = [other.index for other in plan.steps if other.operation == operation]
    number = same.index(step) + 1 + (generation - 1) * len(same)
    made = saga[:8] if number == 1 else f"{saga[:8]}-{number}"
    return f"{made}-hook-{step + 1}" if direction == "hook" else made
