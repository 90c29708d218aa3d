"""What a file and the node's settings ask for together: neither takes away what the other asks for."""

import pytest

from actors.saga.plan import Approvals
from config.settings import Approve, Policy, TypePolicy
from orchestrator.files.policy import Asks, agreed


@pytest.mark.parametrize(
    ("file", "node", "type_", "start", "asks"),
    [
        ("never", "never", None, False, "never"),
        ("start", "never", None, True, "never"),
        ("irreversible", "start", None, True, "irreversible"),
        ("each", "irreversible", None, False, "each"),
        ("never", "each", None, False, "each"),
        ("never", "never", "each", False, "each"),
        ("each", "never", "never", False, "each"),
        ("never", "start", "irreversible", True, "irreversible"),
        ("never", "never", "start", True, "never"),
    ],
)
def test_the_stricter_wins(file: str, node: Approve, type_: Approve | None, start: bool, asks: Asks) -> None:
    """Of file, node and type."""
    policy = Policy(approve=node, types={"local.file": TypePolicy(approve=type_)})
    approvals, per_step = agreed({"approve": file}, policy, ["local.file"])

    assert (approvals.start, per_step) == (start, [asks])


def test_a_types_rule_is_for_its_steps_alone() -> None:
    """The others go by file and node."""
    policy = Policy(types={"local.file": TypePolicy(approve="each")})

    assert agreed({}, policy, ["test", "local.file", "test"])[1] == ["never", "each", "never"]


def test_the_rest_is_the_files() -> None:
    """Who, how many, how long."""
    given = {"approve": "start", "approvers": ("ada",), "quorum": 2, "four_eyes": True, "expires": 5}
    wanted = Approvals(start=True, approvers=("ada",), quorum=2, four_eyes=True, expires=5)

    assert agreed(given, Policy(), [])[0] == wanted
