"""Checks of operations whose arguments are known before the saga runs: what their drivers say to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from actors.saga import references
from actors.saga.plan import Plan
from actors.saga.references import BadReference, Ref
from actors.saga.state import Direction
from orchestrator.files.arguments import Arguments
from orchestrator.files.document import Report
from orchestrator.files.kinds import ANY
from orchestrator.files.problems import Path
from orchestrator.files.steps import Draft
from providers.contract import Driver
from providers.registry import Registry

_ANY_ID = "0" * 12
"""Stands for the saga's id, which is not known yet and has this shape."""
_NAMED = re.compile(r'["`]?([A-Za-z_]\w*)["`]?(: | )')


Operation = tuple[str, Path, dict[str, Any]]
"""An operation's name, the path of its arguments in the file, and their template."""


class Known(msgspec.Struct, frozen=True):
    """An operation of a plan: a step's, its hook's or its undo's, and where the file has its arguments."""

    step: int
    direction: Direction
    path: Path

    def find(self, plan: Plan) -> Operation:
        """Give the operation."""
        asked = plan.steps[self.step].asked(self.direction)
        return asked.operation, self.path, asked.arguments


def known_operations(drafts: Sequence[Draft]) -> tuple[list[Operation], tuple[Known, ...]]:
    """Give the operations that are known from the file alone, and tell which are as soon as the inputs are given."""
    fixed: list[Operation] = []
    bound: list[Known] = []
    for draft in drafts:
        for part in draft.parts:
            if part.scope.late or not part.scope.sound:
                continue
            if part.scope.used:
                bound.append(Known(draft.index, part.direction, part.path))
            else:
                fixed.append((part.name, part.path, part.template))
    return fixed, tuple(bound)


def check_known(
    report: Report, kind: str, known: Iterable[Operation], inputs: Mapping[str, Any], registry: Registry
) -> None:
    """Resolve the arguments of these operations and report what their declarations or drivers refuse."""

    def lookup(ref: Ref) -> Any:
        if ref.root == "saga":
            return _ANY_ID if ref.path[0] == "id" else kind
        return references.dig(inputs, ref.path, ref)

    for name, path, template in known:
        driver, verb = registry.split(name)
        try:
            recorded = references.record(template, lookup)
        except BadReference as error:
            report.problem(path, str(error))
            continue
        before = len(report.problems)
        struct = driver.verbs[verb].arguments
        Arguments(report, lambda _: ANY).check(path, recorded, struct)
        if len(report.problems) == before:
            for said in _ask(driver, verb, references.reveal(recorded, str)):
                _report_said(report, path, said, template)


def _ask(driver: Driver, verb: str, values: dict[str, Any]) -> list[str]:
    try:
        return list(driver.check(verb, msgspec.convert(values, driver.verbs[verb].arguments)))
    except Exception as error:  # noqa: BLE001 - somebody else's code; its bug is this file's problem only
        return [f"the driver {driver.type} cannot check this: {type(error).__name__}: {error}"]


def _report_said(report: Report, path: Path, said: str, template: Mapping[str, Any]) -> None:
    """Place what a driver says at the argument that it begins with, as ``path: …`` or ``"path" must …``."""
    named = _NAMED.match(said)
    if named is None or named[1] not in template:
        report.problem(path, said)
    elif named[2] == ": ":
        report.problem((*path, named[1]), said[named.end() :])
    else:
        report.problem((*path, named[1]), said)
