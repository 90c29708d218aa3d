"""Who hears of events as they become durable."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from store import documents
from store.errors import SubscriberTooSlow


class Published(NamedTuple):
    """An event that has just become durable."""

    seq: int
    saga: str | None
    document: bytes
    """As the API shows it, JSON."""


class Subscription:
    """Durable events in order, from the moment of subscribing: an asynchronous iterator, and a context manager."""

    def __init__(self, saga: str | None, limit: int, leave: Callable[[Subscription], None]) -> None:
        self.saga = saga
        self._limit = limit
        self._leave = leave
        self._events: deque[Published] = deque()
        self._ready = asyncio.Event()
        self._end: BaseException | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Published:
        """Give the next event. Raises SubscriberTooSlow where the reader was dropped, after what it still got."""
        while not self._events:
            if self._end:
                raise self._end
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more."""
        self._finish(StopAsyncIteration())

    def put(self, event: Published) -> None:
        """Keep an event for the reader, or drop the reader."""
        if len(self._events) >= self._limit:
            self._finish(
                SubscriberTooSlow(self.saga or "all events", f"more than {self._limit} events behind")
            )
            return
        self._events.append(event)
        self._ready.set()

    def _finish(self, end: BaseException) -> None:
        self._end = self._end or end
        self._leave(self)
        self._ready.set()


class Subscriptions:
    """All subscriptions, by what they are about."""

    def __init__(self) -> None:
        self._by_saga: dict[str | None, list[Subscription]] = {}

    def add(self, saga: str | None, limit: int) -> Subscription:
        """Open one."""
        subscription = Subscription(saga, limit, self._leave)
        self._by_saga.setdefault(saga, []).append(subscription)
        return subscription

    def publish(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Hand out the rows of events that have just become durable."""
        if not self._by_saga:
            return
        for seq, _, saga, body, hash_ in rows:
            readers = [*self._by_saga.get(None, ()), *(self._by_saga.get(saga, ()) if saga else ())]
            if readers:
                published = Published(seq, saga, documents.document(seq, hash_, body))
                for reader in readers:
                    reader.put(published)

    def close(self) -> None:
        """End them all."""
        for readers in list(self._by_saga.values()):
            for reader in list(readers):
                reader.close()

    def _leave(self, subscription: Subscription) -> None:
        readers = self._by_saga.get(subscription.saga, [])
        if subscription in readers:
            readers.remove(subscription)
        if not readers:
            self._by_saga.pop(subscription.saga, None)
