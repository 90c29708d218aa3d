"""The sealed store of sensitive outputs: their values lie sealed in the table `sealed`, and everywhere else stands their
reference, `${secret.EXECUTION.OUTPUT}`.

A row goes in with the commit of the outcome that put the value out, so the two are never apart. What is on the disk is
opened once, when something is first looked for or kept out of the record; from then on the values are in memory, as
those of the secrets folder are. A node that has none pays one look into an empty table.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from store.database import address
from store.errors import SealMissing, SecretUnusable
from store.records import Sealed
from store.sealed import is_name, name_of
from store.sealing import Sealer

SHORTEST_WITHIN = 8
"""Characters of the shortest string within an object that is kept out of the record wherever it comes back."""

_ALL = "SELECT execution, name, box FROM sealed ORDER BY execution, name"

# What nobody can need any more: its saga's record is gone, no resource's record has its reference, and no execution on
# record, nor any saga that is still going on, was asked to do something with it. Few rows are without their saga, and
# only for those the rest is looked through.
_UNNEEDED = """
SELECT execution, name FROM sealed, (SELECT '${secret.' AS start) WHERE
    NOT EXISTS (SELECT 1 FROM sagas WHERE sagas.number = sealed.number)
    AND NOT EXISTS (
        SELECT 1 FROM resources WHERE instr(outputs, cast(start || execution || '.' AS BLOB))
            OR instr(spec, cast(start || execution || '.' AS BLOB)))
    AND NOT EXISTS (
        SELECT 1 FROM executions WHERE instr(arguments, cast(start || sealed.execution || '.' AS BLOB))
            OR instr(plan, cast(start || sealed.execution || '.' AS BLOB)))
    AND NOT EXISTS (
        SELECT 1 FROM plans WHERE instr(body, cast(start || execution || '.' AS BLOB))
            AND EXISTS (SELECT 1 FROM sagas WHERE sagas.plan = plans.digest))
"""


class Value(msgspec.Struct, frozen=True):
    """What is in a box: a JSON value, and the texts by which it is recognised where it comes back."""

    value: Any
    texts: list[str]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Value)


class Row(NamedTuple):
    """A row of the table, as it is read."""

    execution: str
    name: str
    box: bytes


def unneeded(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Give what is sealed and can be needed by nobody any more, as (execution, output). Reads only, and may take long.

    That is so once its saga's record has been pruned and no resource's record has it: because that resource was deleted
    or forgotten, or never was kept. What is unneeded stays so: nobody can come by its reference any more.
    """
    return [(execution, name) for execution, name in db.execute(_UNNEEDED)]


def rows_in(path: Path, options: str = "") -> Callable[[], list[Row]]:
    """Give what reads all rows of a database, from any thread."""

    def read() -> list[Row]:
        with closing(sqlite3.connect(address(path, "ro", options), uri=True)) as db:
            return [Row(*row) for row in db.execute(_ALL)]

    return read


class Vault:
    """The values of sensitive outputs. Any thread may call."""

    def __init__(self, sealer: Sealer, rows: Callable[[], list[Row]] = list) -> None:
        self._sealer = sealer
        self._rows = rows
        self._values: dict[str, Value] = {}
        self._broken: dict[str, SecretUnusable] = {}
        self._loaded = False
        self._loading = threading.Lock()

    def seal(self, execution: str, output: str, value: Any, shown: Collection[str] = ()) -> Sealed:
        """Seal a JSON value; what this gives goes into the commit that brings the output. `get` knows it from now on.

        `shown` are texts that are no secret, though they may be in it. Raises TypeError or ValueError where it is not JSON.
        """
        name, encoded = name_of(execution, output), _ENCODER.encode(Value(value, list(_texts(value, shown))))
        box = b"".join(self._sealer.seal([encoded], name.encode()))
        self._load()
        self._values[name] = _DECODER.decode(encoded)
        self._broken.pop(name, None)
        return Sealed(execution, output, box)

    def get(self, name: str) -> Any:
        """Give a value, or with more names behind the output's what is in it. Raises SecretUnusable saying why.

        It is SealMissing where there is no such value, SealBroken or SealedElsewhere where it cannot be opened.
        """
        self._load()
        known, path = name, list[str]()
        while known not in self._values and known not in self._broken:
            known, _, last = known.rpartition(".")
            if not is_name(known):
                raise SealMissing(f"secret `{name}`")
            path.insert(0, last)
        if known in self._broken:
            raise self._broken[known]
        return _dig(self._values[known].value, path, name)

    def texts(self) -> list[tuple[str, str]]:
        """Give what is to be looked for in what comes back: (name, text), of all values that can be opened."""
        self._load()
        return [(name, text) for name, kept in list(self._values.items()) for text in kept.texts]

    def texts_of(self, execution: str, output: str) -> list[tuple[str, str]]:
        """Give the same of one value."""
        name = name_of(execution, output)
        return [(name, text) for text in self._values[name].texts]

    @property
    def broken(self) -> list[str]:
        """What cannot be opened, each with why and what to do. Looks at nothing that was not needed before."""
        return [str(why) for why in self._broken.values()]

    def _load(self) -> None:
        if self._loaded:
            return
        with self._loading:
            if not self._loaded:
                for row in self._rows():
                    self._open(row)
                self._loaded = True

    def _open(self, row: Row) -> None:
        name = name_of(row.execution, row.name)
        try:
            opened = self._sealer.open([row.box], name.encode(), f"secret `{name}`")
            self._values[name] = _DECODER.decode(b"".join(opened))
        except SecretUnusable as why:
            self._broken[name] = why


def _dig(value: Any, path: list[str], name: str) -> Any:
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise SealMissing(f"secret `{name}`", f"what was sealed has no `{part}`")
    return value


def _texts(value: Any, shown: Collection[str]) -> Iterator[str]:
    """Give the texts by which a value is recognised.

    Of an object or a list: the strings in it, but not what is short or is shown beside it anyway. A port, a region or an
    id that went missing everywhere would do more harm than good.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    else:
        yield from (text for text in strings(value) if len(text) >= SHORTEST_WITHIN and text not in shown)


def strings(value: Any) -> Iterator[str]:
    """Give all strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)
