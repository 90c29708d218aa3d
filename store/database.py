"""Opening the database: what it must be like, how it is brought up to date, and why it may be refused."""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from store import audit, chain, watermark
from store.errors import (
    ChainBroken,
    DatabaseDamaged,
    DatabaseTooNew,
    NotADatabase,
    RecordCutOff,
    SchemaDiffers,
)
from store.rows import Head

APPLICATION_ID = 0x53414741  # "SAGA"

TAIL = 1_000
"""How many of the last events are proved at every start; `audit verify` proves them all."""

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    # A checkpoint copies each page once, however often it was written to the log: a large log saves most of the
    # copying, since the tails of the tables are rewritten by every group. 16 MB of log, on disk, not in memory. At
    # 1,000 or 8,000 pages the writer needs more time by the saga (138 and 182 µs against 121), and at 8,000 the
    # slowest saga in a hundred takes 58 ms instead of 35. Pages of 2 KB or 8 KB are no better (142, 163).
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 33554432",
    "PRAGMA cache_size = -2000",
    # Debian's SQLite overwrites what is deleted with zeros. Nothing here is secret (SPEC §2), and the indexes of
    # every checkpoint would pay.
    "PRAGMA secure_delete = OFF",
    "PRAGMA temp_store = MEMORY",
)


def connect(path: Path, options: str = "", *, patience: float = 5) -> sqlite3.Connection:
    """Open a connection for writing, which waits so many seconds for a lock. One thread at a time, whichever, uses it.

    `options` go into SQLite's URI: a test's `vfs=NAME`.
    """
    db = sqlite3.connect(
        address(path, "rwc", options),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
        timeout=patience,
    )
    try:
        for pragma in _PRAGMAS:
            db.execute(pragma)
    except BaseException:
        db.close()
        raise
    return db


def address(path: Path, mode: str, options: str = "") -> str:
    """Give the URI of a database file."""
    return f"{path.absolute().as_uri()}?mode={mode}" + (f"&{options}" if options else "")


def migrations() -> Iterator[tuple[int, str]]:
    """Give the migrations in order: number and SQL."""
    for file in sorted(files("store").joinpath("migrations").iterdir(), key=lambda file: file.name):
        if match := re.fullmatch(r"(\d{4})_\w+\.sql", file.name):
            yield int(match[1]), file.read_text("utf-8")


def prepare(path: Path, node_key: bytes, options: str = "") -> tuple[str, Head]:
    """Check the database, bring it up to date, and give the node's id and the record's head.

    Raises NotADatabase, DatabaseTooNew, DatabaseDamaged, RecordCutOff, SchemaDiffers or ChainBroken, having changed
    nothing.
    """
    try:
        found, ready = _looked_at(path, node_key, options)
        if found is not None and ready:
            return found  # as after every start but the first of a release
        if not options:
            path.touch(mode=0o600)  # SQLite gives its other files the same mode
        with closing(connect(path, options)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            if _migrate(db, node_key):
                check_schema(db, path, newest())
            return found or _check_tail(db, path, node_key)
    except sqlite3.DatabaseError as error:
        # SQLITE_ERROR is for SQL that is wrong; ours is not, so this file has other tables, or another format.
        of_the_disk = (
            isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR
        )
        if of_the_disk or isinstance(error, sqlite3.IntegrityError):
            raise
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise NotADatabase(path, str(error)) from error
        raise DatabaseDamaged(path, str(error)) from error


def _looked_at(path: Path, node_key: bytes, options: str) -> tuple[tuple[str, Head] | None, bool]:
    """Check a database without touching it; give what `prepare` gives (None: it is empty), and whether that is all.

    Read-only, since closing a connection that may write folds the log into the file.
    """
    if is_empty(path):
        check_mark(None, path, node_key)
        return None, False
    with closing(sqlite3.connect(address(path, "ro", options), uri=True)) as db:
        version = check_version(db, path)
        if not options:  # a simulated disk has its files elsewhere
            check_header(path)
        check_schema(db, path, version)
        check_mark(db, path, node_key)
        ready = version == newest() and db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        return (_check_tail(db, path, node_key) if version else None), ready


def is_empty(path: Path) -> bool:
    """Tell whether there is nothing in it: SQLite would remove the log beside that, even as it opens it to read.

    One byte is nothing to SQLite: it writes one itself on some file systems (os_unix.c, unixFileSize).
    """
    return not path.exists() or path.stat().st_size <= 1


def check_header(path: Path) -> None:
    """Raise DatabaseDamaged where SQLite could read the file and not write it: that is no full disk, and never over.

    Bytes 18 and 19 are the versions of the format for writing and for reading: 1, or 2 with a log (SQLite, fileformat2, 1.3).
    """
    with path.open("rb") as file:
        versions = file.read(20)[18:]
    if any(version not in (1, 2) for version in versions):
        raise DatabaseDamaged(path, f"its header says format {versions.hex(' ')}, and SQLite writes 01 or 02")


def newest() -> int:
    """Give the version of the schema that this release makes."""
    return max(number for number, _ in migrations())


def check_version(db: sqlite3.Connection, path: Path) -> int:
    """Give the schema's version; 0: it is empty. Raises NotADatabase or DatabaseTooNew."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise NotADatabase(path, f"its application id is {application:#x}, not {APPLICATION_ID:#x}")
    if version > newest():
        raise DatabaseTooNew(path, f"its schema has version {version}, and this sagad knows {newest()}")
    return int(version)


def check_mark(db: sqlite3.Connection | None, path: Path, node_key: bytes) -> None:
    """Raise RecordCutOff where less is on record than was acknowledged once: see watermark. No database: nothing is."""
    has_tables = db is not None and db.execute("PRAGMA user_version").fetchone() != (0,)
    node, seq = None, 0
    if db is not None and has_tables:
        row = db.execute("SELECT node, seq, head, mac FROM meta").fetchone()
        if row is None or row[3] != chain.mac(node_key, *row[:3]):
            return  # that is for the walk along the chain to tell
        node, seq, *_ = row
    found = watermark.noted(path.with_name(watermark.NAME), node_key, node)
    if found is not None and found.seq > seq:
        there = f"it ends with event {seq}" if has_tables else "it is empty or gone"
        raise RecordCutOff(path, f"{there}, and event {found.seq} was acknowledged")


def _migrate(db: sqlite3.Connection, node_key: bytes) -> bool:
    """Bring the schema up to date, and say whether there was anything to do."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number, sql in migrations():
        if number <= version:
            continue
        first = _first_row(node_key) if number == 1 else ""
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; {sql}; {first}"
                f" PRAGMA user_version = {number}; COMMIT;"
            )
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return bool(version < newest())


def _first_row(node_key: bytes) -> str:
    node, head = secrets.token_hex(8), chain.GENESIS
    mac = chain.mac(node_key, node, 0, head)
    return f"INSERT INTO meta VALUES (1, '{node}', 0, 0, x'{head.hex()}', x'{mac.hex()}');"  # noqa: S608 # hex


def check_schema(db: sqlite3.Connection, path: Path, version: int) -> None:
    """Raise SchemaDiffers where it is not made of what the migrations up to this version make.

    DatabaseDamaged where it is what another version is made of: then it is the number that is wrong, and to migrate
    from there would spoil what is good.
    """
    found = shape(db)
    differing = sorted(name for name, _ in found ^ wanted_shape(version))
    if not differing:
        return
    for really, _ in migrations():
        if found == wanted_shape(really):
            raise DatabaseDamaged(
                path, f"it says that its schema has version {version}, and it is version {really}'s"
            )
    raise SchemaDiffers(path, f"look at {', '.join(dict.fromkeys(differing))}")


def wanted_shape(version: int) -> set[tuple[str, str]]:
    """Give what the migrations up to this version make together."""
    with closing(sqlite3.connect(":memory:")) as wanted:
        for number, sql in migrations():
            if number <= version:
                wanted.executescript(sql)
        return shape(wanted)


def shape(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Give what the database is made of, comments and spaces aside: names with their SQL."""
    found = db.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    )
    return {(name, _plain(sql)) for name, sql in found}


def _plain(sql: str) -> str:
    return " ".join(re.sub(r"--.*", "", sql).split())


def _check_tail(db: sqlite3.Connection, path: Path, node_key: bytes) -> tuple[str, Head]:
    row = db.execute("SELECT node, sagas, seq, head FROM meta").fetchone()
    if row is None:
        raise ChainBroken(path, "the head is gone: nothing says where the record ends")
    node, sagas, seq, head = row
    report = audit.verify(db, node_key, after=max(0, seq - TAIL))
    if report.problem and report.unreadable:
        raise DatabaseDamaged(path, report.problem)
    if report.problem:
        raise ChainBroken(path, report.problem)
    return node, Head(seq, head, sagas)
