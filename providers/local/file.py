"""``local.file``: one regular file, its content and its attributes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from providers.contract import ABSENT, Call, Image, Planned, Value, Verb
from providers.local.attributes import Attributes, fixed, may_give
from providers.local.driver import LocalDriver, asked, findable, goal, one_of, stamp, uncancelled
from providers.local.place import READ, Place, Stamp, opened
from providers.local.refusals import refused

CHUNK: Final = 256 * 1024


class FileContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of create, update and put."""

    path: str
    content: str | None = None
    """The text to write, as UTF-8."""
    source: str | None = None
    """The file, also below the roots, whose bytes to write."""
    mode: str | None = None
    owner: str | None = None
    group: str | None = None


class FilePath(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of delete."""

    path: str


_OUTPUTS: Final[dict[str, Any]] = {
    "path": str,
    "size": int,
    "sha256": str,
    "mode": str,
    "owner": str,
    "group": str,
}


class LocalFile(LocalDriver):
    """A file below the roots. A symlink is never followed, a file with other hard links never touched."""

    type = "local.file"
    summary = "A file of this node: its content, mode, owner and group"
    kind = "file"
    spec = frozenset({"sha256", "mode", "owner", "group"})
    set_by: ClassVar[Mapping[str, str]] = {"sha256": "content"}
    steady = ("kind", "sha256", "mode", "uid", "gid", "xattrs", "flags", "mtime_ns")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": findable(
            arguments=FileContent,
            outputs=_OUTPUTS,
            inverse="delete",
            summary="Make a file where nothing is",
        ),
        "update": findable(
            arguments=FileContent,
            outputs=_OUTPUTS,
            inverse="update",
            summary="Change a file that is there; what is not named stays as it is",
        ),
        "put": findable(
            arguments=FileContent,
            outputs=_OUTPUTS,
            inverse="put_back",
            summary="Create or update, whichever it takes",
        ),
        "delete": findable(
            arguments=FilePath,
            outputs={"path": str},
            inverse="create",
            summary="Remove a file, if it is there",
        ),
    }

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Refuse what the settings do not allow, and a content that is missing, given twice or no text."""
        problems = super().check(verb, arguments)
        if verb == "delete":
            return problems
        if arguments.source is not None:
            problems += self.confined.problems("source", arguments.source)
        if arguments.content is not None and not _is_text(arguments.content):
            problems.append('"content" must be text that UTF-8 can hold; name other bytes by "source"')
        contents = one_of(arguments, ("content", "source"))
        if len(contents) > 1:
            problems.append('"content" and "source" exclude each other; leave one out')
        elif verb != "update" and not contents:
            problems.append(f'local.file.{verb} needs "content" or "source"; an empty file is content: ""')
        elif not contents and not asked(arguments):
            problems.append('local.file.update needs one of "content", "source", "mode", "owner", "group"')
        return problems

    def prepare(self, place: Place, call: Call) -> Planned:
        """Read the before-image; its content is kept where the call replaces or removes it."""
        st = place.stat()
        if st is None:
            return self._prepare_absent(place, call)
        if call.verb == "create":
            raise refused("exists", f"{place.path} is already there; use local.file.put, or another path")
        if not stat.S_ISREG(st.st_mode):
            raise refused(
                "not_a_file", f"{place.path} is {kind_of(st)}; {_USE.get(kind_of(st), 'use another path')}"
            )
        self._refuse_irrevocable(place)
        keep = call.verb == "delete" or _has_content(call.arguments)
        before = self._image(place, keep=keep)
        if call.verb == "delete":
            return Planned(before, ABSENT, ("kind", "sha256", "mode", "owner", "group"))
        return Planned(before, *self._to_be(place, call))

    def _prepare_absent(self, place: Place, call: Call) -> Planned:
        if call.verb == "delete":
            return Planned(ABSENT, ABSENT)
        if call.verb == "update":
            raise refused("not_found", f"{place.path} is not there; use local.file.create or local.file.put")
        return Planned(ABSENT, *self._to_be(place, call))

    def _to_be(self, place: Place, call: Call) -> tuple[Image, tuple[str, ...]]:
        """Give the planned after-image, and the fields that the call sets."""
        attributes = asked(call.arguments)
        if not may_give(place.folder, Attributes.in_fields(attributes)):
            raise refused(
                "not_permitted",
                f"{place.path}: the daemon may not give files to that owner or group; leave it out, "
                "or run the daemon with CAP_CHOWN",
            )
        fields: dict[str, Value] = {"kind": "file", **attributes}
        if _has_content(call.arguments):
            digest = hashlib.sha256()
            size = 0
            for chunk in self._given(call):
                digest.update(chunk)
                size += len(chunk)
            fields |= {"sha256": digest.hexdigest()}
            return Image(fields={**fields, "size": size}), tuple(fields)
        return Image(fields=fields), tuple(fields)

    def asked_for(self, arguments: Any) -> dict[str, Value]:
        """Give the fields that the arguments set, the content by its digest."""
        fields = super().asked_for(arguments)
        if not _has_content(arguments):
            return fields
        given = (
            [arguments.content.encode()]
            if arguments.content is not None
            else self._source(arguments.source, "")
        )
        counted = Counted(given)
        counted.drain()
        return {"sha256": counted.sha256, **fields}

    def _refuse_irrevocable(self, place: Place) -> None:
        fd = os.open(place.leaf, READ, dir_fd=place.folder)
        try:
            reason = irrevocable(fd, place.folder)
        finally:
            os.close(fd)
        if reason:
            raise refused("cannot_put_back", f"{place.path} could not be put back as it is: {reason}")

    def look(self, place: Place, call: Call) -> Image:
        """Read the file, its digest and its attributes."""
        st = place.stat()
        if st is None:
            return ABSENT
        if not stat.S_ISREG(st.st_mode):
            return other_kind(st)
        return self._image(place, keep=False)

    def keep(self, place: Place, call: Call) -> Image:
        """Read the file, and keep its content."""
        st = place.stat()
        if st is None or not stat.S_ISREG(st.st_mode):
            return self.look(place, call)
        return self._image(place, keep=True)

    def _image(self, place: Place, *, keep: bool) -> Image:
        fd = os.open(place.leaf, READ, dir_fd=place.folder)
        try:
            st = os.fstat(fd)
            counted = Counted(uncancelled(chunks_of(fd)))
            blobs = {"content": self.blobs.keep(counted)} if keep else {}
            counted.drain()
            if Stamp.of(os.fstat(fd)) != Stamp.of(st) or counted.size != st.st_size:
                raise refused(
                    "changed", f"{place.path} is being written to; retry when it is not", transient=True
                )
            return _image_of(place.path, fd, counted, blobs)
        finally:
            os.close(fd)

    def make(self, place: Place, call: Call, live: Image) -> Image:
        """Stage content and attributes beside the target, then put the staged file in its place."""
        attributes = Attributes.in_fields(goal(call).fields)
        if call.restore is None and live.exists:
            kept = msgspec.structs.replace(Attributes.in_fields(live.fields), mtime_ns=None)
            attributes = attributes.over(kept)
        image = self._stage(place, call, attributes)
        place.put(over=stamp(live) if live.exists else None)
        return image

    def _stage(self, place: Place, call: Call, attributes: Attributes) -> Image:
        place.discard()
        creating = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        # With a mode to come nobody else may read it before; without one the daemon's umask decides.
        mode = 0o666 if attributes.mode is None else 0o600
        fd = os.open(place.staged, creating, mode, dir_fd=place.folder)
        try:
            counted = Counted(uncancelled(self._given(call)))
            for chunk in counted:
                write_all(fd, chunk)
            if counted.sha256 != goal(call).fields["sha256"]:
                raise refused("changed", f"{place.path}: {_other_content(call)}")
            attributes.put_on(fd)
            os.fsync(fd)
            return _image_of(place.path, fd, counted, {})
        finally:
            os.close(fd)

    def _given(self, call: Call) -> Iterator[bytes]:
        """Give the content that is to be."""
        if call.restore is not None:
            yield from self._kept(call.restore)
        elif call.arguments.content is not None:
            yield call.arguments.content.encode()
        else:
            yield from self._copied(call)

    def _kept(self, image: Image) -> Iterator[bytes]:
        blob = image.blobs.get("content")
        if blob is None:
            raise refused(
                "changed", "the file is gone, and the step kept no content, as it changed none; skip it"
            )
        try:
            yield from self.blobs.chunks(blob)
        except (FileNotFoundError, ValueError) as problem:
            raise refused(
                "image_lost", f"the kept content cannot be read: {problem}; restore a backup"
            ) from problem

    def _copied(self, call: Call) -> Iterator[bytes]:
        yield from self._source(call.arguments.source, call.key)

    def _source(self, source: str, key: str) -> Iterator[bytes]:
        with opened(self.confined, self.confined.real(source), key) as place:
            st = place.stat()
            if st is None or not stat.S_ISREG(st.st_mode):
                found = "not there" if st is None else kind_of(st)
                raise refused(
                    "no_source", f'"source" {source} is {found}; name a regular file below the roots'
                )
            fd = os.open(place.leaf, READ, dir_fd=place.folder)
            try:
                yield from chunks_of(fd)
            finally:
                os.close(fd)

    def retouch(self, place: Place, wanted: Attributes, live: Image) -> None:
        """Put the attributes on the file, or leave it as it was."""
        retouch(place, wanted, READ, live)

    def take_away(self, place: Place, call: Call, live: Image) -> None:
        """Unlink the file that was looked at."""
        place.remove(stamp(live))

    def outputs(self, call: Call, image: Image) -> dict[str, Value]:
        """Give the file's facts; of a deleted one the path."""
        facts = {name: image.fields[name] for name in _OUTPUTS if name in image.fields}
        return facts | {"path": call.arguments.path}


class Counted:
    """Chunks on their way, with their digest and size so far."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    def drain(self) -> None:
        """Take what nobody has taken."""
        for _ in self:
            pass

    @property
    def sha256(self) -> str:
        """The digest of what has passed."""
        return self._digest.hexdigest()


def chunks_of(fd: int) -> Iterator[bytes]:
    """Read an open file to its end."""
    while chunk := os.read(fd, CHUNK):
        yield chunk


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of it: ``write`` may take less."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def retouch(place: Place, wanted: Attributes, how: int, live: Image) -> None:
    """Put attributes on what was looked at, all or none, and keep those that a change of owner takes away."""
    fd = os.open(place.leaf, how, dir_fd=place.folder)
    try:
        _refuse_another(place, os.fstat(fd), live)
        old = msgspec.structs.replace(Attributes.of(fd), mtime_ns=None, flags=None)
        chowned = wanted.uid is not None or wanted.gid is not None
        place.touched = True
        try:
            (wanted.over(Attributes(mode=old.mode, xattrs=old.xattrs)) if chowned else wanted).put_on(fd)
            os.fsync(fd)
        except BaseException:
            old.put_on(fd)
            place.touched = False
            raise
    finally:
        os.close(fd)


def _refuse_another(place: Place, st: os.stat_result, live: Image) -> None:
    """Refuse to touch what took the place of the thing since the look, or was put there as one more name of a file."""
    if st.st_ino != live.fields["inode"]:
        raise refused(
            "changed", f"{place.path} was replaced by somebody else just now; look at it, then retry"
        )
    if stat.S_ISREG(st.st_mode) and st.st_nlink > 1:
        what = "which would change with it; part them first (cp, mv), then retry"
        raise refused("hard_links", f"{place.path} has {st.st_nlink} hard links, {what}")


def irrevocable(fd: int, folder: int) -> str | None:
    """Say why an open file or folder could not be made again exactly as it is; None where it could."""
    st = os.fstat(fd)
    if stat.S_ISREG(st.st_mode) and st.st_nlink > 1:
        return f"it has {st.st_nlink} hard links; leave it out, or part them first (cp, mv)"
    flag = fixed(fd)
    if flag:
        return f"it is {flag}; take that off first (chattr)"
    if not may_give(folder, Attributes.of(fd)):
        return (
            "the daemon may not set its owner or attributes; run the daemon as its owner, or with CAP_CHOWN"
        )
    return None


def kind_of(st: os.stat_result) -> str:
    """Name what is there, for a message."""
    return {"file": "a file", "directory": "a folder", "symlink": "a symlink"}.get(
        _kind(st), "a device, socket or fifo"
    )


def other_kind(st: os.stat_result) -> Image:
    """Give the image of something that the driver is not for."""
    return Image(fields={"kind": _kind(st)})


def _kind(st: os.stat_result) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
    return kinds.get(stat.S_IFMT(st.st_mode), "special")


_USE: Final = {"a symlink": "use local.symlink, or the path it points to", "a folder": "use local.directory"}


def _image_of(path: str, fd: int, counted: Counted, blobs: dict[str, Any]) -> Image:
    st = os.fstat(fd)
    fields = {
        "kind": "file",
        "path": path,
        "size": counted.size,
        "sha256": counted.sha256,
        "inode": st.st_ino,
        "ctime_ns": st.st_ctime_ns,
    }
    return Image(fields=fields | Attributes.of(fd).fields(), blobs=blobs)


def _has_content(arguments: FileContent) -> bool:
    return arguments.content is not None or arguments.source is not None


def _other_content(call: Call) -> str:
    if call.restore is not None:
        return "the kept content is damaged; restore a backup of sagad's state"
    return f"the source {call.arguments.source} was changed meanwhile; retry"


def _is_text(content: str) -> bool:
    try:
        content.encode()
    except UnicodeEncodeError:
        return False
    return True
