"""Drivers made up from what the real ones declare, for a rehearsal: what each operation of a saga would be.

The real driver is asked only what touches nothing: how the verb is to be taken with these arguments (``refine``) and
which resource they name (``resource``). Whatever it would put out is stood in for: by the argument of the same name
where the driver keeps a resource (a file's path), else by a value of the declared type, ``<step.output>`` for text.
Secrets are not read either. Where arguments that were stood in for do not fit, the verb's bare declaration counts.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from actors.saga import messages as m
from actors.saga.plan import Plan, PlanStep
from actors.saga.prepare import intended, inverse_of
from actors.saga.references import BadReference, Ref, dig, find, record, reveal
from actors.saga.state import Direction
from actors.saga.wants import Prepare
from providers.contract import ABSENT, Driver, Image, Resource, Verb
from providers.registry import Registry

_ANY_ID = "0" * 12
_STAND_INS: dict[Any, Any] = {bool: True, int: 1, float: 1.0, list: [], dict: {}}


class Operation(msgspec.Struct, frozen=True):
    """An operation, as far as it can be known beforehand."""

    driver: Driver
    verb: str
    declared: Verb
    arguments: Any
    """None where what they would be made from is not known."""
    resource: Resource | None


class Simulated:
    """The operations of one saga."""

    def __init__(self, registry: Registry, plan: Plan, inputs: dict[str, Any]) -> None:
        """Ask the drivers of this registry, all at once, about every operation of a saga with these inputs."""
        self._registry = registry
        self.plan = plan
        self._inputs = inputs
        self._operations: dict[int, Operation] = {}
        self._prepared: dict[tuple[int, Direction], m.Prepared] = {}
        for step in plan.steps:
            forward = self._intend(step, "forward")
            if forward.way_back in ("restore", "correct"):
                self._intend(step, "undo")

    def prepare(self, want: Prepare) -> m.Prepared:
        """Say what the machine is to know of an operation, as ``Preparer.prepare`` would. Any thread may call."""
        return self._prepared[want.step, want.direction]

    def _intend(self, step: PlanStep, direction: Direction) -> m.Prepared:
        found = self._intended(Prepare(step.index, direction, 1))
        self._prepared[step.index, direction] = found
        return found

    def _intended(self, want: Prepare) -> m.Prepared:
        step = self.plan.steps[want.step]
        operation = self._operation(want.step)
        declared, resource = operation.declared, operation.resource
        if want.direction == "undo" and step.undo.form == "given":
            given = self._made(step, step.undo.operation, step.undo.arguments)
            declared, resource = given.declared, given.resource
        elif want.direction == "undo":
            declared = _restoring(operation)
        return intended(want, step, declared, resource, execution="", payload="")

    def _operation(self, index: int) -> Operation:
        if index not in self._operations:
            step = self.plan.steps[index]
            self._operations[index] = self._made(step, step.operation, step.arguments)
        return self._operations[index]

    def _made(self, step: PlanStep, operation: str, template: dict[str, Any]) -> Operation:
        driver, verb = self._registry.split(operation)
        declared, arguments, resource = driver.verbs[verb], None, _some_resource(driver, verb, step)
        # What a driver makes of a stand-in is anything: then what it declares without arguments has to do.
        with suppress(Exception):
            recorded = record(template, lambda ref: self._value(step, ref))
            revealed = reveal(recorded, lambda name: f"<secret {name}>")
            arguments = msgspec.convert(revealed, declared.arguments)
            declared = driver.refine(verb, arguments)
            if not _late(template) or not driver.check(verb, arguments):
                resource = driver.resource(verb, arguments)
        return Operation(driver, verb, declared, arguments, resource)

    def _value(self, step: PlanStep, ref: Ref) -> Any:
        if ref.root == "inputs":
            return dig(self._inputs, ref.path, ref)
        if ref.root == "saga":
            return dig({"id": _ANY_ID, "kind": self.plan.kind}, ref.path, ref)
        if ref.root == "self":
            return self._output(step, ref.path, ref)
        return self._output(self.plan.steps[self.plan.by_name[ref.path[0]]], ref.path[1:], ref)

    def _output(self, step: PlanStep, path: tuple[str, ...], ref: Ref) -> Any:
        operation = self._operation(step.index)
        with suppress(BadReference):
            return dig(_outputs(operation), path, ref)
        kind = operation.declared.outputs.get(path[0]) if len(path) == 1 else None
        return _STAND_INS.get(kind, f"<{step.name}.{'.'.join(path)}>")


def _late(template: dict[str, Any]) -> bool:
    """Tell whether the arguments hold anything that is stood in for."""
    return any(ref.root in ("steps", "self", "secret") for _, ref in find(template))


def _keeps(driver: Driver) -> bool:
    """Tell whether the driver is one for resources: its outputs are then named as in its spec."""
    return type(driver).resource is not Driver.resource


def _some_resource(driver: Driver, verb: str, step: PlanStep) -> Resource | None:
    if not _keeps(driver) or not driver.verbs[verb].changes:
        return None
    return Resource(type=driver.type, name=step.name)


def _outputs(operation: Operation) -> dict[str, Any]:
    """Give the outputs that can be known: those that repeat an argument."""
    if operation.arguments is None or not _keeps(operation.driver):
        return {}
    values = {name: getattr(operation.arguments, name, None) for name in operation.declared.outputs}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _restoring(operation: Operation) -> Verb:
    """Give the declaration of the verb that puts the earlier state back: of several the one that tells least."""
    driver, verb = operation.driver, operation.verb
    inverse = operation.declared.inverse
    possible = {inverse_of(inverse, verb, before, None)[0] for before in (ABSENT, Image())}
    return min((driver.verbs[each] for each in sorted(possible)), key=_settled_by)


def _settled_by(declared: Verb) -> tuple[bool, bool]:
    return declared.finds, declared.repeat in ("idempotent", "token")
