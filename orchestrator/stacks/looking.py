"""Looking at what is there, for many records at once: by pages where the driver lists, else one after the other's id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from typing import Any

import anyio
import msgspec

from actors.resources import Key, key_of, known_of
from actors.saga.outcomes import settled
from providers.asking import Refused, reading, there
from providers.contract import Driver, Ended, Failed, Image
from providers.registry import Registry
from store.records import Resource

READING = 300.0
"""Seconds that reading one resource may take."""
LISTING = 600.0
"""Seconds that listing all of a type may take: by pages, within the provider's rate."""
FEW = 3
"""So many of one type are asked after one by one: that takes no more requests than a listing, and is never stale."""
AT_ONCE = 8


class Look(msgspec.Struct, frozen=True):
    """What was seen. None: its driver cannot look. ``error``: it could not be seen, and why."""

    image: Image | None
    error: str | None = None


async def look(registry: Registry, records: Iterable[Resource]) -> dict[Key, Look]:
    """Look at the resources of these records. What cannot be seen of one does not hide the others."""
    seen: dict[Key, Look] = {}
    slots = anyio.Semaphore(AT_ONCE)

    async def one(driver: Driver, record: Resource) -> None:
        async with slots:
            seen[key_of(record)] = await read(driver, record)

    by_type = groupby(sorted(records, key=lambda each: each.type), key=lambda each: each.type)
    async with anyio.create_task_group() as tasks:
        for type_, group in by_type:
            found, driver = list(group), registry.drivers.get(type_)
            if driver is None:
                seen |= {key_of(each): Look(None, f"the type {type_} is not available") for each in found}
                continue
            rest = await _listed(driver, found, seen) if driver.lists and len(found) > FEW else found
            for record in rest:
                tasks.start_soon(one, driver, record)
    return seen


async def _listed(driver: Driver, records: list[Resource], seen: dict[Key, Look]) -> list[Resource]:
    """Look for the records in the type's listing. Give those that it does not show: it may lag, so each is asked after."""

    async def listing() -> dict[str, Image]:
        return {id_: image async for id_, image in driver.inventory()}

    images = await patiently(listing, LISTING)
    if isinstance(images, BaseException):
        seen.update({key_of(each): Look(None, f"they cannot be listed: {images}") for each in records})
        return []
    seen.update({key_of(each): Look(images[each.identity]) for each in records if each.identity in images})
    return [each for each in records if each.identity not in images]


async def patiently(call: Callable[[], Awaitable[Any]], seconds: float) -> Any | BaseException:
    """Await a call that changes nothing, and make it again after what its provider's rate has it wait; as ``settled``."""
    deadline = anyio.current_time() + seconds
    while True:
        found = await settled(call, max(deadline - anyio.current_time(), 0.0))
        wait = _held_back(found)
        if wait is None or anyio.current_time() + wait > deadline:
            return found
        await anyio.sleep(wait)


def _held_back(found: Any) -> float | None:
    """Give the seconds to wait, where only the provider's rate was in the way."""
    failed = found.outcome if isinstance(found, Ended) else None
    if not isinstance(failed, Failed) or not (failed.rate_limited or failed.unasked):
        return None
    return (failed.retry_after or 1_000) / 1_000


async def read(driver: Driver, record: Resource) -> Look:
    """Look at one resource."""
    try:
        call = reading(driver, known_of(record), key="look")
    except Refused as refused:
        return Look(None, str(refused))
    if call.resource is None:
        return Look(None)
    image = await patiently(lambda: driver.read(call), READING)
    if isinstance(image, BaseException):
        return Look(None, f"it cannot be read: {image}")
    if image is not None and image.exists and not there(driver, image):
        return Look(None, f"what is there is a {image.fields.get('kind')}")
    return Look(image)
