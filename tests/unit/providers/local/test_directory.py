"""What is special to folders: who put what in, and the stream that holds a tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.contract import Done, Failed, Succeeded
from providers.local import LocalDirectory, LocalFile
from providers.local.tree import pack, unpack
from tests.conformance import MemoryBlobs
from tests.unit.providers.local.calls import done, planned, undo_of
from tests.unit.providers.local.folder import Folder


async def test_what_the_saga_put_in_is_gone_before_the_folder_is(
    directories: LocalDirectory, files: LocalFile, here: Path
) -> None:
    """Undo goes backwards, so the folder is as its create left it: empty."""
    made, as_made = await done(directories, "create", key="one", path=f"{here}/site")
    put, as_put = await done(files, "create", key="two", path=f"{here}/site/page", content="")

    await files.apply(undo_of(put, as_put))
    undo = undo_of(made, as_made)
    live = await directories.read(undo)
    assert undo.before is not None
    assert directories.same(undo.fields, undo.before, live)
    outcome = await directories.apply(undo)

    assert isinstance(outcome, Succeeded)
    assert list(here.iterdir()) == []


async def test_a_folder_is_not_removed_with_somebody_elses_file_even_by_force(
    directories: LocalDirectory, here: Path
) -> None:
    """Forced, the guard is gone; rmdir is not recursive all the same."""
    call, outcome = await done(directories, "create", path=f"{here}/site")
    (here / "site/precious").write_text("")
    undo = undo_of(call, outcome)
    live = await directories.read(undo)

    forced = await directories.apply(undo_of(call, Succeeded(after=live)))

    assert isinstance(forced, Failed)
    assert forced.code == "not_empty"
    assert (here / "site/precious").exists()


async def test_what_is_put_in_right_after_the_effect_does_not_hide_it(
    directories: LocalDirectory, here: Path
) -> None:
    """The answer is lost, and somebody is quick: the folder was made all the same, and was left empty."""
    call, _ = await done(directories, "create", path=f"{here}/site")
    (here / "site/page").write_text("")

    finding = await directories.find(call)

    assert isinstance(finding, Done)
    assert finding.after is not None
    assert finding.after.fields["empty"] is True


async def test_a_crash_while_a_tree_is_cleared_away_is_carried_on(
    directories: LocalDirectory, here: Path
) -> None:
    """The rename is the effect; the rest is cleaning."""
    (here / "site/sub").mkdir(parents=True)
    (here / "site/page").write_text("")
    call = await planned(directories, "delete", path=f"{here}/site", recursive=True)
    (here / "site").rename(here / ".sagad-key")
    (here / ".sagad-key/page").unlink()

    finding = await directories.find(call)

    assert isinstance(finding, Done)
    assert list(here.iterdir()) == []


async def test_an_empty_folder_that_comes_up_meanwhile_is_not_replaced(
    directories: LocalDirectory, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain rename would: the race is between the last look and the rename."""
    call = await planned(directories, "create", path=f"{here}/site", mode="0700")
    mkdir = os.mkdir

    def and_somebody_else(name: str, mode: int, *, dir_fd: int) -> None:
        mkdir(name, mode, dir_fd=dir_fd)
        mkdir("site", 0o751, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", and_somebody_else)
    outcome = await directories.apply(call)

    assert isinstance(outcome, Failed)
    assert outcome.code == "exists"
    assert [(path.name, path.stat().st_mode & 0o777) for path in here.iterdir()] == [("site", 0o751)]


async def test_a_damaged_tree_is_not_put_back(
    directories: LocalDirectory, here: Path, blobs: MemoryBlobs
) -> None:
    """One wrong byte of content, or an end too soon."""
    (here / "site").mkdir()
    (here / "site/page").write_text("content")
    call, outcome = await done(directories, "delete", path=f"{here}/site", recursive=True)
    ((digest, data),) = blobs.kept.items()

    for damaged in (data.replace(b"content", b"CONTENT"), data[:-3], data[:20], b""):
        blobs.kept[digest] = damaged
        restored = await directories.apply(undo_of(call, outcome))

        assert isinstance(restored, Failed)
        assert restored.code == "image_lost"
        assert list(here.iterdir()) == []


def _accept(path: str, fd: int | None, st: os.stat_result) -> None:
    pass


def _apart(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000])
def test_a_stream_may_come_in_pieces_of_any_size(tmp_path: Path, size: int) -> None:
    """Heads and contents lie across the pieces."""
    world = Folder(tmp_path)
    world.folder("tree")
    world.write("tree/a")
    world.folder("tree/b")
    world.link("tree/b/c")
    fd = os.open(world.here, os.O_RDONLY)
    data = b"".join(pack("tree", fd, _accept))
    before = world.state()

    unpack(_apart(data, size), "tree2", fd)
    (world.here / "tree").rename(tmp_path / "old")
    (world.here / "tree2").rename(world.here / "tree")
    os.close(fd)

    assert before == world.state()
