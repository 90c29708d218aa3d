"""What is wrong with a database is said before anything is done to it, with what to do."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store import database
from store.errors import (
    ChainBroken,
    DatabaseDamaged,
    DatabaseTooNew,
    NotADatabase,
    SchemaDiffers,
    StoreError,
)
from store.journal import Journal
from store.runner import Inline
from tests.unit.store.samples import KEY, began, submitted, went_on


@pytest.fixture
async def filled(path: Path) -> Path:
    """A database of 60 sagas and 180 events, closed."""
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    await asyncio.gather(*(journal.commit(submitted(f"s{number}")) for number in range(60)))
    await asyncio.gather(*(journal.commit(went_on(f"s{number}", events=2)) for number in range(60)))
    await journal.close()
    assert path.read_bytes()[:6] == b"SQLite"
    return path


def execute(path: Path, *statements: str) -> None:
    """Do something to it behind the back of sagad."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def test_the_schema_is_what_the_migrations_make() -> None:
    """schema.sql is the truth."""
    with closing(sqlite3.connect(":memory:")) as truth, closing(sqlite3.connect(":memory:")) as made:
        truth.executescript(files("store").joinpath("schema.sql").read_text("utf-8"))
        for _, sql in database.migrations():
            made.executescript(sql)

        assert database.shape(made) == database.shape(truth)


def test_migrations_are_numbered_without_a_gap() -> None:
    """The version of a database is the number of its last one."""
    numbers = [number for number, _ in database.migrations()]

    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_database_of_before_there_were_hooks_is_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its executions are there, in their order, linked as they were; and a hook's may join them."""
    first = next(database.migrations())
    with monkeypatch.context() as patch:
        patch.setattr(database, "migrations", lambda: iter([first]))
        journal = Journal.open(path, KEY, Inline(), reserve=0)
        await journal.commit(submitted("a"))
        for number, execution in enumerate("zyx"):  # so that the order is not that of the ids
            await journal.commit(began("a", execution, number))
        await journal.commit(began("a", "w", 2, compensates="x"))
        await journal.close()
    before = rows(path, "SELECT * FROM executions ORDER BY rowid")
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    after = began("a", "hook", 0)
    after.executions = [msgspec.structs.replace(after.executions[0], direction="hook")]
    await journal.commit(after)
    await journal.close()

    assert rows(path, "PRAGMA user_version") == [(max(number for number, _ in database.migrations()),)]
    assert rows(path, "SELECT * FROM executions ORDER BY rowid")[:-1] == before
    assert rows(path, "SELECT id, direction FROM executions ORDER BY rowid") == [
        ("z", "forward"), ("y", "forward"), ("x", "forward"), ("w", "undo"), ("hook", "hook"),
    ]  # fmt: skip


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Give what is in the database."""
    with closing(sqlite3.connect(path)) as db:
        return list(db.execute(query))


async def test_a_new_database_is_for_its_owner_only(filled: Path) -> None:
    """Whatever the umask."""
    assert filled.stat().st_mode & 0o777 == 0o600


async def refused(path: Path, kind: type[StoreError], key: bytes = KEY) -> str:
    """Expect the refusal, hold the file against what it was, and give the message."""
    before = path.read_bytes()
    with pytest.raises(StoreError) as refusal:
        Journal.open(path, key, Inline(), reserve=0)

    assert type(refusal.value) is kind
    assert path.read_bytes() == before
    assert str(path) in str(refusal.value)
    assert kind.remedy in str(refusal.value)
    return str(refusal.value)


async def test_a_database_of_a_newer_sagad_is_refused_untouched(filled: Path) -> None:
    """It says both versions."""
    execute(filled, "PRAGMA user_version = 99")

    assert "version 99" in await refused(filled, DatabaseTooNew)


@pytest.mark.parametrize("version", [1, 2, 4, 0, -1])
async def test_a_database_whose_version_is_not_its_tables_is_refused_untouched(
    filled: Path, version: int
) -> None:
    """As by a flipped bit: to migrate from there would spoil what is good."""
    execute(filled, f"PRAGMA user_version = {version}")
    said = await refused(filled, DatabaseDamaged)

    assert f"it says that its schema has version {version}, and it is version {database.newest()}'s" in said


@pytest.mark.slow
async def test_a_flipped_bit_in_the_header_is_refused_or_does_no_harm(filled: Path) -> None:
    """Wherever it is: the file format, the version, what SQLite does not look at."""
    good, refusals = filled.read_bytes(), dict[int, bool]()
    for at in range(100):
        for bit in (1, 2, 4):
            filled.write_bytes(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
            try:
                journal = Journal.open(filled, KEY, Inline(), reserve=0)
            except StoreError as refusal:
                refusals[at] = refusal.lasting
            else:
                await journal.close()

    assert all(refusals.values())
    assert {47, 63, 71} <= refusals.keys()  # the schema's format, its version, whose it is


async def test_what_a_newer_sagad_left_in_its_log_is_not_touched_either(filled: Path, tmp_path: Path) -> None:
    """It was killed: the log holds what the file does not, the version itself among it."""
    copy = tmp_path / "copy" / "sagad.db"
    copy.parent.mkdir()
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 99")
        for suffix in ("", "-wal"):
            Path(f"{copy}{suffix}").write_bytes(Path(f"{filled}{suffix}").read_bytes())
    log = Path(f"{copy}-wal").read_bytes()
    await refused(copy, DatabaseTooNew)

    assert log
    assert Path(f"{copy}-wal").read_bytes() == log


@pytest.mark.parametrize("content", [b"hello\n" * 500, b"SQLite format 3\0" + b"x" * 4080])
async def test_what_is_no_database_is_refused(path: Path, content: bytes) -> None:
    """Text, or rubbish behind a good header."""
    path.write_bytes(content)

    await refused(path, NotADatabase)


async def test_somebody_elses_database_is_refused(path: Path) -> None:
    """The application id tells."""
    execute(path, "CREATE TABLE photos (name)")

    assert "application id" in await refused(path, NotADatabase)


@pytest.mark.parametrize("kept", [5_000, 4_096, 20_000])
async def test_a_truncated_database_is_refused(filled: Path, kept: int) -> None:
    """Wherever it ends."""
    filled.write_bytes(filled.read_bytes()[:kept])

    await refused(filled, DatabaseDamaged)


@pytest.mark.parametrize(
    "change",
    [
        "DROP INDEX sagas_by_wake",
        "ALTER TABLE sagas ADD COLUMN colour TEXT",
        "CREATE TABLE mine (a)",
        "DROP TABLE meta",
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events WHERE seq = 1; END",
    ],
)
async def test_tables_changed_by_hand_are_refused(filled: Path, change: str) -> None:
    """A trigger or column of somebody else is a way around every promise."""
    execute(filled, change)

    await refused(filled, SchemaDiffers)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE events SET body = cast(replace(body, 'ann', 'eve') AS BLOB) WHERE seq = 170",
            "event 170 was altered",
        ),
        ("DELETE FROM events WHERE seq = 170", "event 170 is missing"),
        ("DELETE FROM events WHERE seq = 180", "event 180 is missing, the last was 180"),
        ("DELETE FROM meta", "the head is gone"),
        ("UPDATE meta SET seq = -5", "not signed"),
        ("UPDATE meta SET seq = 179, head = (SELECT hash FROM events WHERE seq = 179)", "not signed"),
    ],
)
async def test_a_record_that_was_changed_is_refused(filled: Path, change: str, said: str) -> None:
    """The last thousand events are proved at each start."""
    execute(filled, change)

    assert said in await refused(filled, ChainBroken)


async def test_another_nodes_key_is_refused(filled: Path) -> None:
    """The head is signed."""
    assert "node.key" in await refused(filled, ChainBroken, key=b"x" * 32)


@pytest.mark.parametrize("damage", ["flip", "zero"])
async def test_a_damaged_file_is_refused_or_whole(filled: Path, damage: str) -> None:
    """Wherever a page is damaged: either the opening says so, or what it looks at was not touched."""
    good = filled.read_bytes()
    outcomes = set[str]()
    spoil: Callable[[bytes], bytes] = (
        (lambda page: bytes([page[0] ^ 0x55]) + page[1:]) if damage == "flip" else (lambda page: bytes(4096))
    )
    for start in range(0, len(good), 4096):
        page = good[start : start + 4096]
        filled.write_bytes(good[:start] + spoil(page) + good[start + 4096 :])
        try:
            journal = Journal.open(filled, KEY, Inline(), reserve=0)
        except StoreError as refusal:
            outcomes.add(type(refusal).__name__)
        else:
            outcomes.add("opened")
            await journal.close()

    assert outcomes <= {"opened", "NotADatabase", "DatabaseDamaged", "ChainBroken", "SchemaDiffers"}
    assert "DatabaseDamaged" in outcomes
