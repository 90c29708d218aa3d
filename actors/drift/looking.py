"""The sync: looks at every resource on record and writes down what is there. Reads only, and writes a page at a time.

A type that can list is asked for its list, page by page; what is on record and not in it is asked for by itself, since lists
lag. Of the others each is asked for. Providers are asked side by side, each within its own limits. What was found gone is
only counted as absent once all of a provider is looked at: see ``absence``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import msgspec

from actors.drift import absence
from actors.drift.counting import Counting, Scope
from actors.drift.hiding import hidden
from actors.drift.report import Progress, Report, rest
from actors.resources import encoded, known_of, touch_of
from actors.saga.host import Host
from actors.saga.outcomes import clip, settled
from providers.asking import Refused, reading, there
from providers.contract import ABSENT, READS_ONLY, Call, Driver, Ended, Failed, Image
from providers.registry import Registry, UnknownOperation
from store import drift as kept
from store.drift import Found, Kept, Seen
from store.records import Note, Resource

PAGE = 50
"""Resources looked up, asked for or written at a time."""

TURN = 10
"""Resources of a list that are gone through in one turn of the loop: less than a millisecond."""

AT_ONCE = 8
"""Resources of one type that are asked for by themselves at the same time."""

READING = 60.0
"""Seconds that an answer may take."""

TRIES = 3
DELAY = 0.5
"""Seconds before the second try, doubled; where the provider says how long, as long as that, up to ``LONGEST``."""
LONGEST = 90.0

_DECODER = msgspec.json.Decoder(dict[str, Any])


class Unreadable(Exception):
    """A look that brought nothing; the message says why."""


class Looking:
    """One sync."""

    def __init__(
        self,
        host: Host,
        registry: Registry,
        scope: Scope,
        missing_after: int,
        report: Report,
        progress: Progress,
    ) -> None:
        """Look with these drivers; tell in the report."""
        self._host = host
        self._registry = registry
        self._scope = scope
        self._report = report
        self._progress = progress
        self._counting = Counting(host, scope, missing_after, report)
        self._round = self._counting.round

    async def run(self) -> None:
        """Look at all of it."""
        READS_ONLY.set(True)  # in this task, and those that it starts
        providers: dict[str, list[str]] = {}
        for type_ in self._host.queries.at_once(kept.kept_types):
            if self._scope.takes(type_):
                providers.setdefault(type_.partition(".")[0], []).append(type_)
                self._progress.of += self._host.queries.at_once(
                    lambda db, type_=type_: kept.count(db, type_, self._scope.name)  # type: ignore[misc]
                )
        async with anyio.create_task_group() as tasks:
            for provider, types in providers.items():
                tasks.start_soon(self._provider, provider, types)

    async def _provider(self, provider: str, types: list[str]) -> None:
        for type_ in types:
            driver = self._registry.drivers.get(type_)
            if driver is None:
                await self._all_unknown(type_, self._no_driver(type_))
            elif driver.lists:
                try:
                    await self._list(driver)
                except Unreadable as why:
                    await self._all_unknown(type_, str(why))
            else:
                await self._ask_each(driver, None)
        await self._counting.count(provider, types)

    def _no_driver(self, type_: str) -> str:
        try:
            self._registry.get(type_)
        except UnknownOperation as unknown:
            return str(unknown)
        return f"there is no type {type_} here"

    # -- by its list -----------------------------------------------------------------------------------------------

    async def _list(self, driver: Driver) -> None:
        """Take in a type's list, then ask for what is not in it. Raises Unreadable where there is none."""
        began = self._host.clock.now()
        shown: list[str] = []
        before = set(self._counting.remembered().get(driver.type, ()))

        async def whole() -> BaseException | None:
            shown.clear()
            rows: list[Seen] = []
            inventory, error = _inventory(driver)
            while error is None:
                listed, error = await _some(inventory)
                started = time.perf_counter()
                shown.extend(id_ for id_, _ in listed if id_ in before or len(shown) < absence.SIGHTINGS)
                rows += self._listed(driver, listed, began)
                await rest(started)
                if len(rows) >= PAGE or error is not None:
                    await self._write(rows)
                    rows = []
            return None if isinstance(error, StopAsyncIteration) else error

        await self._patiently(whole)
        self._counting.sightings[driver.type] = shown
        await self._ask_each(driver, self._round)

    def _listed(self, driver: Driver, listed: list[tuple[str, Image]], began: int) -> list[Seen]:
        """Give what is to be written of those that are on record."""
        rows: list[Seen] = []
        for id_, image in listed:
            record = self._host.resources.find((driver.type, id_))
            if record is not None and self._is_meant(record) and there(driver, image):
                rows += self._row(Found(record, None), driver, image, began)
        return rows

    def _is_meant(self, record: Resource) -> bool:
        return self._scope.name in (None, record.name, record.identity)

    # -- by itself -------------------------------------------------------------------------------------------------

    async def _ask_each(self, driver: Driver, not_in: int | None) -> None:
        """Ask for each resource of a type by itself; ``not_in``: only for those that the round has not come by."""
        async for page in self._records(driver.type, not_in):
            limit = asyncio.Semaphore(AT_ONCE)

            async def one(found: Found, limit: asyncio.Semaphore = limit) -> list[Seen]:
                async with limit:
                    return await self._ask(driver, found)

            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(one(found)) for found in page]
            await self._write([row for task in asked for row in task.result()])

    async def _records(self, type_: str, not_in: int | None) -> AsyncIterator[list[Found]]:
        after = ""
        while page := self._host.queries.at_once(
            lambda db, after=after: kept.resources(  # type: ignore[misc]
                db, type_, self._scope.name, after=after, not_in=not_in, limit=PAGE
            )
        ):
            yield page
            after = page[-1].record.identity

    async def _ask(self, driver: Driver, found: Found) -> list[Seen]:
        began = self._host.clock.now()
        if saga := self._host.locks.holder(touch_of(found.record)):
            self._progress.looked += 1
            self._report.is_passed(found.record.type, found.record.name, f"saga {saga} is at it")
            return []
        try:
            call = _call(driver, found.record)
            image = await self._patiently(lambda: settled(lambda: driver.read(call), READING))
        except Unreadable as why:
            return self._unknown(found, str(why))
        if image is None:
            return self._unknown(found, f"{driver.type} cannot read what is there")
        if not isinstance(image, Image):
            return self._unknown(found, f"its driver read {type(image).__name__}, which is no image")
        image = image if there(driver, image) else ABSENT
        if not image.exists and await settled(lambda: driver.witness(call), READING) is True:
            self._counting.witnessed.add(driver.type.partition(".")[0])
        return self._row(found, driver, image, began)

    async def _patiently(self, ask: Callable[[], Awaitable[Any | BaseException]]) -> Any:
        """Ask again where that may help; ``ask`` gives what went wrong with the driver. Raises Unreadable."""
        delay = DELAY
        for left in reversed(range(TRIES)):
            answer = await ask()
            if not isinstance(answer, BaseException):
                return answer
            failed = answer.outcome if isinstance(answer, Ended) else None
            if not (left and isinstance(failed, Failed) and failed.transient):
                raise Unreadable(clip(self._host.secrets.redact(_said(answer))))
            await anyio.sleep(min(max(delay, (failed.retry_after or 0) / 1000), LONGEST))
            delay *= 2
        raise AssertionError

    # -- writing down ----------------------------------------------------------------------------------------------

    def _row(self, found: Found, driver: Driver, image: Image, began: int) -> list[Seen]:
        """Give what is to be written of a resource: nothing of one that a saga is at."""
        record = found.record
        if self._host.locks.holder(touch_of(record)) is not None:
            return []  # the round has not come by it: it is named when it is asked for by itself
        try:
            live = self._live(record, image) if image.exists else None
        except (TypeError, ValueError) as error:
            return self._unknown(found, f"what its driver shows cannot be written down: {error}")
        before = found.seen or self._seen(record)
        absent = 0 if image.exists or before is None else before.absent
        state: kept.State = "there" if image.exists else "absent"
        return [Seen(record.identity, record.type, self._round, state, live, began, None, absent)]

    def _live(self, record: Resource, image: Image) -> bytes:
        """Give what may be kept of it. Raises TypeError or ValueError where that is no JSON."""
        fields = self._host.resources.presentable(record.type, self._host.secrets.redact(image.fields))
        return encoded(hidden(_DECODER.decode(record.spec), fields))

    def _unknown(self, found: Found, why: str) -> list[Seen]:
        """Keep what was seen last, with why there is nothing newer."""
        record, seen = found.record, found.seen or self._seen(found.record)
        self._report.is_unknown(record.type, record.name, why)
        live, at, absent = (None, None, 0) if seen is None else (seen.live, seen.seen_at, seen.absent)
        return [Seen(record.identity, record.type, self._round, "unknown", live, at, why, absent)]

    def _seen(self, record: Resource) -> Seen | None:
        return self._host.queries.at_once(lambda db: kept.seen(db, record.type, record.identity))

    async def _all_unknown(self, type_: str, why: str) -> None:
        async for page in self._records(type_, self._round):
            await self._write([row for found in page for row in self._unknown(found, why)])

    async def _write(self, rows: Sequence[Seen]) -> None:
        self._progress.looked += len(rows)
        if rows:
            started = time.perf_counter()
            await self._host.journal.commit_nowait(Note([], drift=Kept(seen=rows)))
            await rest(started)


async def _some(inventory: AsyncIterator[tuple[str, Image]]) -> tuple[list[tuple[str, Image]], Any]:
    """Give so much of an inventory as is gone through in one turn; and what ended it, if only that it is whole."""
    some: list[tuple[str, Image]] = []
    while len(some) < TURN:
        each = await settled(lambda: anext(inventory))
        if isinstance(each, BaseException):
            return some, each
        id_, image = each if isinstance(each, tuple) else (None, None)
        if not isinstance(id_, str) or not isinstance(image, Image):
            return some, TypeError(
                f"its driver lists something of type {type(each).__name__}, which is no id with an image"
            )
        some.append((id_, image))
    return some, None


def _inventory(driver: Driver) -> tuple[Any, BaseException | None]:
    try:
        return driver.inventory(), None
    except Exception as error:  # noqa: BLE001  what a driver raises is data
        return None, error


def _call(driver: Driver, record: Resource) -> Call:
    """Make the call by which a resource on record is read. Raises Unreadable."""
    try:
        call = reading(driver, known_of(record), key="drift")
    except Refused as refused:
        raise Unreadable(str(refused)) from refused
    except Exception as error:
        raise Unreadable(f"its driver raised {type(error).__name__}: {error}") from error
    if call.resource is None:
        raise Unreadable(f"what is on record does not say how to ask {driver.type} for it")
    return call


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
