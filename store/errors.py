"""What can be wrong with what is on disk: each error says what it is and what the operator can do about it."""

from __future__ import annotations

from typing import ClassVar


class StoreError(Exception):
    """The state folder cannot be used."""

    remedy: ClassVar[str] = "Look at the state folder: its owner, its modes, the disk below it."
    lasting: ClassVar[bool] = False
    """Starting again will not help: somebody has to act first."""

    def __init__(self, where: object = "", detail: str = "") -> None:
        self.where = str(where)
        self.detail = detail
        text = (type(self).__doc__ or "").split("\n\n")[0].replace("\n    ", " ").rstrip(".")
        whole = ": ".join(part for part in (self.where, text, detail) if part)
        super().__init__(f"{whole}. {self.remedy}")


class NotADatabase(StoreError):
    """This is not a database of sagad."""

    lasting = True
    remedy = "Nothing was changed. Move the file away, or give another state folder with --state-dir."


class DatabaseTooNew(StoreError):
    """This database was written by a newer sagad."""

    lasting = True
    remedy = "Nothing was changed. Start the newer sagad again, or restore a backup made by this version."


class DatabaseDamaged(StoreError):
    """This database is damaged."""

    lasting = True
    remedy = (
        "Nothing was changed. Keep a copy of the folder, check the disk, "
        "and put back the last backup of the state folder."
    )


class SchemaDiffers(StoreError):
    """This database's tables are not those that sagad made."""

    lasting = True
    remedy = "Nothing was changed. Undo what was done to it by hand, or put back the last backup of the state folder."


class ChainBroken(StoreError):
    """The record does not prove itself."""

    lasting = True
    remedy = (
        "Somebody or something changed the journal behind sagad's back. Keep a copy of the folder as evidence, "
        "and put back the last backup of the state folder."
    )


class FolderInUse(StoreError):
    """Another sagad uses this state folder."""

    remedy = "Stop that one first, or give this one a folder of its own with --state-dir."


class FolderNotOurs(StoreError):
    """This state folder is not safe to use."""

    lasting = True
    remedy = "The folder must belong to the user that sagad runs as, and be closed to all others (mode 0700)."


class KeyMissing(StoreError):
    """The node's key is missing or damaged, and without it nothing proves the record."""

    lasting = True
    remedy = "Put node.key back from where it was kept (32 bytes, mode 0600), or move the state folder away."


class JournalRefused(StoreError):
    """This transition contradicts what is on record.

    None of it was written; the other transitions of its group were.
    """

    remedy = "This is a bug in sagad: please report it with the journal's lines about this saga."


class JournalClosed(StoreError):
    """The journal is closed."""

    remedy = "The daemon is stopping; the transition will be decided again at its next start."


class StorageFailing(StoreError):
    """There is no room to write, or the disk fails.

    Inside the store, but at the start: the journal keeps the transitions and tries again.
    """

    remedy = "Make room, or mend the disk: sagad goes on by itself."


class SubscriberTooSlow(StoreError):
    """This reader did not keep up with the journal, and was dropped."""

    remedy = "Read on from the last event that you have: `?after=N`, or Last-Event-ID."


class BlobMissing(StoreError, FileNotFoundError):
    """A content that the record names is not in the blob folder."""

    remedy = "Bring it back from a backup of the state folder."


class BlobDamaged(StoreError, ValueError):
    """A content in the blob folder is not what the record says."""

    remedy = "Bring it back from a backup of the state folder."


class SecretUnusable(StoreError):
    """This secret cannot be used."""

    remedy = "Put the value, at least 4 characters of UTF-8, in one file of that name in the secrets folder."
