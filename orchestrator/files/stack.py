"""A stack file: the resources that are to be there, what each is to be like, and which need which.

Nothing is compared with anything here, and nothing is asked of a service. A resource's ``spec`` is what its type's
``create`` takes; ``${resources.NAME.FIELD}`` is an output of another one, and a need.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from orchestrator.files import shape
from orchestrator.files.arguments import Arguments
from orchestrator.files.compile import SHARED_KEYS
from orchestrator.files.document import Document, Report
from orchestrator.files.given import Hooks, arguments, find_hooks
from orchestrator.files.operations import Operation, check_names, find_operation
from orchestrator.files.order import check_cycles
from orchestrator.files.policy import check_types
from orchestrator.files.problems import Path, Problem, shown, suggest
from orchestrator.files.refer import Names, Scope
from providers.contract import Driver
from providers.registry import Registry

MOST_RESOURCES = 1_000
Replace = Literal["create_before_delete", "delete_before_create"]


class Declared(msgspec.Struct, frozen=True):
    """A resource as a stack file wants it."""

    index: int
    """Its place in the file."""
    type: str
    name: str
    spec: dict[str, Any]
    """A template."""
    needs: tuple[str, ...] = ()
    """Names of those that it needs, by reference or by its word."""
    protect: bool = False
    replace: Replace = "create_before_delete"


class CompiledStack(msgspec.Struct, frozen=True):
    """What became of a stack file. It may be planned exactly when there are no problems."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    name: str = ""
    resources: tuple[Declared, ...] = ()
    """Each behind those that it needs, else as in the file."""
    shared: dict[str, Any] = {}
    """What the file says as a saga file would: ``on_failure``, ``policy``, ``hooks`` and so on."""
    labels: dict[str, str] = {}
    secrets: dict[str, Problem] = {}
    file: dict[str, Any] = {}
    """The whole file, as values."""
    destroyed: bool = False
    """All of it is to go, whatever the file says."""
    places: Document = msgspec.field(default_factory=Document)
    """The file's name and the places in it."""


class _Draft(msgspec.Struct):
    """A resource on its way from the file."""

    index: int
    path: Path
    keys: dict[str, Any]
    operation: Operation | None = None
    needs: frozenset[int] = frozenset()
    secrets: dict[str, Path] = {}

    @property
    def name(self) -> str:
        """Its name, or how to call it where it has none."""
        return str(self.keys.get("name", f"resources[{self.index}]"))

    @property
    def spec(self) -> dict[str, Any]:
        """What it is to be like."""
        found: dict[str, Any] = self.keys.get("spec", {})
        return found


_RESOURCE: dict[str, shape.Reader] = {
    "type": shape.plain_text,
    "name": shape.name,
    "spec": arguments,
    "needs": shape.each(shape.text, "resource names"),
    "protect": shape.flag,
    "replace": shape.choice("create_before_delete", "delete_before_create"),
}


def _resources(report: Report, path: Path, value: Any) -> Any:
    if not isinstance(value, list):
        wanted = "a list of resources"
        return shape.wrong_kind(report, path, value, wanted, "each `- {type: …, name: …, spec: {…}}`")
    if len(value) > MOST_RESOURCES:
        what = f"there are {len(value):,} resources; a stack has at most {MOST_RESOURCES:,}"
        report.problem(path, what, "split it into several stacks")
        return UNSET
    return [
        _Draft(i, (*path, i), shape.read_keys(report, (*path, i), item, _RESOURCE, ("type", "name", "spec")))
        for i, item in enumerate(value)
    ]


_KEYS: dict[str, shape.Reader] = {"stack": shape.kind, **SHARED_KEYS, "resources": _resources}


def is_stack(value: Any) -> bool:
    """Tell whether a document is a stack file."""
    return isinstance(value, dict) and "stack" in value and "saga" not in value and "batch" not in value


def compile_stack(document: Document, registry: Registry) -> CompiledStack:
    """Check a document as a stack file. Every problem is named; nothing raises."""
    report = Report(document)
    if document.value is UNSET:
        return CompiledStack(report.all())
    keys = _keys(report, document.value)
    drafts: list[_Draft] = keys.get("resources", [])
    _check(report, keys, drafts, registry)
    warnings = tuple(report.warnings)
    if report.problems:
        return CompiledStack(report.all(), warnings)
    value = document.value
    return CompiledStack(
        (),
        warnings,
        keys["stack"],
        tuple(_declared(drafts, draft) for draft in _in_order(drafts)),
        {key: value[key] for key in SHARED_KEYS if key in value and key != "labels"},
        keys.get("labels", {}),
        _secrets(document, drafts),
        value,
        places=Document(UNSET, document.marks, document.name),
    )


def _keys(report: Report, value: Any) -> dict[str, Any]:
    if value is None:
        report.problem((), "the file is empty", "begin with `stack: NAME` and `resources:`")
        return {}
    if isinstance(value, dict) and "saga" in value and "stack" not in value:
        report.problem((), "this is a saga file, not a stack file", "`sagactl submit` starts it")
        return {}
    return shape.read_keys(report, (), value, _KEYS, ("stack", "resources"))


# --- checking -------------------------------------------------------------------------------------------------------


def _check(report: Report, keys: dict[str, Any], drafts: list[_Draft], registry: Registry) -> None:
    names = _names(report, drafts)
    for draft in drafts:
        draft.operation = _find(report, draft, registry)
    verbs = [draft.operation.verb if draft.operation else None for draft in drafts]
    known = Names({}, names, verbs, graph=True, stack=True)
    for draft in drafts:
        _check_spec(report, draft, known)
        _check_needs(report, draft, known)
    check_cycles(report, drafts)
    hooks = keys.get("hooks", {})
    find_hooks(report, hooks, registry)
    for draft in drafts:
        _check_hooks(report, draft, hooks, known)
    used = {draft.keys.get("type", "") for draft in drafts}
    used |= {hook.operation.rpartition(".")[0] for hook in hooks.values()}
    check_types(report, keys.get("policy", {}), [*registry.drivers, *registry.refused], used)


def _names(report: Report, drafts: list[_Draft]) -> dict[str, int]:
    names: dict[str, int] = {}
    for draft in drafts:
        if (name := draft.keys.get("name")) is None:
            continue
        if name in names:
            what = f"the name {shown(name)} is taken by resources[{names[name]}]"
            report.problem((*draft.path, "name"), what, "every resource needs a name of its own")
        names.setdefault(name, draft.index)
    return names


def _find(report: Report, draft: _Draft, registry: Registry) -> Operation | None:
    """Find what makes a resource; a type whose resources can be made and deleted has both verbs."""
    if (type_ := draft.keys.get("type")) is None:
        return None
    path = (*draft.path, "type")
    driver = registry.drivers.get(type_)
    if driver is not None and is_kept(driver):
        return find_operation(report, path, f"{type_}.create", registry)
    kept = [each for each, found in registry.drivers.items() if is_kept(found)]
    if driver is not None:
        report.problem(path, f"{shown(type_)} is no resource that can be kept", suggest("", kept))
    elif reasons := registry.refused.get(type_):
        report.problem(path, f"the type {shown(type_)} is not available: {'; '.join(reasons)}")
    else:
        report.problem(path, f"unknown type {shown(type_)}", suggest(type_, kept))
    return None


def is_kept(driver: Driver) -> bool:
    """Tell whether a type's resources can be in a stack."""
    return {"create", "delete"} <= driver.verbs.keys()


def _check_spec(report: Report, draft: _Draft, names: Names) -> None:
    scope, path = Scope(report, names, draft.index), (*draft.path, "spec")
    scope.check(path, draft.spec)
    if draft.operation is not None and "spec" in draft.keys:
        Arguments(report, scope.kinds).check(path, draft.spec, draft.operation.verb.arguments)
        check_names(report, path, draft.spec, draft.operation)
    draft.needs = frozenset(index for index, _ in scope.refers)
    draft.secrets = scope.secrets


def _check_hooks(report: Report, draft: _Draft, hooks: Hooks, names: Names) -> None:
    """Check a file's hooks as they are run after a resource was created, and after it was deleted."""
    if draft.operation is None:
        return
    for event, hook in hooks.items():
        verb = draft.operation.driver.verbs["create" if event == "applied" else "delete"]
        verbs = [*names.verbs]
        verbs[draft.index] = verb
        own = msgspec.structs.replace(names, verbs=verbs)
        scope, path = (
            Scope(report, own, draft.index, has_self=True, shared_by=draft.name),
            (*hook.path, "with"),
        )
        scope.check(path, hook.arguments)
        if hook.found is not None:
            Arguments(report, scope.kinds).check(path, hook.arguments, hook.found.verb.arguments)
            check_names(report, path, hook.arguments, hook.found)
        draft.secrets |= {name: place for name, place in scope.secrets.items() if name not in draft.secrets}


def _check_needs(report: Report, draft: _Draft, names: Names) -> None:
    for position, name in enumerate(draft.keys.get("needs", ())):
        path = (*draft.path, "needs", position)
        if name not in names.steps:
            report.unknown(path, "resource", name, [each for each in names.steps if each != draft.name])
        elif names.steps[name] == draft.index:
            report.problem(path, "a resource cannot need itself", "remove it")
        else:
            draft.needs |= {names.steps[name]}


# --- making ---------------------------------------------------------------------------------------------------------


def _in_order(drafts: list[_Draft]) -> Iterator[_Draft]:
    """Give each behind those that it needs, else as in the file. There are no circles any more."""
    done: set[int] = set()
    for draft in drafts:
        stack = [draft.index]
        while stack:
            index = stack[-1]
            missing = sorted(drafts[index].needs - done)
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            if index not in done:
                done.add(index)
                yield drafts[index]


def _declared(drafts: list[_Draft], draft: _Draft) -> Declared:
    keys = draft.keys
    return Declared(
        draft.index,
        keys["type"],
        keys["name"],
        draft.spec,
        tuple(sorted(drafts[index].name for index in draft.needs)),
        keys.get("protect", False),
        keys.get("replace", "create_before_delete"),
    )


def _secrets(document: Document, drafts: list[_Draft]) -> dict[str, Problem]:
    """Give each secret's name with the problem that it would be, at its first place."""
    hint = "put a file of that name into the secrets folder, `[secrets] dir`"
    found: dict[str, Problem] = {}
    for name, path in (item for draft in drafts for item in draft.secrets.items()):
        what = f"`${{secret.{name}}}`: there is no secret {shown(name)}"
        found.setdefault(name, document.problem(path, what, hint))
    return found
