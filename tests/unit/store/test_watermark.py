"""A database that lacks what was acknowledged is refused, and nothing else is."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from store.errors import RecordCutOff
from store.journal import Journal
from store.runner import Inline
from tests.unit.store.samples import KEY, submitted


async def written(path: Path, *sagas: str) -> None:
    """Write these sagas, and close."""
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    await asyncio.gather(*(journal.commit(submitted(saga)) for saga in sagas))
    await journal.close()


async def opens(path: Path) -> bool:
    """Tell whether the database is taken."""
    try:
        journal = Journal.open(path, KEY, Inline(), reserve=0)
    except RecordCutOff:
        return False
    await journal.close()
    return True


async def killed(path: Path, *sagas: str) -> None:
    """Write these sagas and leave everything as a SIGKILL would."""
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    await asyncio.gather(*(journal.commit(submitted(saga)) for saga in sagas))
    for name in ("", "-wal"):
        shutil.copy(f"{path}{name}", f"{path.parent}/copy{name}")
    shutil.copy(path.with_name("head"), path.with_name("head-copy"))
    await journal.close()
    for name in ("", "-wal"):
        shutil.move(f"{path.parent}/copy{name}", f"{path}{name}")
    shutil.move(path.with_name("head-copy"), path.with_name("head"))


async def test_a_killed_daemons_database_opens(path: Path) -> None:
    """With its log."""
    await killed(path, "a", "b")

    assert await opens(path)


@pytest.mark.parametrize("left", [None, 0, 32, 4096])
async def test_a_log_that_is_gone_or_cut_short_is_told(path: Path, left: int | None) -> None:
    """SQLite itself would take what is there for all there is."""
    await written(path, "a")
    await killed(path, "b")
    log = Path(f"{path}-wal")
    if left is None:
        log.unlink()
    else:
        log.write_bytes(log.read_bytes()[:left])
    before = path.read_bytes()
    with pytest.raises(RecordCutOff) as refusal:
        Journal.open(path, KEY, Inline(), reserve=0)

    assert "it ends with event 1, and event 2 was acknowledged" in str(refusal.value)
    assert "sagad.db-wal" in str(refusal.value)
    assert path.read_bytes() == before


async def test_a_flipped_bit_in_the_log_is_told(path: Path) -> None:
    """From there on SQLite leaves out what follows."""
    await written(path, "a")
    await killed(path, "b")
    log = Path(f"{path}-wal")
    content = bytearray(log.read_bytes())
    content[100] ^= 1
    log.write_bytes(content)

    assert not await opens(path)


async def test_an_earlier_copy_and_an_empty_database_are_told(path: Path) -> None:
    """Whoever put them there knows; whoever starts the daemon may not."""
    await written(path, "a")
    earlier = path.read_bytes()
    await written(path, "b")
    path.write_bytes(earlier)
    copy = await opens(path)
    path.unlink()
    gone = await opens(path)
    path.with_name("head").unlink()

    assert (copy, gone, await opens(path)) == (False, False, True)


async def test_a_mark_that_is_behind_or_unreadable_or_another_nodes_is_no_reason_to_refuse(
    path: Path,
) -> None:
    """It is written without waiting for the disk, so a power cut may leave it anywhere behind."""
    mark = path.with_name("head")
    await written(path, "a")
    behind = mark.read_bytes()
    await written(path, "b")
    ahead = (10**6).to_bytes(8, "big") + mark.read_bytes()[8:]
    for content in (behind, b"", b"x" * 72, b"x" * 1000, ahead):
        mark.write_bytes(content)
        assert await opens(path)
