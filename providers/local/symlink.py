"""``local.symlink``: one symlink and where it points. What it points to is not looked at and may be anywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from providers.contract import ABSENT, Call, Image, Planned, Value, Verb
from providers.local.attributes import Attributes, may_give
from providers.local.driver import LocalDriver, findable, goal, stamp
from providers.local.file import kind_of, other_kind
from providers.local.place import Place
from providers.local.refusals import refused


class SymlinkTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of create and update."""

    path: str
    target: str


class SymlinkPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of delete."""

    path: str


_OUTPUTS: Final[dict[str, Any]] = {"path": str, "target": str}


class LocalSymlink(LocalDriver):
    """A symlink below the roots; it is changed by one rename, so that it points somewhere at every moment."""

    type = "local.symlink"
    summary = "A symlink of this node"
    kind = "symlink"
    spec = frozenset({"target"})
    steady = ("kind", "target", "uid", "gid")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": findable(
            arguments=SymlinkTarget,
            outputs=_OUTPUTS,
            inverse="delete",
            summary="Make a symlink where nothing is",
        ),
        "update": findable(
            arguments=SymlinkTarget,
            outputs=_OUTPUTS,
            inverse="update",
            summary="Let a symlink that is there point elsewhere",
        ),
        "delete": findable(
            arguments=SymlinkPath,
            outputs={"path": str},
            inverse="create",
            summary="Remove a symlink, if it is there",
        ),
    }

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Refuse what the settings do not allow, and a target that no symlink can have."""
        problems = super().check(verb, arguments)
        target = getattr(arguments, "target", "unused")
        if not target or "\0" in target:
            problems.append(f'"target" must be a path: {target!r}; write where the symlink shall point')
        return problems

    def asked_for(self, arguments: Any) -> dict[str, Value]:
        """Give where it is to point."""
        return {"target": arguments.target}

    def prepare(self, place: Place, call: Call) -> Planned:
        """Read where it points now."""
        st = place.stat()
        if st is None and call.verb == "update":
            raise refused("not_found", f"{place.path} is not there; use local.symlink.create")
        if st is not None and call.verb == "create":
            raise refused(
                "exists", f"{place.path} is already there; use local.symlink.update, or another path"
            )
        if st is not None:
            _refuse_irrevocable(place, st)
        before = self.look(place, call)
        if call.verb == "delete":
            return Planned(before, ABSENT, ("kind", "target", "owner", "group") if before.exists else ())
        _ = place.folder  # refuses where it is missing
        after = Image(fields={"kind": "symlink", "target": call.arguments.target})
        return Planned(before, after, ("kind", "target"))

    def look(self, place: Place, call: Call) -> Image:
        """Read the symlink."""
        st = place.stat()
        if st is None:
            return ABSENT
        if not stat.S_ISLNK(st.st_mode):
            return other_kind(st)
        fields: dict[str, Value] = {
            "kind": "symlink",
            "path": place.path,
            "target": os.readlink(place.leaf, dir_fd=place.folder),
            "inode": st.st_ino,
            "ctime_ns": st.st_ctime_ns,
        }
        return Image(
            fields=fields | Attributes(uid=st.st_uid, gid=st.st_gid, mtime_ns=st.st_mtime_ns).fields()
        )

    def make(self, place: Place, call: Call, live: Image) -> Image:
        """Stage a symlink beside the place, then put it there."""
        place.discard()
        wanted = goal(call)
        os.symlink(wanted.fields["target"], place.staged, dir_fd=place.folder)
        if call.restore is not None or live.exists:
            given = Attributes.in_fields((call.restore or live).fields)
            os.chown(place.staged, given.uid or 0, given.gid or 0, dir_fd=place.folder, follow_symlinks=False)
        if call.restore is not None:
            mtime = wanted.fields["mtime_ns"]
            os.utime(place.staged, ns=(mtime, mtime), dir_fd=place.folder, follow_symlinks=False)
        place.put(over=stamp(live) if live.exists else None)
        return self.look(place, call)

    def take_away(self, place: Place, call: Call, live: Image) -> None:
        """Unlink the symlink that was looked at."""
        place.remove(stamp(live))

    def outputs(self, call: Call, image: Image) -> dict[str, Value]:
        """Give path and target; of a deleted one the path."""
        facts = {"target": image.fields["target"]} if "target" in image.fields else {}
        return {"path": call.arguments.path} | facts


def _refuse_irrevocable(place: Place, st: os.stat_result) -> None:
    if not stat.S_ISLNK(st.st_mode):
        raise refused(
            "not_a_symlink", f"{place.path} is {kind_of(st)}; use the driver for that, or another path"
        )
    if st.st_nlink > 1:
        raise refused(
            "cannot_put_back", f"{place.path} could not be put back as it is: it has hard links; leave it out"
        )
    if not may_give(place.folder, Attributes(uid=st.st_uid, gid=st.st_gid)):
        raise refused(
            "cannot_put_back",
            f"{place.path} could not be put back as it is: the daemon may not set its owner; run it with CAP_CHOWN",
        )
