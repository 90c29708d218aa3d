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
        "and put back the last backup of the state folder (`sagactl restore`)."
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
        "and put back the last backup of the state folder (`sagactl restore`)."
    )


class FolderInUse(StoreError):
    """Another sagad uses this state folder."""

    remedy = "Stop that one first, or give this one a folder of its own with --state-dir."


class FolderNotOurs(StoreError):
    """This state folder is not safe to use."""

    lasting = True
    remedy = "The folder must belong to the user that sagad runs as, and be closed to all others (mode 0700)."


class NotAFile(StoreError):
    """Something else is where sagad has a file or folder of its own."""

    lasting = True
    remedy = (
        "Nothing was changed. Move it away. `lock`, `head` and `reserve` are made anew; put anything else back from where "
        "it was kept, or from the last backup (`sagactl restore`)."
    )


class KeyExposed(FolderNotOurs):
    """This key is not safe to use."""

    remedy = "The user that sagad runs as must be able to read it, and nobody else (mode 0600)."


class KeyMissing(StoreError):
    """The node's key is missing or damaged, and without it nothing proves the record."""

    lasting = True
    remedy = "Put node.key back from where it was kept (32 bytes, mode 0600), or move the state folder away."


class TwoKeys(StoreError):
    """There are two keys for this node, and they differ."""

    lasting = True
    remedy = (
        "The record and what is sealed go by one. Copy the right one's bytes over the other, "
        "or move node.key away if it was never used."
    )


class RecordCutOff(StoreError):
    """This database lacks what was written to it last."""

    lasting = True
    remedy = (
        "Nothing was changed. If its write-ahead log (sagad.db-wal) was moved or removed, put it back beside it. Else "
        "an earlier copy of the database was put in place: what sagas did since is not on it, so restore a backup "
        "with `sagactl restore`, which holds them until somebody has looked. To begin anew with nothing on record, "
        "move the file `head` away too."
    )


class NoRoomForBackup(StoreError):
    """There is no room to make a backup."""

    remedy = "Make room on the disk of the state folder: the database is copied there first."


class BackupDamaged(StoreError):
    """This backup is damaged."""

    remedy = "Nothing was changed. Take another one."


class BackupTooNew(StoreError):
    """This backup was made by a newer sagad."""

    remedy = "Nothing was changed. Restore it with that release."


class AnotherNodesBackup(StoreError):
    """This backup was not made with this node's key, or was altered."""

    remedy = (
        "Nothing was changed. Put the key that the node had then (32 bytes, mode 0600) into the state folder as "
        "node.key: no backup holds it."
    )


class DatabaseThere(StoreError):
    """There is a database already, and a restore overwrites nothing."""

    remedy = "Move it away with all that begins with its name (sagad.db, sagad.db-wal, ...), or give another --state-dir."


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


class SealMissing(SecretUnusable, ValueError):
    """There is no such sealed value any more: it goes with its saga's record and its resource's."""

    remedy = "Bring it back from a backup of the state folder, or put another value in its place."


class SealBroken(SecretUnusable, ValueError):
    """What was sealed here cannot be opened."""

    remedy = "Bring it back from a backup of the state folder, then retry what needs it."


class SealedElsewhere(SealBroken):
    """This was sealed with another key than this node's."""

    remedy = (
        "Put back the key that the node had then (node.key in the state folder, or [secrets] key_file), "
        "start sagad again, then retry what needs it."
    )
