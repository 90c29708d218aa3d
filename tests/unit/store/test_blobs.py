from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from store.blobs import INLINE, Blobs, StoredBlob
from store.errors import BlobDamaged, BlobMissing, SealBroken, SealedElsewhere
from store.sealing import FRAME

KEY = b"k" * 32
LARGE = [os.urandom(INLINE), b"x" * 100_000, b"end"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the contents go."""
    return tmp_path / "blobs"


def test_a_small_content_stays_with_its_record(folder: Path) -> None:
    """Up to the limit there is no file, and the answer carries the bytes, sealed."""
    blob = Blobs(folder, KEY).keep([b"a" * (INLINE - 1), b"b"])

    assert blob.sha256 == hashlib.sha256(b"a" * (INLINE - 1) + b"b").hexdigest()
    assert blob.data is not None
    assert b"aaaa" not in blob.data
    assert list(folder.iterdir()) == []
    assert b"".join(Blobs(folder, KEY).chunks(blob)) == b"a" * (INLINE - 1) + b"b"


def test_a_large_content_is_a_file_named_by_its_digest(folder: Path) -> None:
    """It is for its owner only, and comes back byte for byte."""
    blobs, whole = Blobs(folder, KEY), b"".join(LARGE)
    blob = blobs.keep(LARGE)

    assert blob == StoredBlob(hashlib.sha256(whole).hexdigest(), len(whole))
    assert [path.name for path in folder.iterdir()] == [blob.sha256]
    assert (folder / blob.sha256).stat().st_mode & 0o777 == 0o600
    assert b"".join(blobs.chunks(blob)) == whole


def test_the_same_content_is_kept_once(folder: Path) -> None:
    """Content-addressed means that a second keep changes nothing."""
    blobs = Blobs(folder, KEY)

    assert blobs.keep(LARGE) == blobs.keep([b"".join(LARGE)])
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"y" * 10, None])
def test_a_damaged_or_missing_content_is_refused_before_its_first_byte(
    folder: Path, damage: bytes | None
) -> None:
    """A restore must never begin with wrong bytes."""
    blobs = Blobs(folder, KEY)
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
        Blobs(folder, KEY).keep(broken())

    assert list(folder.iterdir()) == []


def test_what_a_crash_left_half_written_is_removed_at_the_next_start(folder: Path) -> None:
    """Only what has its name is whole."""
    Blobs(folder, KEY)
    (folder / ".new-1234").write_bytes(b"half")
    Blobs(folder, KEY)

    assert list(folder.iterdir()) == []


def test_only_what_nobody_names_and_nobody_just_stored_is_dropped(folder: Path) -> None:
    """A content whose commit is on its way is not yet named anywhere."""
    blobs = Blobs(folder, KEY)
    named, forgotten, fresh = (blobs.keep([letter * 50_000]) for letter in (b"a", b"b", b"c"))
    for blob in (named, forgotten):
        os.utime(folder / blob.sha256, (0, 0))

    assert blobs.drop_unreferenced({named.sha256}) == 1
    assert {path.name for path in folder.iterdir()} == {named.sha256, fresh.sha256}


def test_storing_a_content_again_keeps_it_from_being_dropped(folder: Path) -> None:
    """The old file is nobody's, but the new commit is going to name it."""
    blobs = Blobs(folder, KEY)
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

    blobs = Blobs(folder, KEY, upper, lower)
    blob = blobs.keep([b"a" * size])

    assert blob.sha256 == hashlib.sha256(b"A" * size).hexdigest()
    assert b"".join(blobs.chunks(blob)) == b"a" * size


# --- sealed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, INLINE, INLINE + 1, FRAME, FRAME + 1, 3 * FRAME])
def test_what_lies_there_says_nothing_of_the_content(folder: Path, size: int) -> None:
    """Not a piece of it, at any size; and it comes back whole."""
    blobs, content = Blobs(folder, KEY), b"password=" * (size // 9 + 1)
    blob = blobs.keep([content[:size]])
    lying = blob.data if blob.data is not None else (folder / blob.sha256).read_bytes()

    assert b"passw" not in lying
    assert b"".join(blobs.chunks(blob)) == content[:size]


@pytest.mark.parametrize(
    "content", [b"", b"small", b"large" * 20_000, b"\x93sagad\x00\x01 by chance" * 5_000]
)
def test_what_an_earlier_release_has_kept_still_opens(folder: Path, content: bytes) -> None:
    """It lies there as it is. Kept again, it is sealed."""
    blobs, sha256 = Blobs(folder, KEY), hashlib.sha256(content).hexdigest()
    small = len(content) <= INLINE
    old = StoredBlob(sha256, len(content), content if small else None)
    if not small:
        (folder / sha256).write_bytes(content)
    before = b"".join(blobs.chunks(old))
    new = blobs.keep([content])

    assert before == b"".join(blobs.chunks(new)) == b"".join(blobs.chunks(new if small else old)) == content
    assert small or (folder / sha256).read_bytes() != content


@pytest.mark.parametrize("at", [0, 8, 20, 40, FRAME, -1])
def test_a_change_anywhere_is_refused_before_the_first_byte(folder: Path, at: int) -> None:
    """Whichever byte it is."""
    blobs = Blobs(folder, KEY)
    blob = blobs.keep([os.urandom(2 * FRAME)])
    lying = bytearray((folder / blob.sha256).read_bytes())
    lying[at] ^= 1
    (folder / blob.sha256).write_bytes(lying)

    with pytest.raises((BlobDamaged, SealBroken, SealedElsewhere), match=blob.sha256):
        blobs.chunks(blob)


def test_another_content_under_its_name_is_refused(folder: Path) -> None:
    """Both were sealed here, but this is not the one."""
    blobs = Blobs(folder, KEY)
    one, other = blobs.keep([b"one" * 50_000]), blobs.keep([b"other" * 50_000])
    (folder / other.sha256).rename(folder / one.sha256)

    with pytest.raises(BlobDamaged, match=one.sha256):
        blobs.chunks(one)
    with pytest.raises(BlobDamaged, match="in the record"):
        blobs.chunks(one._replace(data=blobs.keep([b"small"]).data))


def test_a_content_of_another_node_says_that_the_key_is_missing(folder: Path) -> None:
    """And what to do: the file is whole."""
    blob = Blobs(folder, b"another" * 5).keep(LARGE)

    with pytest.raises(SealedElsewhere, match="key_file"):
        Blobs(folder, KEY).chunks(blob)
