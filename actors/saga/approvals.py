"""An operator's answer to what a saga asks for: who may give it, how many are needed, and what comes of it."""

from __future__ import annotations

from typing import Any

from actors.saga import events as e
from actors.saga import messages as m
from actors.saga.deciding import Deciding
from actors.saga.holds import asking, undos_ask
from actors.saga.plan import Plan
from actors.saga.replies import accepted, forbidden, refused
from actors.saga.state import Ask, Direction


def approve(deciding: Deciding, verb: m.Approve) -> m.Reply:
    """Let what is asked for go on: all of it that this user may answer, or one step."""
    rules = deciding.plan.approvals
    chosen = _to_answer(deciding, verb)
    if isinstance(chosen, m.Reply):
        return chosen
    if _not_by_own(deciding.plan, verb):
        return forbidden(f"{verb.by} has submitted it, so somebody else must approve (four_eyes)")
    fresh = [(index, ask) for index, ask in chosen if verb.by not in ask.given]
    if not fresh:
        return m.Reply("nothing", f"{verb.by} has approved already; {rules.quorum} are needed")
    missing = 0
    for index, ask in fresh:
        left = rules.quorum - len(ask.given) - 1
        missing = max(missing, left)
        deciding.emit(
            e.Approved(
                step=index,
                hash=ask.hash,
                direction=_way(deciding),
                enough=left <= 0,
                actor=verb.by,
                reason=verb.reason,
            )
        )
    hashes = ", ".join(ask.hash[:12] for _, ask in fresh)
    return accepted(f"{hashes} is approved; " + (f"{missing} more needed" if missing else "it goes on"))


def reject(deciding: Deciding, verb: m.Reject) -> m.Reply:
    """Refuse it: on the way forward the saga turns back, on the way back the step is kept."""
    chosen = _to_answer(deciding, verb)
    if isinstance(chosen, m.Reply):
        return chosen
    if _way(deciding) == "undo":
        return _reject_undos(deciding, verb, chosen)
    index, ask = chosen[0]
    deciding.emit(e.Rejected(step=index, hash=ask.hash, actor=verb.by, reason=verb.reason))
    return accepted("it turns back once what runs has ended")


def _reject_undos(deciding: Deciding, verb: m.Reject, chosen: list[tuple[int | None, Ask]]) -> m.Reply:
    """What is not to be undone stays, and the way back goes on."""
    steps = [(index, ask) for index, ask in chosen if index is not None]
    why = f"its undo was rejected by {verb.by}" + (f": {verb.reason}" if verb.reason else "")
    by: dict[str, Any] = {"actor": verb.by, "reason": verb.reason}
    for index, ask in steps:
        deciding.emit(e.Rejected(step=index, hash=ask.hash, direction="undo", **by))
        deciding.emit(e.Kept(step=index, why=why, **by))
    return accepted(f"step {deciding.names([index for index, _ in steps])} is kept")


def _way(deciding: Deciding) -> Direction:
    """Tell which way the approvals are of that are asked for now."""
    return "undo" if undos_ask(deciding.state) else "forward"


def _not_by_own(plan: Plan, verb: m.Approve) -> bool:
    return plan.approvals.four_eyes and verb.own


def _to_answer(deciding: Deciding, verb: m.Approval) -> list[tuple[int | None, Ask]] | m.Reply:
    """Give what is asked for, is meant and is this user's to answer; or why there is nothing."""
    asks = asking(deciding.plan, deciding.state)
    meant = [each for each in asks if verb.step in (None, each[0])]
    if not meant:
        return refused(f"step {deciding.name(verb.step)} does not wait for approval")
    if isinstance(verb, m.Reject) and verb.own:
        return meant
    wrong = [_not_an_approver(deciding, verb, index, ask) for index, ask in meant]
    first = wrong[0]
    if first is not None and None not in wrong:
        return first
    return [each for each, why in zip(meant, wrong, strict=True) if why is None]


def _not_an_approver(deciding: Deciding, verb: m.Approval, index: int | None, ask: Ask) -> m.Reply | None:
    approvers = deciding.plan.rules(index if _way(deciding) == "forward" else None).approvers
    if verb.by in approvers:
        return None
    if approvers and not set(approvers) & set(verb.roles):
        return forbidden(f"{verb.by} is not one of its approvers: {', '.join(approvers)}")
    if ask.irreversible and "admin" not in verb.roles:
        return forbidden(f"{verb.by} is no admin, and what cannot be taken back is approved by one")
    return None
