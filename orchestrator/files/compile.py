"""A saga file to a plan, once for every distinct file, and the inputs of a submission to their values.

``Compiler`` is what the service calls. One belongs to one registry and one set of settings: a reload makes a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET

from actors.saga.plan import OnConflict, Plan
from config.settings import Policy, TypePolicy
from orchestrator.files import shape
from orchestrator.files.advice import advise
from orchestrator.files.document import Document, Report
from orchestrator.files.given import read_hooks
from orchestrator.files.inputs import Input, bind_inputs, declared
from orchestrator.files.load import DOCUMENT_BYTES, load, load_object
from orchestrator.files.policy import agreed, check_types, read_policy, rule_of, strictest
from orchestrator.files.problems import Problem, shown
from orchestrator.files.resolved import Known, check_known, known_operations
from orchestrator.files.steps import Draft, check_steps, make_step, read_steps
from providers.registry import Registry

SHARED_KEYS: dict[str, shape.Reader] = {
    "description": shape.text,
    "labels": shape.labels,
    "on_failure": shape.choice("compensate", "stop", "hold"),
    "on_undo_failure": shape.choice("continue", "hold"),
    "on_conflict": shape.choice("hold", "force", "skip"),
    "deadline": shape.duration,
    "policy": read_policy,
    "hooks": read_hooks,
}
"""What a saga file and a stack file both have."""
_KEYS: dict[str, shape.Reader] = {
    "saga": shape.kind,
    "description": shape.text,
    "inputs": declared,
    **SHARED_KEYS,
    "steps": read_steps,
}

_MOST_CACHED = 256
_LARGEST_CACHED = 64 * 1024
_MOST_BYTES_CACHED = 512 * 1024
"""Of source; the values and marks made from it take many times that."""


class Compiled(msgspec.Struct, frozen=True):
    """What became of a file. There is a plan exactly when there are no problems."""

    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    labels: dict[str, str] = {}
    inputs: dict[str, Input] | None = {}
    """None where their declarations cannot be read, so that nothing can be said about values for them."""
    secrets: dict[str, Problem] = {}
    """The names of the secrets that the file refers to, each with what is to be said where there is none."""
    known: tuple[Known, ...] = ()
    """Operations whose arguments are known as soon as the inputs are."""
    document: Document = msgspec.field(default_factory=Document)
    """The file's name and the places in it; not its values."""


def compile_saga(document: Document, registry: Registry, defaults: Policy | None = None) -> Compiled:
    """Check a document as a saga file and compile it. Every problem is named; nothing raises."""
    report = Report(document)
    keys, drafts = _check(report, document.value, registry, defaults or Policy())
    places = Document(UNSET, document.marks, document.name)
    fixed, known = known_operations(drafts)
    check_known(report, keys.get("saga", ""), fixed, {}, registry)
    plan = None if report.problems else _make(keys, drafts, defaults or Policy())
    secrets = _secrets(document, drafts)
    if plan is None:
        warnings, inputs = tuple(report.warnings), keys.get("inputs")
        return Compiled(None, report.all(), warnings, inputs=inputs, secrets=secrets, document=places)
    return Compiled(
        plan,
        (),
        tuple(report.warnings),
        keys.get("labels", {}),
        keys.get("inputs", {}),
        secrets,
        known,
        places if known else Document(name=document.name),
    )


def _check(
    report: Report, value: Any, registry: Registry, node: Policy
) -> tuple[dict[str, Any], list[Draft]]:
    """Give the file's keys as far as they can be read (``inputs`` is there even if the file has none) and the steps."""
    if value is UNSET:
        return {}, []
    if value is None:
        report.problem((), "the file is empty", "begin with `saga: NAME` and `steps:`")
        return {}, []
    if isinstance(value, dict) and "stack" in value and "saga" not in value:
        report.problem((), "this is a stack file, not a saga file", "use `sagactl plan` and `sagactl apply`")
        return {}, []
    if isinstance(value, dict) and "batch" in value and "saga" not in value:
        hint = "`sagactl batch submit` starts it, or says what is wrong with it and starts nothing"
        report.problem((), "this is a batch file, not a saga file", hint)
        return {}, []
    keys = shape.read_keys(report, (), value, _KEYS, ("saga", "steps"))
    drafts: list[Draft] = keys.get("steps", [])
    if isinstance(value, dict) and "inputs" not in value:
        keys["inputs"] = {}
    names = check_steps(report, drafts, registry, keys.get("inputs", UNSET), keys.get("hooks"))
    given = keys.get("policy", {})
    used = {type_ for draft in drafts for type_ in (draft.type, draft.hook_type)}
    check_types(report, given, [*registry.drivers, *registry.refused], used)
    for draft in drafts:
        if draft.operation is not None:
            draft.rule = rule_of(draft.operation.driver.policy, node, given, draft.type)
    advise(report, drafts, names)
    return keys, drafts


def _secrets(document: Document, drafts: list[Draft]) -> dict[str, Problem]:
    """Give each secret's name with the problem that it would be, at its first place."""
    hint = "put a file of that name into the secrets folder, `[secrets] dir`"
    found: dict[str, Problem] = {}
    for name, path in (item for draft in drafts for scope in draft.scopes for item in scope.secrets.items()):
        what = f"`${{secret.{name}}}`: there is no secret {shown(name)}"
        found.setdefault(name, document.problem(path, what, hint))
    return found


def _make(keys: Mapping[str, Any], drafts: list[Draft], defaults: Policy) -> Plan:
    types = [draft.type for draft in drafts] + [draft.hook_type for draft in drafts]
    approvals, words = agreed(keys.get("policy", {}), defaults, types)
    # Both are as many. A hook is no way around what is demanded of its type.
    asks = map(strictest, words[: len(drafts)], words[len(drafts) :])
    return Plan(
        kind=keys["saga"],
        steps=tuple(
            make_step(draft, ask, approvals, _on_conflict(keys, defaults, draft.type))
            for draft, ask in zip(drafts, asks, strict=True)
        ),
        description=keys.get("description", ""),
        graph=any("needs" in draft.keys for draft in drafts),
        on_failure=keys.get("on_failure", defaults.on_failure),
        on_undo_failure=keys.get("on_undo_failure", defaults.on_undo_failure),
        on_conflict=keys.get("on_conflict", defaults.on_conflict),
        deadline=keys.get("deadline"),
        approvals=approvals,
    )


def _on_conflict(keys: Mapping[str, Any], node: Policy, type_: str) -> OnConflict | None:
    """Give what the node says of a type, where the file says nothing of all its steps."""
    return None if "on_conflict" in keys else node.types.get(type_, TypePolicy()).on_conflict


class Compiler:
    """Compiles files and binds inputs. Keeps what it has compiled, so that the same file is not compiled again."""

    def __init__(
        self, registry: Registry, defaults: Policy | None = None, document_bytes: int = DOCUMENT_BYTES
    ) -> None:
        """Compile with these drivers, the node's policy for defaults, and files of at most this size."""
        self._registry = registry
        self._defaults = defaults
        self.limit = document_bytes
        self._cache: OrderedDict[bytes, tuple[int, Compiled]] = OrderedDict()
        self._cached_bytes = 0

    def source(self, source: bytes | str, *, format: str | None = None, name: str = "") -> Compiled:
        """Compile a file's text; its format is the given one or the one of its name's suffix."""
        if len(source) > self.limit:  # so that nothing is done with what is far too large
            return self._compile(load(source, format=format, name=name, limit=self.limit))
        raw = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
        return self._once(
            b"%s\0%s\0%s" % (str(format).encode(), name.encode("utf-8", "surrogatepass"), raw),
            lambda: load(raw, format=format, name=name, limit=self.limit),
        )

    def object(self, saga: Any) -> Compiled:
        """Compile a saga that came as an object, values of JSON. It must not be changed afterwards."""
        try:
            raw = msgspec.json.encode(saga)
        except (RecursionError, TypeError, ValueError, OverflowError):  # not JSON; the check says why
            return self._compile(load_object(saga))
        return self._once(raw, lambda: load_object(saga))

    def bind(
        self,
        compiled: Compiled,
        given: Mapping[str, Any],
        *,
        from_text: bool = False,
        has_secret: Callable[[str], bool] | None = None,
    ) -> tuple[dict[str, Any], list[Problem]]:
        """Give the inputs of a submission their values and check all that is known now: see ``bind_inputs``.

        Checked besides: that the secrets are there, and what the drivers say to arguments that follow from the inputs.
        """
        if compiled.inputs is None:
            return {}, []
        values, problems = bind_inputs(compiled.inputs, given, from_text=from_text)
        if compiled.known and not problems:
            problems += check_resolved(compiled, values, self._registry)
        if has_secret is not None:
            problems += [problem for name, problem in compiled.secrets.items() if not has_secret(name)]
        return values, problems

    def _compile(self, document: Document) -> Compiled:
        return compile_saga(document, self._registry, self._defaults)

    def _once(self, raw: bytes, read: Callable[[], Document]) -> Compiled:
        if len(raw) > _LARGEST_CACHED:
            return self._compile(read())
        key = sha256(raw).digest()
        if found := self._cache.get(key):
            self._cache.move_to_end(key)
            return found[1]
        compiled = self._compile(read())
        if compiled.problems:  # some may be mended without touching the file: a folder, a link
            return compiled
        self._cache[key] = (len(raw), compiled)
        self._cached_bytes += len(raw)
        while len(self._cache) > _MOST_CACHED or self._cached_bytes > _MOST_BYTES_CACHED:
            _, (size, _) = self._cache.popitem(last=False)
            self._cached_bytes -= size
        return compiled


def check_resolved(compiled: Compiled, values: Mapping[str, Any], registry: Registry) -> list[Problem]:
    """Check the operations whose arguments follow from the inputs' values: types, and what their drivers say."""
    if compiled.plan is None:
        return []
    report = Report(compiled.document)
    plan = compiled.plan
    check_known(report, plan.kind, [each.find(plan) for each in compiled.known], values, registry)
    return list(report.all())
