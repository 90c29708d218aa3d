"""The chain that makes the record prove itself (SPEC §7): what is hashed, and in which order of bytes.

Nothing is ambiguous: in a link all parts but the last have a fixed length, and a body is hashed as the bytes that are
kept. Anybody can check the record with nothing but SHA-256; only the head's MAC takes the node's key.
"""

from __future__ import annotations

import hashlib
import hmac

GENESIS = bytes(32)
"""The hash before the first event."""

_sha256 = hashlib.sha256


def digest(body: bytes) -> bytes:
    """The digest of an event's body: SHA-256 of its JSON, as it is kept."""
    return _sha256(body).digest()


def link(previous: bytes, seq: int, digest: bytes, saga: str | None) -> bytes:
    """An event's hash: SHA-256 of previous hash (32) ‖ seq (8, signed, big-endian) ‖ digest (32) ‖ saga's id (the rest)."""
    return _sha256(b"%b%b%b%b" % (previous, _number(seq), digest, (saga or "").encode())).digest()


def mac(node_key: bytes, node: str, seq: int, head: bytes) -> bytes:
    """What only the holder of the node's key can say about where the record ends."""
    return hmac.digest(node_key, b"sagad head\0%b%b%b" % (_number(seq), head, node.encode()), "sha256")


def _number(seq: int) -> bytes:
    """Write a number as SQLite has it, so that there are bytes for whatever somebody has put there."""
    return seq.to_bytes(8, "big", signed=True)
