"""From a stack file to the actions that bring what is there to what it wants.

The file is gone through in the order of its needs, so that what a reference comes to is known, or known to be still to
come, before it is compared. What is there is matched by name, among what the stack owns; else by its place; else among
what was imported and nobody owns. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from actors.resources import Key, key_of, known_of
from actors.saga.calls import Calls, NotReady
from actors.saga.references import BadReference, mentions, reveal
from orchestrator.files.problems import Problem
from orchestrator.files.stack import CompiledStack, Declared
from orchestrator.stacks.changes import LATER, SENSITIVE, Change, changes, verbs_for, with_around
from orchestrator.stacks.known import Known, Settled
from orchestrator.stacks.looking import Look
from providers.contract import ABSENT, Driver, Ended
from store.records import Resource

Kind = Literal["create", "update", "replace", "delete"]
_JSON = msgspec.json.Decoder(dict[str, Any])


class Planned(msgspec.Struct):
    """What is to be done about one resource."""

    kind: Kind
    type: str
    name: str
    changes: list[Change] = []
    declared: Declared | None = None
    """As the file wants it; None: it is no longer in the file."""
    record: Resource | None = None
    """What is there, and will be gone or changed."""
    with_: dict[str, Any] = {}
    """The spec as a template of the saga's steps."""
    verbs: tuple[str, ...] = ()
    """That change it in place."""
    instead_of: str | None = None
    """The identity of the record of what is gone."""


class Sketch(msgspec.Struct):
    """A plan in the making: what is to be done, what stands in its way, and what the stack owns from now on."""

    actions: list[Planned] = []
    problems: list[Problem] = []
    owned: list[tuple[Declared, Resource]] = []


class Wanted(msgspec.Struct):
    """A declared resource, resolved as far as that is possible now."""

    declared: Declared
    driver: Driver
    spec: dict[str, Any]
    unknown: set[str]
    fields: dict[str, Any] = {}
    """What an image will show of it, once that was compared."""


Seeing = Callable[[Iterable[Resource]], Awaitable[dict[Key, Look]]]
"""Looks at the resources of records."""


class Planner:
    """Makes one plan."""

    def __init__(
        self, stack: CompiledStack, owned: list[Resource], find: Finder, calls: Calls, look: Seeing
    ) -> None:
        """Plan for a stack that owns these records; ``find`` gives others, ``look`` shows what is there."""
        self._stack = stack
        self._owned = owned
        self._find = find
        self._calls = calls
        self._look = look
        self._known = Known()
        self._matched: set[Key] = set()
        self._seen: dict[Key, Look] = {}
        self._sketch = Sketch()

    async def plan(self) -> Sketch:
        """Give the actions, or everything that is in their way."""
        self._seen = await self._look([*self._owned, *self._imported()])
        for declared in self._stack.resources:
            await self._one(declared)
        self._sketch.actions += self._gone()
        return self._sketch

    def _imported(self) -> Iterator[Resource]:
        """Give what nobody owns yet and the file may mean, so that all is looked at together."""
        names = {(each.type, each.name) for each in self._owned}
        for declared in self._stack.resources:
            if (declared.type, declared.name) not in names:
                yield from filter(_free, self._find.called(declared.type, declared.name))

    # -- one resource ------------------------------------------------------------------------------------------------

    async def _one(self, declared: Declared) -> None:
        before = len(self._sketch.problems)
        settled = to_come = Settled({}, {}, declared.name, fresh=True)
        try:
            settled = await self._decided(declared)
        except (BadReference, NotReady, Ended) as why:
            self._problem(declared, self._calls.secrets.redact(str(why)))
        # What is wrong with it is said once: whatever needs it is planned as if it were still to come.
        self._known.settle(declared.name, settled if len(self._sketch.problems) == before else to_come)

    async def _decided(self, declared: Declared) -> Settled:
        """Decide what is to be done about a resource; give what is known of it by that."""
        driver = self._calls.registry.drivers[declared.type]
        wanted = Wanted(declared, driver, *self._known.resolved(declared.spec))
        action = await self._action(wanted)
        if action is not None:
            action.with_ = self._known.written(declared.spec)
            self._sketch.actions.append(action)
        return self._settled(wanted, action)

    async def _action(self, wanted: Wanted) -> Planned | None:
        declared = wanted.declared
        place = self._place(wanted)
        record = self._match(declared, place)
        if record is None:
            await self._refuse_taken(wanted, place)
            return Planned("create", declared.type, declared.name, self._new(wanted), declared)
        if self._is_anothers(declared, record):
            what = f"{record.identity} is {record.name} in this stack, which is to be something else"
            self._problem(declared, what, f"first apply the file with {record.name} changed and without this")
            return None
        if record.stack != self._stack.name and (record.stack is not None or record.saga is not None):
            owner = f"the stack {record.stack}" if record.stack is not None else f"saga {record.saga}"
            hint = f"`sagactl resources import {record.type} {record.identity}` takes it over"
            self._problem(declared, f"{record.type} {record.identity} is kept by {owner}", hint)
            return None
        self._matched.add(key_of(record))
        self._sketch.owned.append((declared, record))
        return await self._compared(wanted, record, place)

    async def _compared(self, wanted: Wanted, record: Resource, place: str | None) -> Planned | None:
        declared = wanted.declared
        seen = await self._see(record)
        if seen.error is not None:
            self._problem(declared, f"{record.type} {record.identity}: {seen.error}")
            return None
        if seen.image is not None and not seen.image.exists:
            new = self._new(wanted)
            return Planned(
                "create", declared.type, declared.name, new, declared, record, instead_of=record.identity
            )
        live = ABSENT.fields if seen.image is None else seen.image.fields
        found = await self._differing(wanted, record, live)
        if place is not None and place != record.identity:
            await self._refuse_taken(wanted, place)
            found.insert(0, Change("path", record.identity, place))
            return self._replaced(declared, record, found)
        if not found:
            return None
        verbs = verbs_for(wanted.driver, [change.field for change in found])
        if verbs is None:
            return self._replaced(declared, record, found)
        verbs = with_around(wanted.driver, verbs, live)
        return Planned("update", declared.type, declared.name, found, declared, record, verbs=verbs)

    def _replaced(self, declared: Declared, record: Resource, found: list[Change]) -> Planned | None:
        if declared.protect:
            fields = ", ".join(change.field for change in found)
            hint = "leave these as they are, or take `protect` away first"
            self._problem(declared, f"it is protected, and changing {fields} would replace it", hint)
            return None
        return Planned("replace", declared.type, declared.name, found, declared, record)

    async def _see(self, record: Resource) -> Look:
        if key_of(record) not in self._seen:
            self._seen |= await self._look([record])
        return self._seen[key_of(record)]

    async def _differing(self, wanted: Wanted, record: Resource, live: dict[str, Any]) -> list[Change]:
        recorded = _JSON.decode(record.spec)
        stand_ins = {**known_of(record), **live}
        typed = self._typed(wanted, {field: stand_ins.get(field) for field in wanted.unknown})
        wanted.fields = await wanted.driver.sets("create", typed)
        found = changes(wanted.driver, wanted.fields, wanted.unknown, live, recorded)
        redact = self._calls.secrets.redact
        return [Change(each.field, redact(each.from_), redact(each.to)) for each in found]

    def _new(self, wanted: Wanted) -> list[Change]:
        """Give the fields of what is to be made, secrets as references."""
        shown = {**wanted.spec, **dict.fromkeys(sorted(wanted.unknown), LATER)}
        hidden = wanted.driver.sensitive
        return [
            Change(field, None, SENSITIVE if field in hidden else shown[field])
            for field in wanted.declared.spec
        ]

    # -- which record it is ------------------------------------------------------------------------------------------

    def _match(self, declared: Declared, place: str | None) -> Resource | None:
        named = [each for each in self._owned if (each.type, each.name) == (declared.type, declared.name)]
        if named:
            # Of several the newest: the others were to be deleted when they were replaced, and could not be.
            return max(named, key=lambda each: (each.created_at, each.updated_at))
        if place is not None:
            return self._find.at(declared.type, place)
        return next((each for each in self._find.called(declared.type, declared.name) if _free(each)), None)

    def _is_anothers(self, declared: Declared, record: Resource) -> bool:
        """Tell whether the record at a place goes by the name of another resource of the file."""
        if record.stack != self._stack.name or record.name == declared.name:
            return False
        return any((each.type, each.name) == (record.type, record.name) for each in self._stack.resources)

    def _place(self, wanted: Wanted) -> str | None:
        """Give the real path of what is a place, where it is known."""
        if "path" not in wanted.spec or mentions(wanted.spec["path"]):
            return None
        try:
            resource = wanted.driver.resource("create", self._typed(wanted, {}))
        except NotReady:  # something else that it must have is still to come
            return None
        return None if resource is None else resource.path

    async def _refuse_taken(self, wanted: Wanted, place: str | None) -> None:
        """Refuse to make what is there already."""
        if place is None:
            return
        declared = wanted.declared
        record = Resource(declared.type, place, place, None, b"{}", 0, b"{}", None, None, 0, 0)
        seen = (await self._look([record]))[key_of(record)]
        if seen.error is None and (seen.image is None or not seen.image.exists):
            return
        own = next((each.name for each in self._owned if each.identity == place), None)
        if own is not None:
            hint = f"first apply the file with {own} elsewhere, or without it"
            self._problem(declared, f"{place} is there already: it is {own} in this stack", hint)
            return
        if seen.error is not None:
            self._problem(declared, f"{place} cannot be made: {seen.error}")
            return
        hint = f"`sagactl resources import {declared.type} {place}` takes it over"
        self._problem(declared, f"{place} is there already, and not kept by this stack", hint)

    def _typed(self, wanted: Wanted, more: dict[str, Any]) -> Any:
        verb = wanted.driver.verbs["create"]
        given = {**wanted.spec, **{field: value for field, value in more.items() if value is not None}}
        typed, _, _ = self._calls.reveal(given, verb)
        return typed

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _gone(self) -> Iterator[Planned]:
        """Give what the stack owns and no longer wants: each before those that it needs."""
        left = [each for each in self._owned if key_of(each) not in self._matched]
        for record in in_order_of_deletion(left):
            if record.protect:
                what = f"{record.type} {record.name} is protected, and is not in the file any more"
                hint = "put it back, or take `protect` away with an apply first"
                self._sketch.problems.append(Problem(record.name, what, hint))
                continue
            if (error := self._seen[key_of(record)].error) is not None:
                hint = f"or `sagactl resources forget {record.type} {record.identity}`, if it is to stay as it is"
                what = f"{record.type} {record.identity} cannot be deleted: {error}"
                self._sketch.problems.append(Problem(record.name, what, hint))
                continue
            yield Planned("delete", record.type, record.name, [], None, record)

    def _settled(self, wanted: Wanted, action: Planned | None) -> Settled:
        """Say what is known of it now. Of what is changed in place an output that nobody has asked for stays as it is."""
        declared, sensitive = wanted.declared, wanted.driver.sensitive
        record = next((found for each, found in self._sketch.owned if each is declared), None)
        plain = {field: value for field, value in wanted.spec.items() if not _has_secret(value)}
        known = {field: reveal(value, str) for field, value in plain.items()}
        if len(plain) == len(wanted.spec):
            known = {**wanted.fields, **known}
        known = {field: value for field, value in known.items() if field not in {*sensitive, *wanted.unknown}}
        fresh = action is not None and action.kind in ("create", "replace")
        outputs = {} if record is None or fresh else _outputs(record)
        verb = action.verbs[-1] if action is not None and action.verbs else "create"
        puts_out = frozenset(wanted.driver.verbs[verb].outputs)
        step = None if action is None else declared.name
        return Settled(known, outputs, step, puts_out, fresh, frozenset(wanted.unknown))

    def _problem(self, declared: Declared, what: str, hint: str = "") -> None:
        path = ("resources", declared.index)
        problem = self._stack.places.problem(path, f"{declared.name}: {what}", hint)
        self._sketch.problems.append(problem)


class Finder(msgspec.Struct):
    """Finds records that the stack may not own."""

    at: Callable[[str, str], Resource | None]
    """By type and identity."""
    called: Callable[[str, str], list[Resource]]
    """By type and name."""


def in_order_of_deletion(records: list[Resource]) -> list[Resource]:
    """Give each before those that it needs, else the newest first. Needs that go in circles are broken somewhere."""
    oldest = sorted(records, key=lambda each: (each.created_at, each.identity))
    named = {each.name: each for each in oldest}
    done: dict[Key, Resource] = {}
    for record in oldest:
        trail, seen = [record], {record.name}
        while trail:
            missing = [named[name] for name in needs_of(trail[-1]) if name in named and name not in seen]
            if missing and key_of(missing[0]) not in done:
                seen.add(missing[0].name)
                trail.append(missing[0])
                continue
            if missing:
                seen.add(missing[0].name)
                continue
            top = trail.pop()
            done.setdefault(key_of(top), top)
    return list(reversed(done.values()))


def needs_of(record: Resource) -> list[str]:
    """Give the names of the resources that a record's resource needs."""
    found: list[str] = msgspec.json.decode(record.needs)
    return found


def _outputs(record: Resource) -> dict[str, Any]:
    known: dict[str, Any] = {} if record.id is None else {"id": record.id}
    return known | _JSON.decode(record.outputs)


def _free(record: Resource) -> bool:
    return record.stack is None and record.saga is None


def _has_secret(template: Any) -> bool:
    return mentions(template) and "${secret." in msgspec.json.encode(template).decode()
