"""Reading: on connections of its own, that never wait for the writer and cannot write.

A WAL reader sees the last committed state at the moment of its first row, and keeps nobody waiting. What may take a
while (lists, timelines, counts) goes to a thread by aiosqlite; what is one look-up by key does not, see `Queries`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import aiosqlite

from store import database, documents
from store.records import Event, Execution, Resource, Saga
from store.sql import queries

T = TypeVar("T")

KEPT = 253_402_300_799_999
"""The ``wake`` of a saga that has ended and keeps its locks for its batch: the last millisecond of the year 9999."""

_FILTERS = {
    "status": "status = :status",
    "kind": "kind = :kind",
    "hold": "hold = :hold",
    "since": queries()["changed_since"],
    "before": "number < :before",
}
_NO_BATCH = "(batch IS NULL OR batch <> id)"
_LABEL = "EXISTS (SELECT 1 FROM json_each(cast(labels AS TEXT)) AS l WHERE l.key = :key{0} AND l.value = :value{0})"


class Due(NamedTuple):
    """A saga that wants to be looked at."""

    number: int
    id: str
    wake: int


class Live(NamedTuple):
    """The checkpoint of a saga that has not ended, or keeps its locks."""

    number: int
    id: str
    batch: str | None
    status: str
    state: bytes
    state_sum: bytes
    machine: int


class Count(NamedTuple):
    """How many sagas have this status and hold."""

    status: str
    hold: str | None
    sagas: int


class Ambiguous(LookupError):
    """More than one saga's id begins so."""


class Slow(Protocol):
    """A connection for questions that may take a while: aiosqlite's, as far as it is used here."""

    async def execute(self, sql: str, /) -> Any:
        """Run a statement."""
        ...

    async def execute_fetchall(self, sql: str, values: Any, /) -> Iterable[Any]:
        """Give a question's rows."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Readers:
    """Opens what questions are asked on: on the loop, and on threads what may take a while.

    A simulation has all of it done within its loop, on one connection.
    """

    async def slow(self, address: str) -> Slow:
        """Open a connection that has a thread of its own."""
        return await aiosqlite.connect(address, uri=True, isolation_level=None)

    def quick(self, address: str) -> sqlite3.Connection:
        """Open a connection for the loop."""
        return sqlite3.connect(address, uri=True, isolation_level=None)

    async def apart(self, address: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do a piece of work on a thread and a connection of its own.

        When the caller is cancelled, what SQLite is at for it is broken off.
        """
        opened: list[sqlite3.Connection] = []

        def run() -> T:
            made = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            with closing(made) as db:
                opened.append(db)
                db.execute("PRAGMA query_only = ON")
                return work(db)

        try:
            return await asyncio.to_thread(run)
        except asyncio.CancelledError:
            for db in opened:
                with suppress(sqlite3.ProgrammingError):  # it has been closed
                    db.interrupt()
            raise


class Queries:
    """Questions to the database. Opened after the journal, which makes the tables.

    What is not `async` is answered on the loop: one look-up in an index of one row takes 8 to 12 µs, the hop to
    aiosqlite's thread and back 30 when idle and 100 and more under load. Its worst is one page from the disk at each of
    three or four levels of a tree. It reads what is committed at that moment; nothing that writes can hold it up (WAL).
    """

    def __init__(self, slow: Slow, quick: sqlite3.Connection, address: str, readers: Readers) -> None:
        self._slow = slow
        self._quick = quick
        self._address = address
        self._readers = readers
        self._sql = queries()

    @classmethod
    async def open(cls, path: Path, *, options: str = "", readers: Readers | None = None) -> Self:
        """Open the connections, by `readers`."""
        readers = readers or Readers()
        address = database.address(path, "ro", options)
        slow, quick = await readers.slow(address), readers.quick(address)
        for pragma in ("PRAGMA query_only = ON", "PRAGMA cache_size = -1000"):
            await slow.execute(pragma)
            quick.execute(pragma)
        return cls(slow, quick, address, readers)

    async def close(self) -> None:
        """Close the connections."""
        await self._slow.close()
        self._quick.close()

    def at_once(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Ask something here on the loop: a few look-ups in an index, no more."""
        return ask(self._quick)

    async def apart(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do what may take long on a thread and a read-only connection of its own, so that nothing waits for it.

        When the caller is cancelled, what SQLite is at for it is broken off.
        """
        return await self._readers.apart(self._address, work)

    # -- one saga ----------------------------------------------------------------------------------------------

    def saga(self, id: str) -> Saga | None:
        """Give a saga's row by its id."""
        row = self._quick.execute(self._sql["saga_columns"] + " WHERE id = ?", (id,)).fetchone()
        return Saga(*row) if row else None

    def resolve(self, id: str) -> str | None:
        """Give the id that an operator means: an id, the beginning of one, or `last`. Raises Ambiguous."""
        return self._resolve(id, "last_id", "ids_by_prefix")

    def resolve_batch(self, id: str) -> str | None:
        """Give the id of the batch that an operator means. Raises Ambiguous."""
        return self._resolve(id, "last_batch", "batches_by_prefix")

    def _resolve(self, id: str, last: str, by_prefix: str) -> str | None:
        if id == "last":
            row = self._quick.execute(self._sql[last]).fetchone()
            return str(row[0]) if row else None
        found = self._quick.execute(self._sql[by_prefix], {"prefix": id}).fetchall()
        if len(found) > 1 and found[0][0] != id:
            raise Ambiguous(f"`{id}` is the beginning of more than one id: {found[0][0]}, {found[1][0]}, …")
        return str(found[0][0]) if found else None

    def plan(self, digest: bytes) -> bytes | None:
        """Give a plan's body by its digest."""
        row = self._quick.execute(self._sql["plan"], (digest,)).fetchone()
        return row[0] if row else None

    def idempotency_key(self, key: str) -> tuple[str, bytes] | None:
        """Give the saga that was submitted with this key, and the digest of what was submitted."""
        row = self._quick.execute(self._sql["idempotency_key"], (key,)).fetchone()
        return (row[0], row[1]) if row else None

    async def executions(self, saga: str) -> list[Execution]:
        """Give a saga's executions in the order in which they were started."""
        return [Execution(*row) for row in await self._all("executions", (saga,))]

    async def compensated_by(self, saga: str) -> dict[str, list[str]]:
        """Give, for each of a saga's executions that was made up for, by which executions."""
        found: dict[str, list[str]] = {}
        for original, compensating in await self._all("compensated_by", (saga,)):
            found.setdefault(original, []).append(compensating)
        return found

    async def history(self, saga: str, after: int = 0, limit: int = 10_000) -> list[Event]:
        """Give a saga's events behind number `after`, in order: what a checkpoint is folded from."""
        return [documents.event(*row) for row in await self._all("history", (saga, after, limit))]

    def live_rollback(self, saga: str) -> str | None:
        """Give the saga in flight that takes this one back, or belongs to the same chain of rollbacks."""
        row = self._quick.execute(self._sql["live_rollback"], {"saga": saga}).fetchone()
        return row[0] if row else None

    def rollbacks(self, saga: str) -> list[str]:
        """Give the sagas that take or took this one back, in order of submission."""
        return [row[0] for row in self._quick.execute(self._sql["rollbacks"], (saga,))]

    # -- resources ---------------------------------------------------------------------------------------------

    def resource(self, type: str, identity: str) -> Resource | None:
        """Give a resource's record."""
        row = self._quick.execute(
            self._sql["resource_columns"] + " WHERE identity = ? AND type = ?", (identity, type)
        ).fetchone()
        return Resource(*row) if row else None

    def resources_called(self, type: str, name: str) -> list[Resource]:
        """Give the records of a type that go by this name: a label, of which there may be several, or an identity."""
        return [Resource(*row) for row in self._quick.execute(self._sql["resources_called"], (type, name))]

    def resources_of_stack(self, stack: str) -> list[Resource]:
        """Give the records of what a stack owns."""
        return [Resource(*row) for row in self._quick.execute(self._sql["resources_of_stack"], (stack,))]

    def resources_below(self, path: str) -> list[Resource]:
        """Give the records of all that lies below a path."""
        below = path.rstrip("/")
        return [
            Resource(*row)
            for row in self._quick.execute(self._sql["resources_below"], (f"{below}/", f"{below}0"))
        ]

    async def resources(
        self,
        *,
        type: str | None = None,
        name: str | None = None,
        after: tuple[str, str, str] = ("", "", ""),
        limit: int = 100,
    ) -> list[Resource]:
        """Give a page of records in the order of (type, name, identity), behind this one."""
        values = {"type": type, "name": name, "limit": limit}
        values |= dict(zip(("after_type", "after_name", "after_identity"), after, strict=True))
        return [Resource(*row) for row in await self._all("resources", values)]

    # -- pages -------------------------------------------------------------------------------------------------

    async def events(
        self, saga: str | None = None, *, after: int = 0, limit: int = 1_000
    ) -> tuple[bytes, int]:
        """Give a page of events, of one saga or of all, as a JSON array; and the last one's number, or `after`."""
        name = "events_of_saga" if saga else "events_of_all"
        ((inside, last),) = await self._all(name, {"saga": saga, "after": after, "limit": limit})
        return b"[%b]" % (inside or b""), last or after

    async def sagas(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        labels: Mapping[str, str] | None = None,
        hold: str | None = None,
        since: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Saga]:
        """Give the sagas that all filters let through, the newest first.

        `since` looks at when they last changed; `before` is a page's cursor: the number of the last saga of the page
        before.
        """
        filters = {"status": status, "kind": kind, "hold": hold, "since": since, "before": before}
        values: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        where = [_NO_BATCH, *(_FILTERS[name] for name in values)]
        for index, (key, value) in enumerate((labels or {}).items()):
            where.append(_LABEL.format(index))
            values |= {f"key{index}": key, f"value{index}": value}
        sql = f"{self._sql['saga_columns']} WHERE {' AND '.join(where)} ORDER BY number DESC LIMIT :limit"
        return [Saga(*row) for row in await self._fetch(sql, values | {"limit": limit})]

    async def batches(self, *, before: int | None = None, limit: int = 100) -> list[Saga]:
        """Give batches, the newest first; ``before`` as in `sagas`."""
        values = {"before": before, "limit": limit}
        sql = f"{self._sql['saga_columns']} WHERE batch IS NOT NULL AND batch = id"
        sql += " AND number < coalesce(:before, 9e18) ORDER BY number DESC LIMIT :limit"
        return [Saga(*row) for row in await self._fetch(sql, values)]

    async def members(self, batch: str) -> list[Saga]:
        """Give the sagas of a batch in the order of submission, and those that take them back."""
        sql = f"{self._sql['saga_columns']} WHERE batch = :batch AND id <> :batch ORDER BY number"
        return [Saga(*row) for row in await self._fetch(sql, {"batch": batch})]

    async def members_by_status(self, batch: str) -> list[tuple[str, int, int]]:
        """Give how many sagas of a batch have each status, and how many of those were taken back since."""
        return await self._all("members_by_status", {"batch": batch})

    async def members_held(self, batch: str) -> list[tuple[str, str]]:
        """Give those of a batch's sagas that need somebody, and of those that take one back; with the one it is about."""
        return await self._all("members_held", {"batch": batch})

    async def due(self, now: int, *, after: int = 0, limit: int = 1_000) -> list[Due]:
        """Give a page of the sagas that want to be looked at by now, behind number `after`."""
        found = await self._all("due", {"now": now, "after": after, "limit": limit})
        return [Due(*row) for row in found]

    async def live(self, after: int = 0, limit: int = 1_000) -> list[Live]:
        """Give a page of the sagas that have not ended or keep their locks, behind number `after`, in order."""
        found = await self._all("live", {"kept": KEPT, "after": after, "limit": limit})
        return [Live(*row) for row in found]

    async def next_wake(self, now: int) -> int | None:
        """Give the time when the next saga wants to be looked at; those that already do do not count."""
        ((wake,),) = await self._all("next_wake", {"now": now})
        return wake  # type: ignore[no-any-return]

    async def overlooked(self, then: int, *, limit: int = 1_000) -> list[str]:
        """Give the sagas that have not changed since `then` and should have: due by then, or with nothing to wait for.

        Those that are in memory are among them.
        """
        return [saga for (saga,) in await self._all("overlooked", {"then": then, "limit": limit})]

    async def counts(self) -> list[Count]:
        """Count the sagas by status and hold."""
        return [Count(*row) for row in await self._all("counts", ())]

    async def _all(self, name: str, values: Any) -> list[Any]:
        return await self._fetch(self._sql[name], values)

    async def _fetch(self, sql: str, values: Any) -> list[Any]:
        return list(await self._slow.execute_fetchall(sql, values))
