"""The steps of a file: read one by one, then checked together, then made into the steps of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from actors.saga.plan import UNDO_RETRY, Approvals, Hook, OnConflict, PlanStep, Retry, Undo
from actors.saga.state import Direction
from orchestrator.files import shape
from orchestrator.files.arguments import Arguments
from orchestrator.files.document import Report
from orchestrator.files.given import (
    OPERATION_KEYS,
    GivenHook,
    Hooks,
    arguments,
    choose,
    find_hooks,
    read_hooks,
    warn_unused,
    why_unused,
)
from orchestrator.files.operations import Operation, check_names, find_operation, refined
from orchestrator.files.order import check_cycles
from orchestrator.files.policy import Asks, Own, UndoRule, read_own
from orchestrator.files.problems import Path, shown, suggest
from orchestrator.files.refer import Names, Scope
from orchestrator.files.shape import Reader
from providers.registry import Registry

MOST_STEPS = 1_000


class GivenUndo(msgspec.Struct):
    """``undo`` as written: an operation, or a word."""

    form: str
    operation: str = ""
    arguments: dict[str, Any] = {}


class Part(msgspec.Struct):
    """An operation of a step: its own, its hook's or its undo's."""

    direction: Direction
    name: str
    path: Path
    """Of its arguments."""
    template: dict[str, Any]
    operation: Operation | None
    scope: Scope


class Draft(msgspec.Struct):
    """A step on its way from the file to the plan."""

    index: int
    path: Path
    keys: dict[str, Any]
    """What could be read of it, by the file's keys."""
    operation: Operation | None = None
    undo_operation: Operation | None = None
    hook: GivenHook | None = None
    """Of its own hooks and the file's the one that is run after it."""
    parts: tuple[Part, ...] = ()
    needs: frozenset[int] = frozenset()
    rule: UndoRule = UndoRule()
    """What the policy of its type makes of its undo."""
    own: Own | None = None
    """For a step that waits for approval: whom it asks, and for how long."""

    @property
    def type(self) -> str:
        """Its resource type."""
        return str(self.keys.get("do", "")).rpartition(".")[0]

    @property
    def hook_type(self) -> str:
        """The resource type of its hook; none: nothing."""
        return self.hook.operation.rpartition(".")[0] if self.hook is not None else ""

    @property
    def name(self) -> str:
        """Its name, or how to call it where it has none."""
        return str(self.keys.get("name", f"steps[{self.index}]"))

    @property
    def hooks(self) -> Hooks:
        """Its own hooks."""
        found: Hooks = self.keys.get("hooks", {})
        return found

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Of the arguments of its operations."""
        return tuple(part.scope for part in self.parts)

    @property
    def undo(self) -> GivenUndo:
        """Its undo, ``restore`` where nothing is said."""
        found: GivenUndo = self.keys.get("undo", GivenUndo("restore"))
        return found


# --- reading --------------------------------------------------------------------------------------------------------


def _undo(report: Report, path: Path, value: Any) -> Any:
    if isinstance(value, dict):
        read = shape.read_keys(report, path, value, OPERATION_KEYS, ("do",))
        return GivenUndo("given", read.get("do", ""), read.get("with", {}))
    if value in ("restore", "none"):
        return GivenUndo(value)
    wanted = "`restore`, `none` or `{do: …, with: …}`"
    if isinstance(value, str):
        report.problem(path, f"{shown(value)} is not {wanted}", suggest(value, ("restore", "none")))
        return UNSET
    hint = "for nothing to undo write `undo: none`" if value in (None, False) else ""
    return shape.wrong_kind(report, path, value, wanted, hint)


_RETRY_KEYS: dict[str, Reader] = {
    "attempts": shape.whole(1),
    "delay": shape.wait,
    "factor": shape.factor,
    "max_delay": shape.wait,
    "on": shape.each(shape.choice("transient", "rate_limited", "failed"), "kinds of failure"),
}


def _retry(base: Retry) -> Reader:
    def read(report: Report, path: Path, value: Any) -> Any:
        if not isinstance(value, dict):
            hint = f"write `{{attempts: {value}}}`" if type(value) is int else ""
            return shape.wrong_kind(report, path, value, "a mapping, as `{attempts: 5, delay: 1s}`", hint)
        found = shape.read_keys(report, path, value, _RETRY_KEYS)
        if "delay" in found and "max_delay" not in found:
            found["max_delay"] = max(found["delay"], base.max_delay)
        retry = msgspec.structs.replace(base, **found)
        if retry.max_delay < retry.delay:
            report.problem((*path, "max_delay"), "must not be shorter than `delay`")
        return retry

    return read


_STEP_KEYS: dict[str, Reader] = {
    "name": shape.name,
    "do": shape.text,
    "with": arguments,
    "as": shape.plain_text,
    "needs": shape.each(shape.text, "step names"),
    "undo": _undo,
    "undo_when": shape.choice("completed", "started"),
    "undo_retry": _retry(UNDO_RETRY),
    "irreversible": shape.flag,
    "idempotent": shape.flag,
    "retry": _retry(Retry()),
    "timeout": shape.duration,
    "lock_timeout": shape.duration,
    "on_conflict": shape.choice("hold", "force", "skip"),
    "hooks": read_hooks,
    "keep": shape.flag,
}


def read_steps(report: Report, path: Path, value: Any) -> Any:
    """Read ``steps``: a list of drafts."""
    if not isinstance(value, list):
        return shape.wrong_kind(
            report, path, value, "a list of steps", "each `- {name: …, do: TYPE.VERB, with: {…}}`"
        )
    if not value:
        report.problem(path, "there are no steps", "add one: `- {name: …, do: TYPE.VERB, with: {…}}`")
    if len(value) > MOST_STEPS:
        what = f"there are {len(value):,} steps; a saga has at most {MOST_STEPS:,}"
        report.problem(path, what, "split it into several sagas, or submit a batch")
        return UNSET
    return [
        Draft(
            index, (*path, index), shape.read_keys(report, (*path, index), item, _STEP_KEYS, ("name", "do"))
        )
        for index, item in enumerate(value)
    ]


# --- checking -------------------------------------------------------------------------------------------------------


def check_steps(
    report: Report, drafts: list[Draft], registry: Registry, inputs: Any, hooks: Hooks | None = None
) -> Names:
    """Check the steps together, and the file's hooks: names, operations, references, arguments, needs.

    Fills in the drafts.
    """
    steps = _names(report, drafts)
    for draft in drafts:
        _find_operations(report, draft, registry)
    _find_hooks(report, drafts, registry, hooks or {})
    verbs = [draft.operation.verb if draft.operation else None for draft in drafts]
    graph = any("needs" in draft.keys for draft in drafts)
    names = Names(None if inputs is UNSET else inputs, steps, verbs, graph)
    for draft in drafts:
        _check_templates(report, draft, names)
        _check_asking(report, draft)
        _check_needs(report, draft, names)
    if graph:
        check_cycles(report, drafts)
    return names


def _names(report: Report, drafts: list[Draft]) -> dict[str, int]:
    steps: dict[str, int] = {}
    for draft in drafts:
        if (name := draft.keys.get("name")) is None:
            continue
        if name in steps:
            what = f"the name {shown(name)} is taken by steps[{steps[name]}]"
            report.problem((*draft.path, "name"), what, "every step needs a name of its own")
        steps.setdefault(name, draft.index)
    return steps


def _find_operations(report: Report, draft: Draft, registry: Registry) -> None:
    if "do" in draft.keys:
        draft.operation = find_operation(report, (*draft.path, "do"), draft.keys["do"], registry)
        draft.operation = refined(draft.operation, draft.keys.get("with", {}))
    if draft.undo.operation:
        draft.undo_operation = find_operation(
            report, (*draft.path, "undo", "do"), draft.undo.operation, registry
        )


def _find_hooks(report: Report, drafts: list[Draft], registry: Registry, hooks: Hooks) -> None:
    find_hooks(report, hooks, registry)
    for draft in drafts:
        find_hooks(report, draft.hooks, registry)
        draft.hook = choose(draft.hooks, hooks, draft.operation)
        if draft.operation is not None:
            warn_unused(report, draft.hooks, why_unused(draft.operation))
    warn_unused(report, hooks, "no step has it run")


def _check_templates(report: Report, draft: Draft, names: Names) -> None:
    draft.parts = tuple(_parts(report, draft, names))
    for part in draft.parts:
        before = len(report.problems)
        part.scope.check(part.path, part.template)
        if part.operation is not None:
            Arguments(report, part.scope.kinds).check(part.path, part.template, part.operation.verb.arguments)
            check_names(report, part.path, part.template, part.operation)
            part.scope.sound = len(report.problems) == before


def _parts(report: Report, draft: Draft, names: Names) -> Iterator[Part]:
    index, path, hook, undo = draft.index, draft.path, draft.hook, draft.undo
    own, do = draft.keys.get("with", {}), draft.keys.get("do", "")
    yield Part("forward", do, (*path, "with"), own, draft.operation, Scope(report, names, index))
    if hook is not None:
        shared = draft.name if hook.path[0] == "hooks" else ""
        scope = Scope(report, names, index, has_self=True, shared_by=shared)
        yield Part("hook", hook.operation, (*hook.path, "with"), hook.arguments, hook.found, scope)
    if undo.form == "given":
        scope, where = Scope(report, names, index, has_self=True), (*path, "undo", "with")
        yield Part("undo", undo.operation, where, undo.arguments, draft.undo_operation, scope)


def _check_asking(report: Report, draft: Draft) -> None:
    """Read whom a step asks that waits for approval; only a step can, since an undo asks by its type's policy."""
    if draft.operation is not None and draft.operation.verb.asks and draft.scopes[0].sound:
        draft.own = read_own(report, (*draft.path, "with"), draft.keys.get("with", {}))
    if draft.undo_operation is not None and draft.undo_operation.verb.asks:
        what = f"{shown(draft.undo_operation.name)} is no undo"
        hint = f'to have this undo ask first, say `policy: {{"{draft.type}": {{undo: hold}}}}`'
        report.problem((*draft.path, "undo", "do"), what, hint)


def _check_needs(report: Report, draft: Draft, names: Names) -> None:
    needs = {index for scope in draft.scopes for index, _ in scope.refers}
    for position, name in enumerate(draft.keys.get("needs", ())):
        path = (*draft.path, "needs", position)
        if name not in names.steps:
            others = [other for other, index in names.steps.items() if index != draft.index]
            report.unknown(path, "step", name, others)
        elif names.steps[name] == draft.index:
            report.problem(path, "a step cannot need itself", "remove it")
        else:
            needs.add(names.steps[name])
    draft.needs = frozenset(needs)


# --- making ---------------------------------------------------------------------------------------------------------

_AS_THEY_ARE = ("undo_when", "undo_retry", "irreversible", "idempotent", "retry", "timeout", "lock_timeout")


def make_step(
    draft: Draft, asks: Asks, approvals: Approvals, on_conflict: OnConflict | None = None
) -> PlanStep:
    """Make the plan's step, which ``asks`` for approval, from a draft in which nothing is wrong.

    ``approvals`` and ``on_conflict``: what holds where the step does not say.
    """
    keys, undo = draft.keys, draft.undo
    kept = {key: keys[key] for key in (*_AS_THEY_ARE, "keep") if key in keys}
    form = "none" if draft.rule.word == "none" else undo.form
    refers = {refer for scope in draft.scopes for refer in scope.refers}
    return PlanStep(
        index=draft.index,
        name=keys["name"],
        operation=keys["do"],
        on_conflict=keys.get("on_conflict", on_conflict),
        asks="each" if draft.own is not None else asks,
        approvals=None if draft.own is None else draft.own.over(approvals),
        asks_undo=draft.rule.asks,
        arguments=keys.get("with", {}),
        needs=tuple(sorted(draft.needs)),
        refers=tuple(sorted(refers)),
        hook=_made_hook(draft.hook),
        undo=Undo(form, undo.operation, undo.arguments),  # type: ignore[arg-type]
        alias=keys.get("as"),
        driver_version=draft.operation.driver.version if draft.operation else "",
        **kept,
    )


def _made_hook(hook: GivenHook | None) -> Hook | None:
    if hook is None or hook.found is None:
        return None
    return Hook(hook.operation, hook.arguments, hook.found.driver.version)
