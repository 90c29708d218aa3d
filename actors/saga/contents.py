"""The blob folder as drivers see it: one shape on the drivers' side, another on the store's, and neither knows both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from providers.contract import Blob
from store.blobs import Blobs, StoredBlob


class Contents:
    """``providers.contract.Blobs``, kept in the store."""

    def __init__(self, blobs: Blobs) -> None:
        """Keep contents in this folder."""
        self._blobs = blobs

    def keep(self, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes durably and give their blob."""
        stored = self._blobs.keep(chunks)
        return Blob(stored.sha256, stored.size, stored.data)

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """Give the bytes back."""
        return self._blobs.chunks(StoredBlob(blob.sha256, blob.size, blob.data))
