"""Which blobs the executions on record name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from actors.saga.dossier import IMAGE, INTENT
from providers.contract import Image


def named_blobs(db: sqlite3.Connection) -> set[str]:
    """Give the names of the files in the blob folder that images on record are made of."""
    found: set[str] = set()
    for plan, after in db.execute("SELECT plan, after FROM executions"):
        for image in _images(plan, after):
            found |= {blob.sha256 for blob in image.blobs.values() if blob.data is None}
    return found


def _images(plan: bytes, after: bytes | None) -> Iterator[Image]:
    try:
        intent = INTENT.decode(plan)
        yield from (image for image in (intent.before, intent.after) if image is not None)
        if after is not None:
            yield IMAGE.decode(after)
    except msgspec.DecodeError:
        return  # of another release; audit and replay look at what that means
