"""What is special to files: what an update keeps, what cannot be put back, what is no longer as planned."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from array import array
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from providers.contract import ABSENT, Ended, Failed, NotDone, Succeeded
from providers.local import LocalFile
from providers.local.file import FileContent
from tests.conformance import MemoryBlobs
from tests.unit.providers.local.calls import done, planned, undo_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to own files of others and set flags")

CAPABILITY = struct.pack("<IIIII", 0x02000000, 1 << 10, 0, 0, 0)  # cap_net_bind_service, permitted
ACL = b"\2\0\0\0" + b"".join(
    struct.pack("<HHI", *entry)
    for entry in [
        (1, 6, 0xFFFFFFFF),
        (2, 4, 1234),
        (4, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    ]
)


@pytest.mark.parametrize(
    ("verb", "arguments", "problem"),
    [
        ("create", {}, 'local.file.create needs "content" or "source"'),
        ("put", {"mode": "0640"}, 'local.file.put needs "content" or "source"'),
        ("put", {"content": "", "source": "{here}/x"}, '"content" and "source" exclude each other'),
        ("update", {}, "local.file.update needs one of"),
        ("update", {"mode": "rw-r--r--"}, '"mode" must be three or four octal digits in quotes'),
        ("update", {"mode": "0999"}, '"mode" must be three or four octal digits in quotes'),
        ("update", {"mode": "64"}, '"mode" must be three or four octal digits in quotes'),
        ("update", {"content": "\ud800"}, '"content" must be text that UTF-8 can hold'),
    ],
)
def test_arguments_that_no_type_can_refuse_are_refused_by_check(
    files: LocalFile, here: Path, verb: str, arguments: dict[str, str], problem: str
) -> None:
    """Each with what to do."""
    given = {name: value.replace("{here}", str(here)) for name, value in arguments.items()}

    (found,) = files.check(verb, FileContent(path=f"{here}/page", **given))

    assert problem in found


def test_an_unknown_argument_is_no_argument() -> None:
    """Typos do not pass silently."""
    with pytest.raises(msgspec.ValidationError, match="contents"):
        msgspec.convert({"path": "/x", "contents": ""}, FileContent)


async def test_without_a_mode_the_umask_decides(files: LocalFile, here: Path) -> None:
    """As for every program of the daemon's user."""
    old = os.umask(0o027)
    try:
        _, outcome = await done(files, "create", path=f"{here}/page", content="")
    finally:
        os.umask(old)

    assert outcome.outputs["mode"] == "0640"


async def test_an_update_of_the_content_keeps_what_it_does_not_set(files: LocalFile, here: Path) -> None:
    """Mode, owner, extended attributes and ACL; the time of modification is new."""
    page = here / "page"
    page.write_text("old")
    page.chmod(0o4710)
    os.setxattr(page, "user.colour", b"blue")
    os.setxattr(page, "system.posix_acl_access", ACL)
    os.utime(page, ns=(0, 0))
    before = page.stat()
    xattrs = {name: os.getxattr(page, name) for name in os.listxattr(page)}

    await done(files, "update", path=str(page), content="new")
    after = page.stat()

    assert page.read_text() == "new"
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
    assert xattrs == {name: os.getxattr(page, name) for name in os.listxattr(page)}
    assert after.st_mtime_ns > 0


async def test_an_acl_comes_back_with_the_mode(files: LocalFile, here: Path) -> None:
    """A change of mode changes the ACL's mask; putting the mode back puts the mask back."""
    page = here / "page"
    page.write_text("old")
    os.setxattr(page, "system.posix_acl_access", ACL)

    call, outcome = await done(files, "update", path=str(page), mode="0600")
    changed = os.getxattr(page, "system.posix_acl_access")
    await files.apply(undo_of(call, outcome))

    assert changed != ACL
    assert os.getxattr(page, "system.posix_acl_access") == ACL


async def test_a_change_of_mode_does_not_cut_off_who_writes_to_the_file(files: LocalFile, here: Path) -> None:
    """A log goes on growing in the same file."""
    log = here / "log"
    with log.open("w") as writer:
        await done(files, "update", path=str(log), mode="0600")
        writer.write("a line")

    assert log.read_text() == "a line"


@as_root
async def test_a_change_of_owner_keeps_set_user_id_and_capabilities(files: LocalFile, here: Path) -> None:
    """The kernel takes both away with every change of owner."""
    page = here / "page"
    page.write_text("old")
    page.chmod(0o4755)
    os.setxattr(page, "security.capability", CAPABILITY)

    call, outcome = await done(files, "update", path=str(page), owner="1234")

    assert (page.stat().st_uid, stat.S_IMODE(page.stat().st_mode)) == (1234, 0o4755)
    assert os.getxattr(page, "security.capability") == CAPABILITY
    await files.apply(undo_of(call, outcome))
    assert (page.stat().st_uid, stat.S_IMODE(page.stat().st_mode)) == (os.geteuid(), 0o4755)
    assert os.getxattr(page, "security.capability") == CAPABILITY


def _flags(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        flags = array("L", [0])
        fcntl.ioctl(fd, 0x80086601, flags)
        return flags[0]
    finally:
        os.close(fd)


def _flag(path: Path, flag: int, *, on: bool = True) -> None:
    """As ``chattr`` does."""
    fd = os.open(path, os.O_RDONLY)
    try:
        flags = _flags(path)
        fcntl.ioctl(fd, 0x40086602, array("L", [flags | flag if on else flags & ~flag]))
    except OSError as problem:
        pytest.skip(f"this file system has no such flags: {problem}")
    finally:
        os.close(fd)


@as_root
@pytest.mark.parametrize(("flag", "name"), [(0x10, "immutable"), (0x20, "append-only")])
async def test_a_file_that_chattr_has_fixed_is_refused_beforehand(
    files: LocalFile, here: Path, flag: int, name: str
) -> None:
    """Before anything changes, with the way out."""
    page = here / "page"
    page.write_text("old")
    _flag(page, flag)
    try:
        with pytest.raises(Ended, match=f"it is {name}; take that off first") as ended:
            await planned(files, "put", path=str(page), content="new")
    finally:
        _flag(page, flag, on=False)

    assert isinstance(ended.value.outcome, Failed)
    assert ended.value.outcome.code == "cannot_put_back"


@as_root
async def test_flags_that_an_owner_may_set_come_back(files: LocalFile, here: Path) -> None:
    """``chattr +d``: not in the backup."""
    page = here / "page"
    page.write_text("old")
    _flag(page, 0x40)

    call, outcome = await done(files, "delete", path=str(page))
    await files.apply(undo_of(call, outcome))

    assert _flags(page) & 0x40


async def test_a_source_that_changes_after_the_plan_is_not_copied(files: LocalFile, here: Path) -> None:
    """What was planned, approved and recorded is what is done, or nothing."""
    (here / "source").write_text("planned")
    call = await planned(files, "create", path=f"{here}/page", source=f"{here}/source")
    (here / "source").write_text("another")

    outcome = await files.apply(call)

    assert isinstance(outcome, Failed)
    assert outcome.code == "changed"
    assert [path.name for path in here.iterdir()] == ["source"]


async def test_a_source_that_is_a_symlink_is_refused(files: LocalFile, here: Path) -> None:
    """It could lead anywhere."""
    (here / "source").symlink_to("/etc/passwd")

    with pytest.raises(Ended, match="is a symlink; name a regular file") as ended:
        await planned(files, "create", path=f"{here}/page", source=f"{here}/source")

    assert isinstance(ended.value.outcome, Failed)


async def test_a_damaged_before_image_is_not_put_back(
    files: LocalFile, here: Path, blobs: MemoryBlobs
) -> None:
    """Wrong bytes are worse than none; the same for bytes that are gone."""
    page = here / "page"
    page.write_text("old")
    call, outcome = await done(files, "update", path=str(page), content="new")
    (digest,) = blobs.kept
    undo = undo_of(call, outcome)

    blobs.kept[digest] = b"odd"
    damaged = await files.apply(undo)
    blobs.kept.clear()
    gone = await files.apply(undo)

    assert isinstance(damaged, Failed)
    assert isinstance(gone, Failed)
    assert gone.code == "image_lost"
    assert [path.name for path in here.iterdir()] == ["page"]
    assert page.read_text() == "new"


async def test_a_restore_over_somebody_elses_change_takes_that_change_as_before(
    files: LocalFile, here: Path
) -> None:
    """This is how the engine forces: it reads, and hands in what it has read."""
    page = here / "page"
    page.write_text("old")
    call, outcome = await done(files, "update", path=str(page), content="new")
    page.write_text("somebody else's")
    undo = undo_of(call, outcome)
    refused = await files.apply(undo)

    forced = await files.apply(msgspec.structs.replace(undo, before=await files.read(undo)))

    assert isinstance(refused, Failed)
    assert isinstance(forced, Succeeded)
    assert page.read_text() == "old"


async def test_a_mode_is_not_put_back_on_a_file_that_is_gone(files: LocalFile, here: Path) -> None:
    """Its step kept no content, as it changed none."""
    page = here / "page"
    page.write_text("old")
    call, outcome = await done(files, "update", path=str(page), mode="0600")
    page.unlink()

    forced = await files.apply(msgspec.structs.replace(undo_of(call, outcome), before=ABSENT))

    assert isinstance(forced, Failed)
    assert "the step kept no content" in forced.message
    assert list(here.iterdir()) == []


async def test_cancelling_ends_the_staging_of_a_big_file_early(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be interrupted is: between two chunks. Nothing has happened then, and nothing is left."""
    started = anyio.Event()

    class Long(MemoryBlobs):
        def chunks(self, blob: Any) -> Any:
            anyio.from_thread.run_sync(started.set)
            for _ in range(20_000):
                yield b"x" * 1000

    files = LocalFile({"roots": [str(here)]}, Long())
    page = here / "page"
    page.write_text("old")
    call, outcome = await done(files, "delete", path=str(page))
    undo = undo_of(call, outcome)
    ended: list[str] = []

    async def restore() -> None:
        await files.apply(undo)
        ended.append("with an outcome")

    async with anyio.create_task_group() as group:
        group.start_soon(restore)
        await started.wait()
        group.cancel_scope.cancel()

    assert ended == []
    assert list(here.iterdir()) == []
    assert await files.find(undo) == NotDone()


@pytest.mark.parametrize("verb", ["create", "put"])
@pytest.mark.parametrize("moment", ["write", "link"])
async def test_a_file_that_comes_up_while_the_new_one_is_staged_is_not_overwritten(
    files: LocalFile, here: Path, monkeypatch: pytest.MonkeyPatch, verb: str, moment: str
) -> None:
    """Also not between a last look and the link, which overwrites nothing."""
    call = await planned(files, verb, path=f"{here}/page", content="new")
    function = getattr(os, moment)

    def after_somebody_else(*args: Any, **named: Any) -> Any:
        (here / "page").write_text("somebody else's")
        return function(*args, **named)

    monkeypatch.setattr(os, moment, after_somebody_else)
    outcome = await files.apply(call)

    assert isinstance(outcome, Failed)
    assert outcome.code == "exists"
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [("page", "somebody else's")]


async def test_a_change_while_the_new_content_is_staged_is_not_overwritten(
    files: LocalFile, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look is just before the rename."""
    page = here / "page"
    page.write_text("old")
    call = await planned(files, "update", path=str(page), content="new")
    write = os.write

    def and_somebody_else(fd: int, data: bytes) -> int:
        page.write_text("somebody else's")
        return write(fd, data)

    monkeypatch.setattr(os, "write", and_somebody_else)
    outcome = await files.apply(call)

    assert isinstance(outcome, Failed)
    assert outcome.code == "changed"
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [("page", "somebody else's")]


async def test_a_foreign_file_is_not_taken_for_the_calls_own(files: LocalFile, here: Path) -> None:
    """Only the staged name proves a link."""
    call = await planned(files, "create", path=f"{here}/page", content="new")
    (here / ".sagad-key").write_text("staged")
    (here / "page").write_text("somebody else's")

    finding = await files.find(call)

    assert finding == NotDone()
    assert (here / "page").read_text() == "somebody else's"
    assert not (here / ".sagad-key").exists()


async def test_neither_before_nor_after_is_said(files: LocalFile, here: Path) -> None:
    """Then somebody must look."""
    page = here / "page"
    page.write_text("old")
    call = await planned(files, "update", path=str(page), content="new")
    page.write_text("somebody else's")

    finding = await files.find(call)

    assert "neither as it was before nor as it was to become" in getattr(finding, "why", "")
