"""``local.directory``: one folder and its attributes; with ``recursive``, all that is in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from providers.contract import ABSENT, Blob, Call, Image, Planned, Value, Verb
from providers.local.attributes import Attributes, may_give
from providers.local.driver import LocalDriver, asked, findable, goal, stamp, uncancelled
from providers.local.file import Counted, irrevocable, kind_of, other_kind, retouch
from providers.local.place import READ, Place
from providers.local.refusals import refused
from providers.local.tree import pack, unpack


class DirectoryAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of create and update."""

    path: str
    mode: str | None = None
    owner: str | None = None
    group: str | None = None


class DirectoryPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of delete."""

    path: str
    recursive: bool = False
    """Remove also what is in it; the whole tree is kept for the way back."""


_OUTPUTS: Final[dict[str, Any]] = {"path": str, "mode": str, "owner": str, "group": str}
_FOLDER: Final = READ | os.O_DIRECTORY


class LocalDirectory(LocalDriver):
    """A folder below the roots. Its parents are not made for it, and what is in it is left alone, unless asked for.

    ``empty`` is among what a create leaves behind and its undo goes by: files that other steps of the saga have put
    in are taken away before it; any other file in it is somebody's, and a conflict.
    """

    type = "local.directory"
    summary = "A folder of this node: its mode, owner and group"
    kind = "directory"
    spec = frozenset({"mode", "owner", "group"})
    steady = ("kind", "mode", "uid", "gid", "xattrs", "flags", "tree")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": findable(
            arguments=DirectoryAttributes,
            outputs=_OUTPUTS,
            inverse="delete",
            summary="Make a folder where nothing is",
        ),
        "update": findable(
            arguments=DirectoryAttributes,
            outputs=_OUTPUTS,
            inverse="update",
            summary="Change a folder's mode, owner or group",
        ),
        "delete": findable(
            arguments=DirectoryPath,
            outputs={"path": str},
            inverse="create",
            summary="Remove a folder, if it is there; with recursive, also what is in it",
        ),
    }

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Refuse what the settings do not allow, and an update of nothing."""
        problems = super().check(verb, arguments)
        if verb == "update" and not asked(arguments):
            problems.append('local.directory.update needs one of "mode", "owner", "group"')
        return problems

    def prepare(self, place: Place, call: Call) -> Planned:
        """Read the before-image, for a recursive delete the whole tree."""
        st = place.stat()
        if st is None:
            return self._prepare_absent(place, call)
        if call.verb == "create":
            raise refused(
                "exists", f"{place.path} is already there; use local.directory.update, or another path"
            )
        if not stat.S_ISDIR(st.st_mode):
            raise refused(
                "not_a_folder", f"{place.path} is {kind_of(st)}; use the driver for that, or another path"
            )
        _refuse_irrevocable(place)
        if call.verb == "delete":
            return self._prepare_delete(place, call)
        return Planned(self._image(place), *_to_be(place, call))

    def _prepare_absent(self, place: Place, call: Call) -> Planned:
        if call.verb == "delete":
            return Planned(ABSENT, ABSENT)
        if call.verb == "update":
            raise refused("not_found", f"{place.path} is not there; use local.directory.create")
        after, fields = _to_be(place, call)
        fields = (*fields, "empty")
        return Planned(ABSENT, Image(fields={**after.fields, "empty": True}), fields)

    def _prepare_delete(self, place: Place, call: Call) -> Planned:
        before = self._image(place)
        fields = ("kind", "mode", "owner", "group")
        if not call.arguments.recursive:
            if not before.fields["empty"]:
                raise refused(
                    "not_empty", f"{place.path} is not empty; empty it first, or say `recursive: true`"
                )
            return Planned(before, ABSENT, (*fields, "empty"))
        counted = Counted(uncancelled(pack(place.leaf, place.folder, _Judge(place))))
        tree = self.blobs.keep(counted)
        return Planned(_with_tree(before, counted, tree), ABSENT, (*fields, "tree"))

    def look(self, place: Place, call: Call) -> Image:
        """Read the folder; where the call is about its tree, the tree's digest too."""
        st = place.stat()
        if st is None:
            return ABSENT
        if not stat.S_ISDIR(st.st_mode):
            return other_kind(st)
        image = self._image(place)
        if "tree" not in call.fields:
            return image
        counted = Counted(uncancelled(pack(place.leaf, place.folder, _accept)))
        counted.drain()
        return _with_tree(image, counted, None)

    def _image(self, place: Place) -> Image:
        fd = os.open(place.leaf, _FOLDER, dir_fd=place.folder)
        try:
            return _image_of(place.path, fd)
        finally:
            os.close(fd)

    def left(self, call: Call, live: Image) -> Image:
        """Leave what was created empty, whatever somebody may have put in since."""
        if not live.exists or "empty" not in goal(call).fields:
            return live
        return Image(fields={**live.fields, "empty": goal(call).fields["empty"]})

    def make(self, place: Place, call: Call, live: Image) -> Image:
        """Stage the folder, and its tree, beside the place, then put it there."""
        place.discard()
        if "tree" in goal(call).fields:
            self._stage_tree(place, goal(call))
        else:
            _stage(place, Attributes.in_fields(goal(call).fields))
        place.put_folder()
        return self.look(place, call)

    def _stage_tree(self, place: Place, image: Image) -> None:
        counted = Counted(uncancelled(self.blobs.chunks(image.blobs["tree"])))
        try:
            unpack(counted, place.staged, place.folder)
            counted.drain()
        except (FileNotFoundError, ValueError, msgspec.MsgspecError) as problem:
            raise refused(
                "image_lost", f"the kept tree cannot be read: {problem}; restore a backup"
            ) from problem
        if counted.sha256 != image.fields["tree"]:
            raise refused("image_lost", "the kept tree is damaged; restore a backup of sagad's state")

    def retouch(self, place: Place, wanted: Attributes, live: Image) -> None:
        """Put the attributes on the folder, or leave it as it was."""
        retouch(place, wanted, _FOLDER, live)

    def take_away(self, place: Place, call: Call, live: Image) -> None:
        """Remove the folder; with what is in it where the call's before-image holds that."""
        if "tree" in live.fields:
            place.remove_tree(stamp(live))
        else:
            place.remove_folder()

    def outputs(self, call: Call, image: Image) -> dict[str, Value]:
        """Give the folder's facts; of a deleted one the path."""
        facts = {name: image.fields[name] for name in _OUTPUTS if name in image.fields}
        return facts | {"path": call.arguments.path}


class _Judge:
    """Refuses a tree that could not be made again exactly as it is."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._device = os.fstat(place.folder).st_dev

    def __call__(self, path: str, fd: int | None, st: os.stat_result) -> None:
        reason = self._reason(fd, st)
        if reason:
            whole = os.path.join(os.path.dirname(self._place.path), path)
            raise refused("cannot_put_back", f"{whole} could not be put back as it is: {reason}")

    def _reason(self, fd: int | None, st: os.stat_result) -> str | None:
        if st.st_dev != self._device:
            return "another file system is mounted there; unmount it first"
        if fd is not None:
            return irrevocable(fd, self._place.folder)
        if not stat.S_ISLNK(st.st_mode):
            return "it is a device, socket or fifo; remove it first"
        if st.st_nlink > 1:
            return f"it has {st.st_nlink} hard links; remove it first"
        if not may_give(self._place.folder, Attributes(uid=st.st_uid, gid=st.st_gid)):
            return "the daemon may not set its owner; run the daemon with CAP_CHOWN"
        return None


def _accept(path: str, fd: int | None, st: os.stat_result) -> None:
    """Judge nothing: only a digest is wanted."""


def _stage(place: Place, attributes: Attributes) -> None:
    # With a mode to come nobody else may enter it before; without one the daemon's umask decides.
    mode = 0o777 if attributes.mode is None else 0o700
    os.mkdir(place.staged, mode, dir_fd=place.folder)
    fd = os.open(place.staged, _FOLDER, dir_fd=place.folder)
    try:
        msgspec.structs.replace(attributes, mtime_ns=None).put_on(fd)
        os.fsync(fd)
    finally:
        os.close(fd)


def _to_be(place: Place, call: Call) -> tuple[Image, tuple[str, ...]]:
    attributes = asked(call.arguments)
    if not may_give(place.folder, Attributes.in_fields(attributes)):
        raise refused(
            "not_permitted",
            f"{place.path}: the daemon may not give folders to that owner or group; leave it out, "
            "or run the daemon with CAP_CHOWN",
        )
    fields: dict[str, Value] = {"kind": "directory", **attributes}
    return Image(fields=fields), tuple(fields)


def _refuse_irrevocable(place: Place) -> None:
    fd = os.open(place.leaf, _FOLDER, dir_fd=place.folder)
    try:
        mounted = os.fstat(fd).st_dev != os.fstat(place.folder).st_dev
        reason = (
            "a file system is mounted there; unmount it first" if mounted else irrevocable(fd, place.folder)
        )
    finally:
        os.close(fd)
    if reason:
        raise refused("cannot_put_back", f"{place.path} could not be put back as it is: {reason}")


def _image_of(path: str, fd: int) -> Image:
    st = os.fstat(fd)
    fields = {
        "kind": "directory",
        "path": path,
        "empty": not os.listdir(fd),
        "inode": st.st_ino,
        "ctime_ns": st.st_ctime_ns,
    }
    attributes = Attributes.of(fd).fields()
    del attributes["mtime_ns"]  # not promised
    return Image(fields=fields | attributes)


def _with_tree(image: Image, counted: Counted, tree: Blob | None) -> Image:
    fields = {**image.fields, "tree": counted.sha256, "size": counted.size}
    return Image(fields=fields, blobs={} if tree is None else {"tree": tree})
