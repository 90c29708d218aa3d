from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from store.blobs import INLINE, Blobs, StoredBlob
from store.errors import BlobDamaged, BlobMissing

LARGE = [os.urandom(INLINE), b"x" * 100_000, b"end"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the contents go."""
    return tmp_path / "blobs"


def test_a_small_content_stays_with_its_record(folder: Path) -> None:
    """Up to the limit there is no file, and the answer carries the bytes."""
    blob = Blobs(folder).keep([b"a" * (INLINE - 1), b"b"])

    assert blob.data == b"a" * (INLINE - 1) + b"b"
    assert list(folder.iterdir()) == []
    assert b"".join(Blobs(folder).chunks(blob)) == blob.data


def test_a_large_content_is_a_file_named_by_its_digest(folder: Path) -> None:
    """It is for its owner only, and comes back byte for byte."""
    blobs, whole = Blobs(folder), b"".join(LARGE)
    blob = blobs.keep(LARGE)

    assert blob == StoredBlob(hashlib.sha256(whole).hexdigest(), len(whole))
    assert [path.name for path in folder.iterdir()] == [blob.sha256]
    assert (folder / blob.sha256).stat().st_mode & 0o777 == 0o600
    assert b"".join(blobs.chunks(blob)) == whole


def test_the_same_content_is_kept_once(folder: Path) -> None:
    """Content-addressed means that a second keep changes nothing."""
    blobs = Blobs(folder)

    assert blobs.keep(LARGE) == blobs.keep([b"".join(LARGE)])
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"y" * 10, None])
def test_a_damaged_or_missing_content_is_refused_before_its_first_byte(
    folder: Path, damage: bytes | None
) -> None:
    """A restore must never begin with wrong bytes."""
    blobs = Blobs(folder)
    blob = blobs.keep(LARGE)
    path = folder / blob.sha256
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)

    with pytest.raises(BlobMissing if damage is None else BlobDamaged, match=blob.sha256):
        blobs.chunks(blob)


def test_the_errors_are_those_that_drivers_are_promised(folder: Path) -> None:
    """The driver contract says FileNotFoundError and ValueError."""
    assert issubclass(BlobMissing, FileNotFoundError)
    assert issubclass(BlobDamaged, ValueError)


def test_a_content_that_breaks_off_leaves_nothing(folder: Path) -> None:
    """Neither a name nor a leftover."""

    def broken() -> Iterator[bytes]:
        yield b"x" * (INLINE + 1)
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="gone"):
        Blobs(folder).keep(broken())

    assert list(folder.iterdir()) == []


def test_what_a_crash_left_half_written_is_removed_at_the_next_start(folder: Path) -> None:
    """Only what has its name is whole."""
    Blobs(folder)
    (folder / ".new-1234").write_bytes(b"half")
    Blobs(folder)

    assert list(folder.iterdir()) == []


def test_only_what_nobody_names_and_nobody_just_stored_is_dropped(folder: Path) -> None:
    """A content whose commit is on its way is not yet named anywhere."""
    blobs = Blobs(folder)
    named, forgotten, fresh = (blobs.keep([letter * 50_000]) for letter in (b"a", b"b", b"c"))
    for blob in (named, forgotten):
        os.utime(folder / blob.sha256, (0, 0))

    assert blobs.drop_unreferenced({named.sha256}) == 1
    assert {path.name for path in folder.iterdir()} == {named.sha256, fresh.sha256}


def test_storing_a_content_again_keeps_it_from_being_dropped(folder: Path) -> None:
    """The old file is nobody's, but the new commit is going to name it."""
    blobs = Blobs(folder)
    blob = blobs.keep(LARGE)
    os.utime(folder / blob.sha256, (0, 0))
    blobs.keep(LARGE)

    assert blobs.drop_unreferenced(set()) == 0


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_transform_stands_between_contents_and_the_disk(folder: Path, size: int) -> None:
    """Digest and size are of what is stored; what comes back is what came in."""

    def upper(chunks: Iterable[bytes]) -> Iterator[bytes]:
        return (chunk.upper() for chunk in chunks)

    def lower(chunks: Iterable[bytes]) -> Iterator[bytes]:
        return (chunk.lower() for chunk in chunks)

    blobs = Blobs(folder, upper, lower)
    blob = blobs.keep([b"a" * size])

    assert blob.sha256 == hashlib.sha256(b"A" * size).hexdigest()
    assert b"".join(blobs.chunks(blob)) == b"a" * size
