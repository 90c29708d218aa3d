"""How far the record has come, noted down beside the database: what shows that its write-ahead log is gone.

A database whose log was removed, cut short or damaged opens without a word, at an earlier moment: SQLite takes what it
finds for all there is, and so does the chain, whose head was signed at that moment too. So after each commit its number
and hash are written to a file of their own, without waiting for the disk (2 µs; the commit itself has waited): after
SIGKILL it is as far as the last commit, after a power cut perhaps behind it, never ahead of it.
"""

from __future__ import annotations

import hmac
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from store import chain

NAME = "head"
_HASH, _MAC = slice(8, 40), slice(40, 72)


class Noted(NamedTuple):
    """Where the record had come to."""

    seq: int
    hash: bytes


class Watermark:
    """The file. Where it cannot be written it stays behind, which is no harm."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, seq: int, hash: bytes, mac: bytes) -> None:
        """Note how far the record is durable."""
        with suppress(OSError):
            os.pwrite(self._file, b"%b%b%b" % (seq.to_bytes(8, "big"), hash, mac), 0)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)


def noted(path: Path, node_key: bytes, node: str | None) -> Noted | None:
    """Read what was noted; None where there is nothing, or it is not this node's.

    Of a database that is gone nobody knows the node: then the signature is not looked at.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    seq, hash_ = int.from_bytes(content[:8], "big", signed=True), content[_HASH]
    if len(content) != _MAC.stop:
        return None
    if node is not None and not hmac.compare_digest(content[_MAC], chain.mac(node_key, node, seq, hash_)):
        return None
    return Noted(seq, hash_)
