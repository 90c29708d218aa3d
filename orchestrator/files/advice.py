"""Warnings: what a file may well mean, but its author should know; and steps that must have a way back and have none."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.files.document import Report
from orchestrator.files.inputs import Input
from orchestrator.files.operations import Operation
from orchestrator.files.policy import UndoRule
from orchestrator.files.problems import shown
from orchestrator.files.refer import Names
from orchestrator.files.steps import Draft


def advise(report: Report, drafts: list[Draft], names: Names) -> None:
    """Add the warnings about a file's steps and inputs; refuse steps whose type requires a way back."""
    for draft in drafts:
        if draft.operation is not None:
            _advise_undo(report, draft, draft.operation)
            _advise_timeout(report, draft, draft.operation)
        if _is_irreversible(draft):
            _advise_irreversible(report, draft, drafts, graph=names.graph)
    _advise_inputs(report, drafts, names.inputs or {})


def _is_irreversible(draft: Draft) -> bool:
    declared = draft.operation is not None and draft.operation.verb.irreversible
    return bool(draft.keys.get("irreversible", declared)) or declared


def _advise_undo(report: Report, draft: Draft, operation: Operation) -> None:
    undo, verb = draft.undo, operation.verb
    irreversible = _is_irreversible(draft)
    no_inverse = verb.changes and verb.inverse == "none"
    type_, rule = shown(operation.driver.type), draft.rule
    if rule.word == "required" and (
        irreversible or undo.form == "none" or (undo.form == "restore" and no_inverse)
    ):
        by = "" if rule.by == UndoRule().by else f" by {rule.by}"
        what = f"{type_} requires a way back{by}, and this step has none"
        report.problem(draft.path, what, "give it `undo: {do: …, with: …}`")
    elif rule.word == "none" and not irreversible and _would_be_undone(draft, operation):
        what = f"{type_} is not undone, by {rule.by} (`undo: none`): the step will be kept"
        report.warn(draft.path, what, "say `undo: none` if that is meant")
    elif irreversible and undo.form == "given":
        what = "the step is irreversible: its undo is never run"
        report.warn((*draft.path, "undo"), what, "remove `undo` or `irreversible`")
    elif undo.form == "restore" and no_inverse and not irreversible:
        what = f"{shown(operation.name)} has no inverse, which means `undo: none`: the step will be kept"
        report.warn(
            (*draft.path, "do"), what, "say `undo: none` if that is meant, or give `undo: {do: …, with: …}`"
        )
    if draft.keys.get("undo_when") == "started" and undo.form != "given":
        what = "`undo_when: started` has a meaning only beside an undo of your own"
        report.warn((*draft.path, "undo_when"), what, "give `undo: {do: …, with: …}`", key=True)


def _advise_timeout(report: Report, draft: Draft, operation: Operation) -> None:
    if operation.verb.asks and "timeout" in draft.keys:
        what = f"`timeout` does not end the wait of {shown(operation.name)}"
        report.warn((*draft.path, "timeout"), what, "say `expires` in `with`", key=True)


def _would_be_undone(draft: Draft, operation: Operation) -> bool:
    if draft.undo.form == "restore":
        return operation.verb.changes and operation.verb.inverse != "none"
    return draft.undo.form == "given"


def _advise_irreversible(report: Report, draft: Draft, drafts: list[Draft], *, graph: bool) -> None:
    if graph:
        followers = [other.name for other in drafts if draft.index in other.needs]
    else:
        followers = [other.name for other in drafts[draft.index + 1 :]]
    if followers:
        what = f"the step is irreversible and {shown(followers[0])} comes after it"
        hint = "if a later step fails, the saga stops at this one and asks; put it last where you can"
        report.warn(draft.path, what, hint)


def _advise_inputs(report: Report, drafts: list[Draft], inputs: Mapping[str, Input]) -> None:
    used = {name for draft in drafts for scope in draft.scopes for name in scope.used}
    for name in inputs:
        if name not in used:
            report.warn(("inputs", name), f"no step uses the input {shown(name)}", "remove it", key=True)
