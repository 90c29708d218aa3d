"""What a file says in `policy`, and what it comes to together with drivers and settings: the file can only tighten.

Of undos there is a word a type, from its driver, the node and the file; of approvals there is when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from actors.saga.plan import Approvals
from config.settings import Approve, Policy, TypePolicy, TypeUndo
from orchestrator.files import shape
from orchestrator.files.document import Report
from orchestrator.files.problems import Path, shown
from orchestrator.files.shape import Reader

Asks = Literal["never", "irreversible", "each"]

_approve = shape.choice(*get_args(Approve))
_KEYS: dict[str, Reader] = {
    "approve": _approve,
    "approvers": shape.each(shape.plain_text, "users and roles"),
    "quorum": shape.whole(1),
    "four_eyes": shape.flag,
    "expires": shape.duration,
}
_TYPE_KEYS: dict[str, Reader] = {"undo": shape.choice(*get_args(TypeUndo)), "approve": _approve}
_STRICT: dict[Asks, int] = {"never": 0, "irreversible": 1, "each": 2}
_STRICT_UNDO: tuple[TypeUndo, ...] = ("auto", "none", "hold", "required")


# --- reading --------------------------------------------------------------------------------------------------------


def read_policy(report: Report, path: Path, value: Any) -> Any:
    """Read ``policy``: who must approve, and when; and by its name, what becomes of the steps of a type."""
    if not isinstance(value, dict):
        return shape.read_keys(report, path, value, _KEYS)
    types = {key: item for key, item in value.items() if _is_type(key, item)}
    read = shape.read_keys(
        report, path, {key: item for key, item in value.items() if key not in types}, _KEYS
    )
    read["types"] = {
        key: shape.read_keys(report, (*path, key), item, _TYPE_KEYS) for key, item in types.items()
    }
    return read


def _is_type(key: str, value: Any) -> bool:
    return key not in _KEYS and ("." in key or isinstance(value, dict))


def check_types(report: Report, given: Mapping[str, Any], known: list[str], used: set[str]) -> None:
    """Report types in ``policy`` that there are none of, and warn of those that no step has."""
    for type_ in given.get("types", {}):
        path = ("policy", type_)
        if type_ not in known:
            report.unknown(path, "type", type_, [*known, *_KEYS], key=True)
        elif type_ not in used:
            report.warn(path, f"no step is of the type {shown(type_)}", "remove it", key=True)


# --- undos ----------------------------------------------------------------------------------------------------------


class UndoRule(msgspec.Struct, frozen=True):
    """What becomes of the undos of a type's steps: the strictest word of those that were said, and who says it."""

    word: TypeUndo = "auto"
    by: str = "its driver"
    asks: bool = False
    """Somebody said ``hold``: no stricter word takes that away."""


def undo_rule(driver: TypeUndo, node: TypeUndo, file: TypeUndo = "auto") -> UndoRule:
    """Give what these three come to."""
    said = (
        (driver, "its driver"),
        (node, "the settings of this node"),
        (file, "the file's own policy"),
    )
    word, by = max(said, key=lambda each: _STRICT_UNDO.index(each[0]))
    return UndoRule(word, by, any(each == "hold" for each, _ in said))


def rule_of(driver: TypeUndo, node: Policy, given: Mapping[str, Any], type_: str) -> UndoRule:
    """Give what becomes of the undos of this type's steps in a file with this ``policy``."""
    word = given.get("types", {}).get(type_, {}).get("undo", "auto")
    return undo_rule(driver, node.types.get(type_, TypePolicy()).undo, word)


# --- approvals ------------------------------------------------------------------------------------------------------


def agreed(given: Mapping[str, Any], node: Policy, types: Iterable[str]) -> tuple[Approvals, list[Asks]]:
    """Give the approvals that file and node ask for together, and for each step, by its type, whether it asks.

    Neither takes away what the other asks for: where one says ``start`` and the other ``irreversible``, both are asked.
    """
    words: set[Approve] = {given.get("approve", "never"), node.approve}
    asks: list[Asks] = []
    start = "start" in words
    for type_ in types:
        demanded = words | _said_of(type_, given, node)
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


class Own(msgspec.Struct, frozen=True):
    """What a step that waits for approval says itself."""

    approvers: tuple[str, ...] = ()
    expires: int | None = None

    def over(self, policy: Approvals) -> Approvals:
        """Give the rules of the step: its own word, else the saga's; how many, and whether others, is the saga's."""
        return msgspec.structs.replace(
            policy,
            start=False,
            approvers=self.approvers or policy.approvers,
            expires=self.expires or policy.expires,
        )


def _plain_duration(report: Report, path: Path, value: Any) -> Any:
    if isinstance(value, str) and "${" in value:
        return shape.plain_text(report, path, value)
    return shape.duration(report, path, value)


def read_own(report: Report, path: Path, arguments: Mapping[str, Any]) -> Own:
    """Read the arguments of a step that waits for approval which must be known before it runs."""
    readers: dict[str, Reader] = {"approvers": _KEYS["approvers"], "expires": _plain_duration}
    given = {key: arguments[key] for key in readers if arguments.get(key) is not None}
    return Own(**shape.read_keys(report, path, given, readers))


def _said_of(type_: str, given: Mapping[str, Any], node: Policy) -> set[Approve]:
    """Give what the node's settings and the file say of one type."""
    said = (node.types.get(type_, TypePolicy()).approve, given.get("types", {}).get(type_, {}).get("approve"))
    return {word for word in said if word is not None}
