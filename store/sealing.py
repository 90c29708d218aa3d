"""Sealing bytes: AES-256-GCM in frames, so that a large content is neither read nor trusted whole at once.

A sealed stream is a head (what it is, which key, a salt), then frames of one size, the last one shorter or as long.
Each stream has a key of its own, made from the node's sealing key and the salt, so that a nonce need only be unique
within it: it is the frame's number, with a mark on the last one. So frames cannot be swapped, left out or cut off
(the STREAM construction: Hoang, Reyhanitabar, Rogaway and Vizár, 2015). `about` says what is sealed, and must be the
same again: a sealed value does not open in another's place.

`cryptography` is imported with the first thing that is sealed or opened: it takes 20 ms and some MB, and most nodes
never need it.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator
from typing import Any

from store.errors import SealBroken, SealedElsewhere

FRAME = 1 << 18
"""Bytes of a frame, before it is sealed."""

_MAGIC = b"\x93sagad\x00\x01"
_KEY_ID = 8
_SALT = 16
_TAG = 16
_HEAD = len(_MAGIC) + _KEY_ID + _SALT
_MIDDLE, _LAST = b"\0\0\0\0", b"\0\0\0\1"


class Sealer:
    """Seals with a key derived from the node's. Any thread may call."""

    def __init__(self, node_key: bytes) -> None:
        self._key = hmac.digest(node_key, b"sagad sealing key", "sha256")
        self._key_id = hmac.digest(self._key, b"which key", "sha256")[:_KEY_ID]

    def seal(self, chunks: Iterable[bytes], about: bytes) -> Iterator[bytes]:
        """Give the chunks sealed."""
        salt = os.urandom(_SALT)
        cipher = self._cipher(salt)
        yield _MAGIC + self._key_id + salt
        for number, (frame, last) in enumerate(_frames(chunks, FRAME)):
            yield cipher.encrypt(_nonce(number, last=last), frame, about)

    def open(self, chunks: Iterable[bytes], about: bytes, where: object) -> Iterator[bytes]:
        """Give back what was sealed, each frame once it is proved.

        Raises SealedElsewhere and SealBroken, naming `where` it lies. That it ends too early shows at its end only.
        """
        frames = _frames(_behind_head(chunks, head := bytearray()), FRAME + _TAG)
        first = next(frames)
        if not self.has_sealed(head) or len(head) < _HEAD:
            raise SealBroken(where, "it does not begin as what is sealed does")
        if head[len(_MAGIC) : len(_MAGIC) + _KEY_ID] != self._key_id:
            raise SealedElsewhere(where)
        cipher = self._cipher(bytes(head[-_SALT:]))
        yield _opened(cipher, 0, first, about, where)
        for number, frame in enumerate(frames, 1):
            yield _opened(cipher, number, frame, about, where)

    def has_sealed(self, start: bytes | bytearray) -> bool:
        """Tell whether bytes begin as what is sealed does."""
        return start.startswith(_MAGIC)

    def _cipher(self, salt: bytes) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._key, b"one stream" + salt, "sha256"))


def _opened(cipher: Any, number: int, frame: tuple[bytes, bool], about: bytes, where: object) -> bytes:
    from cryptography.exceptions import InvalidTag

    data, last = frame
    try:
        opened: bytes = cipher.decrypt(_nonce(number, last=last), data, about)
    except (InvalidTag, ValueError):
        raise SealBroken(where, "it was altered, cut off or put in another's place") from None
    return opened


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(8, "big") + (_LAST if last else _MIDDLE)


def _behind_head(chunks: Iterable[bytes], head: bytearray) -> Iterator[bytes]:
    """Give what comes behind the head, which goes into `head`."""
    for chunk in chunks:
        if (missing := _HEAD - len(head)) > 0:
            head += chunk[:missing]
            yield chunk[missing:]
        else:
            yield chunk


def _frames(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Cut a stream into frames and say which is the last. There is at least one, if an empty one."""
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        while len(rest) > size:
            yield bytes(rest[:size]), False
            del rest[:size]
    yield bytes(rest), True
