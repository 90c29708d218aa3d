"""From the actions of a plan to the saga that brings them about: its file, as values, and what each step is a part of.

Pure. Where nothing connects two resources their steps run side by side. What is deleted goes after all that needed it has
been changed or deleted; the types that want it are finalized after everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import msgspec

from actors.resources import known_of
from actors.saga.plan import Action, Plan, Stack
from actors.saga.references import escape
from orchestrator.stacks.planning import Planned, needs_of
from providers.contract import Driver
from store.records import Resource

FINALIZE = "finalize"
"""The verb that a type has run once after a plan's last action, if it has it."""


class Step(msgspec.Struct):
    """A step in the making."""

    name: str
    operation: str
    with_: dict[str, Any]
    needs: set[str] = set()
    alias: str | None = None
    instead_of: str | None = None

    def written(self) -> dict[str, Any]:
        """Give it as a saga file has it."""
        found = {"name": self.name, "do": self.operation, "with": self.with_, "needs": sorted(self.needs)}
        return found if self.alias is None else {**found, "as": self.alias}


class Parts(msgspec.Struct):
    """The steps of one action."""

    planned: Planned
    make: list[Step] = []
    gone: Step | None = None


class Building:
    """The steps of a plan, and how they hang together."""

    def __init__(self, drivers: Mapping[str, Driver], planned: Iterable[Planned]) -> None:
        """Make the steps."""
        self._drivers = drivers
        self._names: set[str] = set()
        given = list(planned)
        # What others refer to by its name has it as its step's, whatever else wants a name.
        self._names.update(each.name for each in given if each.kind != "delete")
        self.parts = [self._parts(each) for each in given]
        self._connect()
        self.last = [*self._finalizers()]

    @property
    def steps(self) -> list[Step]:
        """Give the steps in order."""
        return [*self._of_actions(), *self.last]

    def _of_actions(self) -> Iterator[Step]:
        for part in self.parts:
            yield from part.make
        for part in self.parts:
            if part.gone is not None:
                yield part.gone

    def _parts(self, planned: Planned) -> Parts:
        parts = Parts(planned)
        if planned.kind in ("create", "replace"):
            made = Step(planned.name, f"{planned.type}.create", planned.with_, alias=planned.name)
            made.instead_of = planned.instead_of
            parts.make = [made]
        elif planned.kind == "update":
            parts.make = self._updates(planned)
        if planned.kind in ("replace", "delete") and planned.record is not None:
            name = planned.name if planned.kind == "delete" else f"{planned.name}-old"
            parts.gone = self._deletion(self._free(name), planned.record)
        return parts

    def _updates(self, planned: Planned) -> list[Step]:
        """Make a step for each verb; the last one has the resource's name, as it is what others refer to."""
        assert planned.record is not None
        found = []
        for index, verb in enumerate(planned.verbs):
            last = index == len(planned.verbs) - 1
            name = planned.name if last else self._free(f"{planned.name}-{verb.replace('_', '-')}")
            given = self._arguments(planned.type, verb, planned.with_, planned.record)
            found.append(Step(name, f"{planned.type}.{verb}", given, alias=planned.name))
        for before, after in pairwise(found):
            after.needs.add(before.name)
        return found

    def _arguments(self, type_: str, verb: str, spec: Mapping[str, Any], record: Resource) -> dict[str, Any]:
        """Give what a verb takes of the spec, and by what it knows the resource that is there."""
        fields = self._drivers[type_].verbs[verb].arguments.__struct_fields__
        known = known_of(record)
        place = {key: escape(known[key]) for key in ("id", "path") if key in fields and key in known}
        return {key: spec[key] for key in fields if key in spec} | place

    def _deletion(self, name: str, record: Resource) -> Step:
        verb, known = self._drivers[record.type].verbs["delete"], known_of(record)
        needed = [
            field.name
            for field in msgspec.structs.fields(verb.arguments)
            if field.required or field.name in ("id", "path")
        ]
        given = {key: escape(known[key]) for key in needed if key in known}
        return Step(name, f"{record.type}.delete", given, alias=record.name)

    def _free(self, name: str) -> str:
        """Give a name that no other step has."""
        found, count = name, 2
        while found in self._names:
            found, count = f"{name}-{count}", count + 1
        self._names.add(found)
        return found

    # -- order -------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        made = {part.planned.name: part.make[-1].name for part in self.parts if part.make}
        for part in self.parts:
            declared = part.planned.declared
            if declared is not None and part.make:
                part.make[0].needs |= {made[name] for name in declared.needs if name in made}
        for part in self.parts:
            if part.gone is not None:
                self._connect_deletion(part, part.gone)
        self._put_irreversible_last()

    def _connect_deletion(self, part: Parts, gone: Step) -> None:
        """Let what is deleted go after those that needed it, or need what takes its place."""
        planned = part.planned
        first = _goes_first(planned)
        if first:
            part.make[0].needs.add(gone.name)
        else:
            gone.needs |= {step.name for step in part.make}
        for other in self.parts:
            if other is part or planned.name not in _needs_until_now(other.planned):
                continue
            if other.make and not first:
                gone.needs.add(other.make[-1].name)
            # Where both are replaced, and this one is deleted first, the other can only be gone by then if it goes first too.
            if other.gone is not None and (not first or not other.make or _goes_first(other.planned)):
                gone.needs.add(other.gone.name)

    def _put_irreversible_last(self) -> None:
        """Delete what cannot be brought back when all else has been done, and one after the other: the first that fails
        is the last that was tried.
        """
        late = [gone for part in self.parts if (gone := self._irreversible(part)) is not None]
        if not late:
            return
        behind = self._behind({step.name for step in late})
        others = [step for step in self._of_actions() if step.name not in behind]
        order = self._in_order()
        late.sort(key=lambda step: order.index(step.name))
        late[0].needs |= _ends(others)
        for before, after in pairwise(late):
            after.needs.add(before.name)

    def _irreversible(self, part: Parts) -> Step | None:
        """Give the deletion of an action, where it cannot be taken back and may wait."""
        if part.gone is None or _goes_first(part.planned):
            return None
        type_ = part.planned.type
        return part.gone if self._drivers[type_].verbs["delete"].irreversible else None

    def _behind(self, names: set[str]) -> set[str]:
        """Give those steps, and all that need one of them, directly or not."""
        found = set(names)
        steps = list(self._of_actions())
        while more := {step.name for step in steps if step.name not in found and step.needs & found}:
            found |= more
        return found

    def _in_order(self) -> list[str]:
        """Give the names of the steps, each behind those that it needs, directly or not. Circles are told elsewhere."""
        order = TopologicalSorter({step.name: step.needs for step in self._of_actions()})
        try:
            return list(order.static_order())
        except CycleError:
            return [step.name for step in self._of_actions()]

    def _finalizers(self) -> Iterator[Step]:
        ends = _ends(list(self._of_actions()))
        for type_ in sorted({part.planned.type for part in self.parts}):
            if FINALIZE in self._drivers[type_].verbs:
                name = self._free(f"finalize-{type_.replace('.', '-')}")
                yield Step(name, f"{type_}.{FINALIZE}", {}, set(ends))


def _ends(steps: Sequence[Step]) -> set[str]:
    """Give the steps that none of the others needs: when they are done, all are."""
    needed = {name for step in steps for name in step.needs}
    return {step.name for step in steps} - needed


def _goes_first(planned: Planned) -> bool:
    """Tell whether the old one is deleted before the new one is made."""
    declared = planned.declared
    return planned.kind == "replace" and declared is not None and declared.replace == "delete_before_create"


def _needs_until_now(planned: Planned) -> set[str]:
    """Give the names of those that a resource needs as it is: by its record; of what no stack has kept yet, by the file."""
    record, declared = planned.record, planned.declared
    if record is not None and record.stack is not None:
        return set(needs_of(record))
    return set() if record is None or declared is None else set(declared.needs)


def written(name: str, shared: Mapping[str, Any], building: Building) -> Any:
    """Give the saga file of a plan, as values."""
    return {"saga": name, **shared, "steps": [step.written() for step in building.steps]}


def applied(plan: Plan, name: str, building: Building) -> Plan:
    """Give the plan of that saga with what it brings about of the stack."""
    actions = tuple(_action(plan, part) for part in building.parts)
    last = tuple(plan.by_name[step.name] for step in building.last)
    instead_of = {step.name: step.instead_of for step in building.steps if step.instead_of is not None}
    steps = tuple(msgspec.structs.replace(step, instead_of=instead_of.get(step.name)) for step in plan.steps)
    return msgspec.structs.replace(plan, steps=steps, graph=True, stack=Stack(name, actions, last))


def _action(plan: Plan, part: Parts) -> Action:
    declared = part.planned.declared
    return Action(
        part.planned.kind,
        part.planned.type,
        part.planned.name,
        tuple(plan.by_name[step.name] for step in part.make),
        None if part.gone is None else plan.by_name[part.gone.name],
        () if declared is None else declared.needs,
        protect=declared is not None and declared.protect,
    )
