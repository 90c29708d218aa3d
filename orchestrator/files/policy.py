"""What a file says about approvals, and what it comes to together with the node's settings: the file can only tighten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from actors.saga.plan import Approvals
from config.settings import Policy
from orchestrator.files import shape
from orchestrator.files.document import Report
from orchestrator.files.problems import Path
from orchestrator.files.shape import Reader

Asks = Literal["never", "irreversible", "each"]

_KEYS: dict[str, Reader] = {
    "approve": shape.choice("never", "start", "irreversible", "each"),
    "approvers": shape.each(shape.plain_text, "users and roles"),
    "quorum": shape.whole(1),
    "four_eyes": shape.flag,
    "expires": shape.duration,
}
_STRICT: dict[Asks, int] = {"never": 0, "irreversible": 1, "each": 2}


def read_policy(report: Report, path: Path, value: Any) -> Any:
    """Read ``policy``: who must approve, and when."""
    return shape.read_keys(report, path, value, _KEYS)


def agreed(given: Mapping[str, Any], node: Policy, types: Iterable[str]) -> tuple[Approvals, list[Asks]]:
    """Give the approvals that file and node ask for together, and for each step, by its type, whether it asks.

    Neither takes away what the other asks for: where one says ``start`` and the other ``irreversible``, both are asked.
    """
    words = {given.get("approve", "never"), node.approve}
    asks: list[Asks] = []
    start = "start" in words
    for type_ in types:
        rule = node.types.get(type_)
        demanded = words if rule is None or rule.approve is None else words | {rule.approve}
        start = start or "start" in demanded
        asks.append(
            max((word for word in _STRICT if word in demanded), key=_STRICT.__getitem__, default="never")
        )
    approvals = Approvals(
        start=start,
        approvers=given.get("approvers", ()),
        quorum=given.get("quorum", 1),
        four_eyes=given.get("four_eyes", False),
        expires=given.get("expires"),
    )
    return approvals, asks


def strictest(*words: Asks) -> Asks:
    """Give the word that asks most."""
    return max(words, key=_STRICT.__getitem__)
