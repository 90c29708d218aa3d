"""Whether what is on record is whole: the database, the chain, the checkpoints, the blobs; and the clock against them."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from actors.clock import rfc3339
from actors.replay import replay
from orchestrator.answers import Examination
from orchestrator.doctor.findings import fail, looked, ok, warn
from orchestrator.doctor.images import named_blobs
from store import audit, database
from store.backup import BLOB
from store.blobs import Blobs, StoredBlob
from store.errors import StoreError

PUT_BACK = "keep a copy of the state folder, look at the disk, then `sagactl restore` the last backup"
SAGAS = 50
NAMED = 5
LONG_LOG = 256 << 20
"""Bytes of a write-ahead log that somebody keeps from being folded in."""
YEAR = 2025
"""The clock stands before it: it was never set."""


def open_apart(path: Path, node_key: bytes) -> sqlite3.Connection:
    """Open a database that no daemon has open, to look at. Raises StoreError as the daemon would at its start."""
    if database.is_empty(path):
        database.check_mark(None, path, node_key)
    db = sqlite3.connect(database.address(path, "ro"), uri=True, isolation_level=None)
    try:
        version = database.check_version(db, path)
        database.check_header(path)
        database.check_schema(db, path, version)
        database.check_mark(db, path, node_key)
    except BaseException:
        db.close()
        raise
    return db


def look_at_record(path: Path, node_key: bytes) -> Iterator[Examination]:
    """Look at the database of a daemon that is not running."""
    try:
        with closing(open_apart(path, node_key)) as db:
            yield from look_through(db, path, node_key)
    except StoreError as error:
        yield fail("database", f"{error.where}: {str(error).removeprefix(error.where + ': ')}", error.remedy)
    except sqlite3.DatabaseError as error:
        yield fail("database", f"{path} cannot be read: {error}", PUT_BACK)


def look_through(db: sqlite3.Connection, path: Path, node_key: bytes) -> Iterator[Examination]:
    """Look at every page, every event and every checkpoint; what is damaged in one keeps nobody from the others."""
    yield from looked("database", lambda: _pages(db, path))
    yield from looked("log", lambda: _log(path))
    yield from looked("record", lambda: _chain(db, node_key))
    yield from looked("checkpoints", lambda: _checkpoints(db))
    yield from looked("executions", lambda: _executions(db))


def _pages(db: sqlite3.Connection, path: Path) -> Iterator[Examination]:
    try:
        problems = [row[0] for row in db.execute(f"PRAGMA integrity_check({NAMED})")]
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    if problems != ["ok"]:
        yield fail("database", f"{path} is damaged: {'; '.join(problems)}", PUT_BACK)
    else:
        yield ok("database", f"{path}, {path.stat().st_size >> 20} MB, every page is well")


def _log(path: Path) -> Iterator[Examination]:
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LONG_LOG:
        remedy = "see who has the database open beside sagad (fuser), or restart sagad"
        yield warn("log", f"{log} has {size >> 20} MB: a reader keeps it from being folded in", remedy)


def _chain(db: sqlite3.Connection, node_key: bytes) -> Iterator[Examination]:
    report = audit.verify(db, node_key)
    if report.problem:
        yield fail("record", f"it does not prove itself: {report.problem}", PUT_BACK)
    else:
        pruned = f", {report.pruned} of them without contents by retention" if report.pruned else ""
        yield ok(
            "record", f"it proves itself: events: {report.events}{pruned}, head {report.seq}:{report.head}"
        )


def _checkpoints(db: sqlite3.Connection) -> Iterator[Examination]:
    compared = skipped = after = 0
    differing, gone = list[str](), list[str]()
    while True:
        page = replay(db, after, SAGAS)
        compared, skipped = compared + page.compared, skipped + page.skipped
        for each in page.differing:
            (gone if each.gone else differing).append(f"saga {each.saga}: {each.problem}")
        if not page.last:
            break
        after = page.last
    if gone:
        yield fail(
            "checkpoints", "; ".join(gone[:NAMED]), f"they do not go on, and cannot be taken back; {PUT_BACK}"
        )
    if differing:
        remedy = "a checkpoint is made anew from its events when its saga next moves; `sagactl audit replay` names all"
        yield warn("checkpoints", "; ".join(differing[:NAMED]), remedy)
    if not (gone or differing):
        more = f", {skipped} could not be compared" if skipped else ""
        yield ok("checkpoints", f"all are what their events say, sagas: {compared}{more}")


def _executions(db: sqlite3.Connection) -> Iterator[Examination]:
    """Hold what each execution was to do against the digest in its intent's event, which the chain proves.

    An undo's may have been written over by its own word: a forced one notes what it found.
    """
    compared, differing = 0, list[str]()
    for number, saga in db.execute("SELECT number, id FROM sagas").fetchall():
        intents = dict(db.execute(_INTENTS, (number,)).fetchall())
        for id_, arguments, plan in db.execute(_EXECUTIONS, (number,)):
            if id_ not in intents:
                continue  # pruned, or of an undo
            compared += 1
            if hashlib.sha256(arguments + plan).hexdigest() != intents[id_]:
                differing.append(f"execution {id_} of saga {saga}")
    if differing:
        said = f"not what their intents say: {', '.join(differing[:NAMED])}"
        yield fail("executions", said, f"do not retry or roll back these sagas; {PUT_BACK}")
    else:
        yield ok("executions", f"all are what their intents say, in number: {compared}")


_INTENTS = """
SELECT cast(body AS TEXT) ->> '$.data.execution', cast(body AS TEXT) ->> '$.data.payload' FROM events
WHERE number = ? AND body IS NOT NULL AND cast(body AS TEXT) ->> '$.type' IN ('step.started', 'hook.started')
"""
_EXECUTIONS = "SELECT id, arguments, plan FROM executions WHERE number = ?"


def look_at_blobs(folder: Path, blobs: Blobs, db: sqlite3.Connection) -> Iterator[Examination]:
    """Hold each blob against its digest, and see that those are there that an execution names."""
    there = [path for path in folder.iterdir() if BLOB.fullmatch(path.name)] if folder.is_dir() else []
    damaged = [problem for path in there if (problem := _damage(blobs, path))]
    missing = sorted(named_blobs(db) - {path.name for path in there})
    if damaged:
        yield fail("blobs", "; ".join(damaged[:NAMED]), "bring them back from a backup of the state folder")
    if missing:
        said = ", ".join(missing[:NAMED])
        remedy = "bring them back from a backup: what they are of cannot be put back without them"
        yield fail("blobs", f"{len(missing)} that the record names are not there: {said}", remedy)
    if not (damaged or missing):
        yield ok("blobs", f"all are what the record says, in number: {len(there)}")


def _damage(blobs: Blobs, path: Path) -> str:
    try:
        for _ in blobs.chunks(StoredBlob(path.name, path.stat().st_size)):
            pass
    except FileNotFoundError:
        pass  # dropped by retention just now
    except (StoreError, OSError) as error:
        return str(error)
    return ""


def look_at_clock(db: sqlite3.Connection | None, now: int) -> Iterator[Examination]:
    """Hold the clock against the last event's time."""
    last = None if db is None else _last_time(db)
    said = rfc3339(now)
    if datetime.fromtimestamp(now / 1000, UTC).year < YEAR:
        yield fail(
            "clock",
            f"it stands at {said}: it was never set",
            "set it, and have it kept right (chrony, timesyncd)",
        )
    elif last is not None and last > now + 1000:
        remedy = "set it right (chrony, timesyncd): timers wait until it has caught up"
        yield warn("clock", f"it stands at {said}, before the last event ({rfc3339(last)})", remedy)
    else:
        yield ok("clock", said)


def _last_time(db: sqlite3.Connection) -> int | None:
    row = db.execute(
        "SELECT cast(body AS TEXT) ->> '$.at' FROM events WHERE body IS NOT NULL ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return None if row is None else round(datetime.fromisoformat(row[0]).timestamp() * 1000)
