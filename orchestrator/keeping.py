"""Keeping: the registry of resources as callers see it, and what they may say of it beside all sagas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from actors.beside import event_row
from actors.resources import Forgotten, Imported, ResourceEvent, digest, encoded, label_of, touch_of
from actors.saga.host import Host
from actors.saga.moved import id_of
from actors.saga.outcomes import settled
from actors.saga.register import identity
from actors.saga.state import Touch
from config.problems import suggest
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.auditing import Auditing
from orchestrator.problems import Conflict, Invalid, Item, NotFound
from orchestrator.refusals import refuse_full, refuse_locked
from orchestrator.requests import Forget, Import
from providers.asking import Refused, output_names, reading, spec_fields, there
from providers.contract import Call, Driver, Image, Resource
from providers.registry import Registry
from store.records import Resource as Record
from store.records import ResourceChange

if TYPE_CHECKING:
    from store.drift import Seen

READING = 60.0
"""Seconds that reading a resource may take."""


PAGE = 1_000
"""Events that a stream reads at once."""


class _Seen(msgspec.Struct):
    """What a stream says of an event beside its document, and tells by whether it is its own."""

    seq: int
    type: str
    saga: str | None
    step: str | None
    resource: str | None


_SEEN = msgspec.json.Decoder(_Seen)
_PAGE = msgspec.json.Decoder(list[msgspec.Raw])


class Touching:
    """Which events of a stream have to do with a resource: those that name it, and what comes of the steps that do."""

    def __init__(self, labels: frozenset[str]) -> None:
        """Look for what goes by any of these labels."""
        self._labels = labels
        self._steps: set[tuple[str | None, str]] = set()

    def look(self, document: bytes, *, found: bool = False) -> _Seen:
        """Take in the next event. ``found``: it was looked for, and is known to have to do with it."""
        seen = _SEEN.decode(document)
        if seen.step is not None and (found or seen.resource in self._labels):
            self._steps.add((seen.saga, seen.step))
        return seen

    def has(self, seen: _Seen) -> bool:
        """Tell whether an event that was looked at has to do with it."""
        return seen.resource in self._labels or (seen.saga, seen.step) in self._steps


class Keeping:
    """What callers can see of the registry, and change by their word."""

    def __init__(self, host: Host, registry: Registry, auditing: Auditing) -> None:
        """Look after the registry with these drivers."""
        self._host = host
        self._registry = registry
        self._auditing = auditing

    # -- looking -----------------------------------------------------------------------------------------------------

    async def resources(
        self,
        *,
        type: str | None = None,
        name: str | None = None,
        limit: int = 100,
        cursor: tuple[str, str, str] | None = None,
    ) -> bytes:
        """List records by type and name, a page at a time. ``type`` may be a family."""
        rows = await self._host.queries.resources(
            type=type, name=name, after=cursor or ("", "", ""), limit=limit + 1
        )
        page = rows[:limit]
        last = (page[-1].type, page[-1].name, page[-1].identity) if len(rows) > limit else None
        seen = self._seen([(row.identity, row.type) for row in page])
        shown = [documents.resource(row, seen.get((row.identity, row.type))) for row in page]
        return documents.encode(answers.Resources(resources=shown, next=documents.cursor(last)))

    async def resource(self, type_: str, name: str) -> bytes:
        """Give a record."""
        row = self.find(type_, name)
        seen = self._seen([(row.identity, row.type)])
        return documents.encode(documents.resource(row, seen.get((row.identity, row.type))))

    def _seen(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Seen]:
        """Give what was last seen of these resources, as far as anybody has looked."""
        from store import drift  # most nodes are asked this seldom

        found = self._host.queries.at_once(lambda db: [drift.seen(db, type_, key) for key, type_ in keys])
        return {(each.identity, each.type): each for each in found if each is not None}

    async def resource_events(self, type_: str, name: str, after: int, limit: int) -> bytes:
        """Give a page of what happened to a resource: of all sagas that had to do with it, and by somebody's word.

        Also of one that is kept no longer. Raises NotFound where nothing ever happened to it.
        """
        labels = self._labels(type_, name)
        await self._refuse_unheard_of(type_, name, labels)
        return b'{"events":%b}' % await self._auditing.touching(labels, after, limit)

    async def resource_stream(
        self, type_: str, name: str, after: int
    ) -> AsyncIterator[tuple[int, str, bytes]]:
        """Give the same behind number ``after`` as (number, type, document): those there are, then live, none twice.

        Raises SubscriberTooSlow when the reader is too slow.
        """
        labels = self._labels(type_, name)
        await self._refuse_unheard_of(type_, name, labels)
        return self._stream(labels, after)

    async def _stream(self, labels: Sequence[str], after: int) -> AsyncIterator[tuple[int, str, bytes]]:
        subscription = self._host.journal.subscribe()
        touching, last = Touching(frozenset(labels)), 0
        try:
            # From the first one: what a step goes on with may have begun before `after`.
            while page := _PAGE.decode(await self._auditing.touching(labels, last, PAGE)):
                for each in page:
                    seen = touching.look(bytes(each), found=True)
                    last = seen.seq
                    if last > after:
                        yield last, seen.type, bytes(each)
            async for published in subscription:
                seen = touching.look(published.document)
                if published.seq > max(last, after) and touching.has(seen):
                    yield published.seq, seen.type, published.document
        finally:
            subscription.close()

    def _labels(self, type_: str, name: str) -> list[str]:
        """Give all that events and executions may call a resource."""
        known = self._host.resources.called(type_, name)
        names = {name, *(text for each in known for text in (each.name, each.identity))}
        labels = {form.format(type_, each) for each in names for form in ("{}/{}", "{} {}")}
        return sorted(labels | {each for each in names if each.startswith("/")})

    async def _refuse_unheard_of(self, type_: str, name: str, labels: Sequence[str]) -> None:
        known = self._host.resources.called(type_, name)
        if not known and await self._auditing.touching(labels, 0, 1) == b"[]":
            raise self._unknown(type_, name)

    def find(self, type_: str, name: str) -> Record:
        """Give a record. Raises NotFound, or Conflict where more than one goes by the name."""
        found = self._host.resources.called(type_, name)
        exact = [each for each in found if each.identity == name]
        if len(found) > 1 and not exact:
            ids = ", ".join(each.identity for each in found)
            raise Conflict(
                f"there are {len(found)} of {type_} called `{name}`: give an id: {ids}", code="ambiguous"
            )
        if not found:
            raise self._unknown(type_, name)
        return (exact or found)[0]

    def _unknown(self, type_: str, name: str) -> NotFound:
        hint = "`sagactl resources ls` lists what is kept, `sagactl resources import` has a resource kept"
        return NotFound(f"{type_} `{name}` is not in the registry: {hint}")

    # -- changing ----------------------------------------------------------------------------------------------------

    async def import_resource(self, caller: Caller, type_: str, name: str, given: Import) -> bytes:
        """Have a resource kept from now on, as it is or as the given spec says, whosever it was before.

        Its live state is read where its driver can. Raises Invalid, NotFound or Conflict; then nothing has changed.
        """
        driver = self._driver(type_)
        found = self._host.resources.called(type_, given.id or name)
        if len(found) > 1:
            raise Conflict(f"there are {len(found)} of {type_} called `{name}`: give an id", code="ambiguous")
        earlier = found[0] if found else None
        call = _call(driver, name, given, earlier)
        resource = call.resource or Resource(type=type_, name=name, id=given.id)
        touch = Touch(type=type_, name=resource.name, id=resource.id, path=resource.path)
        refuse_locked(self._host, touch)
        spec, outputs = self._as_it_is(driver, given, await self._read(driver, call, resource, given))
        key = identity(resource, outputs | ({} if given.id is None else {"id": given.id}))
        earlier = self._host.resources.find((type_, key))
        now = self._host.clock.now()
        record = Record(
            type=type_,
            identity=key,
            name=name if earlier is None or name != earlier.identity else earlier.name,
            id=None if resource.path else given.id or id_of(outputs) or resource.id,
            spec=encoded(spec),
            spec_version=1 if earlier is None else earlier.spec_version + 1,
            outputs=encoded(outputs),
            saga=None,
            execution=None,
            created_at=now if earlier is None else earlier.created_at,
            updated_at=now,
        )
        said = Imported(
            identity=key,
            id=record.id,
            spec=digest(record.spec),
            spec_version=record.spec_version,
            reason=given.reason,
        )
        await self._write(caller, record, said, ResourceChange(type_, key, record))
        detail = f"{type_} `{record.name}` is kept from now on, at version {record.spec_version} of its spec"
        return _answer(detail, record)

    async def forget_resource(self, caller: Caller, type_: str, name: str, given: Forget) -> bytes:
        """Have a resource kept no longer; the resource itself stays as it is. Raises NotFound or Conflict."""
        record = self.find(type_, name)
        said = Forgotten(identity=record.identity, spec_version=record.spec_version, reason=given.reason)
        await self._write(caller, record, said, ResourceChange(type_, record.identity))
        return _answer(f"{type_} `{record.name}` is kept no longer; it was not touched", record)

    async def _write(
        self, caller: Caller, record: Record, said: ResourceEvent, change: ResourceChange
    ) -> None:
        """Write a record with its event, if nobody is at the resource: without a pause between looking and writing."""
        refuse_locked(self._host, touch_of(record))
        refuse_full(self._host)
        event = event_row(said, self._host.clock.now(), actor=caller.name, resource=label_of(record))
        await self._host.resources.write(self._host.journal, [event], [change])

    # -- reading what is there ---------------------------------------------------------------------------------------

    def _driver(self, type_: str) -> Driver:
        driver = self._registry.drivers.get(type_)
        if driver is None:
            raise NotFound(f"there is no type `{type_}`: {suggest(type_, self._registry.drivers)}")
        return driver

    async def _read(self, driver: Driver, call: Call, resource: Resource, given: Import) -> Image | None:
        """Look at a resource. Raises Conflict where it is not there, is something else, or cannot be read."""
        if call.resource is None:
            live = None
        else:
            live = await settled(lambda: driver.read(call), READING)
        if isinstance(live, BaseException):
            why = self._host.secrets.redact(f"it cannot be read: {live}")
            raise Conflict(f"{resource.type} `{resource.name}` was not imported: {why}", code="unreadable")
        if live is None and given.spec is None:
            what = f"{driver.type} cannot read what is there, so say what is to be kept of it"
            raise Invalid("the resource cannot be imported", [Item("spec", "is missing", what)])
        if live is not None and not live.exists:
            raise Conflict(f"there is no {resource.type} `{resource.name}`", code="absent")
        if live is not None and not there(driver, live):
            what = live.fields["kind"]
            raise Conflict(f"`{resource.name}` is no {resource.type}, but a {what}", code="other_kind")
        return live

    def _as_it_is(
        self, driver: Driver, given: Import, live: Image | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give spec and outputs of what is imported."""
        there = {} if live is None else live.fields
        fields = spec_fields(driver)
        spec = given.spec
        if spec is None:
            spec = {name: there[name] for name in sorted(fields) if there.get(name) is not None}
        problems = [
            Item(f"spec.{name}", f"is nothing that {driver.type} keeps", suggest(name, sorted(fields)))
            for name in spec
            if name not in fields
        ]
        if problems:
            raise Invalid("the spec is not valid", problems)
        outputs = {name: there[name] for name in output_names(driver) if name in there}
        return self._kept(driver, spec), self._kept(driver, outputs)

    def _kept(self, driver: Driver, values: dict[str, Any]) -> dict[str, Any]:
        redacted: dict[str, Any] = self._host.secrets.redact(values)
        return self._host.resources.presentable(driver.type, redacted)


def _call(driver: Driver, name: str, given: Import, earlier: Record | None) -> Call:
    """Make a call to read by. Raises Invalid where the driver may not look there."""
    place = name if earlier is None or earlier.id is not None else earlier.identity
    known = {**(given.spec or {}), "path": place, "name": name}
    known["id"] = given.id or (earlier.id if earlier is not None else None) or name
    try:
        return reading(driver, known, key="import")
    except Refused as refused:
        items = [Item("name", each) for each in refused.problems]
        raise Invalid("the resource cannot be imported", items) from refused


def _answer(detail: str, record: Record) -> bytes:
    shown = documents.resource(record)
    return documents.encode(answers.ResourceAnswer(did="accepted", detail=detail, resource=shown))
