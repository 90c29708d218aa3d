"""The life of every operation on a place of the file system; what is special to a type is in its own file.

How an effect happens, and how ``find`` can always tell:

===============  ==========================================  ====================================================
what             how                                         after a crash
===============  ==========================================  ====================================================
something new    staged beside, synced, then one link (a     staged name there: not done, unless both names are
                 folder: one rename that replaces nothing)   one file (linked, not yet unlinked); else compared
in place of old  staged beside, synced, then one rename      staged name there: not done; else compared
attributes only  in place, so that who has the file open     compared; where some are new and some old, the old
                 does not lose it                            ones are put back: not done
gone             one unlink or rmdir                         compared
tree gone        one rename to the staged name, then         staged name there: done, once it is cleared away
                 cleared away
===============  ==========================================  ====================================================

The staged name is made from the idempotency key, so it is this operation's and nobody else's; whichever way a call
ends, it removes it. All of a call's work is one hop to a worker thread, which is awaited also when the call is
cancelled: a call that could finish reports so, and none leaves a thread behind.
"""

from __future__ import annotations

import abc
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar

import msgspec
from anyio import from_thread, to_thread

from providers.contract import (
    ABSENT,
    Call,
    Done,
    Driver,
    Ended,
    Finding,
    Image,
    NotDone,
    Outcome,
    Planned,
    Resource,
    Succeeded,
    Unclear,
    Unknown,
    Value,
    Verb,
)
from providers.local.attributes import Attributes, group_id, user_id
from providers.local.confined import Confined
from providers.local.place import Place, Stamp, opened
from providers.local.refusals import failure, refused

T = TypeVar("T")

ATTRIBUTES = frozenset({"mode", "owner", "group"})
"""The fields that are changed in place."""

findable = partial(Verb, repeat="find", finds=True)
"""A verb of which it can be seen in the file system whether it was done."""

_MODE = re.compile(r"0?[0-7]{3,4}")


class LocalDriver(Driver):
    """A driver for one kind of thing in the file system."""

    version = "1.0"
    kind: ClassVar[str]
    """What an image's ``kind`` says, and messages call it."""
    steady: ClassVar[tuple[str, ...]]
    """The fields that must not differ between the plan and the moment of change."""

    def settle_in(self, settings: Mapping[str, Any]) -> None:
        """Take ``roots`` from the settings; without them drivers may do what the daemon's user may."""
        super().settle_in(settings)
        self.confined = Confined(settings.get("roots", ["/"]), settings.get("closed", ()))

    # --- what a type says of itself -------------------------------------------------------------------------------

    @abc.abstractmethod
    def prepare(self, place: Place, call: Call) -> Planned:
        """Read the before-image, keeping contents, and refuse what could not be put back."""

    @abc.abstractmethod
    def look(self, place: Place, call: Call) -> Image:
        """Read the thing as it is, keeping nothing. Where another kind of thing is, its kind is all there is."""

    @abc.abstractmethod
    def make(self, place: Place, call: Call, live: Image) -> Image:
        """Stage the thing that is to be, make it the target, and give its image."""

    @abc.abstractmethod
    def take_away(self, place: Place, call: Call, live: Image) -> None:
        """Remove the thing, which is as expected."""

    @abc.abstractmethod
    def outputs(self, call: Call, image: Image) -> dict[str, Value]:
        """Give the outputs that the verb declares, from the image after it."""

    def keep(self, place: Place, call: Call) -> Image:
        """Read the thing as it is before a restore, with all that is needed to put it back in turn."""
        return self.look(place, call)

    def retouch(self, place: Place, wanted: Attributes, live: Image) -> None:
        """Put attributes on the thing in place, all or none. Raises OSError where none could be."""
        raise NotImplementedError

    def left(self, call: Call, live: Image) -> Image:
        """Give the image that the call has left behind, of the thing as it is just after."""
        return live

    # --- the contract ---------------------------------------------------------------------------------------------

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Refuse paths outside the roots, and modes that are none."""
        problems = self.confined.problems("path", arguments.path)
        mode = getattr(arguments, "mode", None)
        if mode is not None and not _MODE.fullmatch(mode):
            problems.append(
                f'"mode" must be three or four octal digits in quotes: {mode!r}; write e.g. "0640"'
            )
        return problems

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name the place: its real path."""
        return Resource(type=self.type, name=arguments.path, path=self.confined.real(arguments.path))

    async def plan(self, call: Call) -> Planned:
        """Read the before-image. Raises Ended with Failed where the call cannot succeed or could not be put back."""
        return await to_thread.run_sync(partial(self._plan, call))

    async def apply(self, call: Call) -> Outcome:
        """Do it, or put the image of ``call.restore`` back."""
        return await to_thread.run_sync(partial(self._apply, call))

    async def read(self, call: Call) -> Image:
        """Look at the place."""
        return await to_thread.run_sync(partial(self._read, call))

    async def witness(self, call: Call) -> bool:
        """Tell whether the folder is there in which it was to be."""
        path = self.confined.real(call.arguments.path)
        return await to_thread.run_sync(os.path.isdir, os.path.dirname(path))

    async def sets(self, verb: str, arguments: Any) -> dict[str, Value]:
        """Give the fields that the arguments set, a content by its digest."""
        return await to_thread.run_sync(partial(self.asked_for, arguments))

    def asked_for(self, arguments: Any) -> dict[str, Value]:
        """Give the fields that the arguments set. Raises Ended or OSError where what they name cannot be read."""
        return dict(asked(arguments))

    async def find(self, call: Call) -> Finding:
        """Tell whether the call took effect; clear away what it had staged."""
        return await to_thread.run_sync(partial(self._find, call))

    def normalise(self, field: str, value: Value) -> Value:
        """Compare modes as numbers, owners by their number."""
        if value is None:
            return None
        match field:
            case "mode":
                return int(value, 8)
            case "owner":
                return _number(user_id, value)
            case "group":
                return _number(group_id, value)
        return value

    # --- how ------------------------------------------------------------------------------------------------------

    def _plan(self, call: Call) -> Planned:
        with self._failing(call), self._at(call) as place:
            if call.restore is not None:
                return Planned(before=self.keep(place, call), after=call.restore, fields=call.fields)
            return self.prepare(place, call)

    def _read(self, call: Call) -> Image:
        with self._at(call) as place:
            return self.look(place, call)

    def _apply(self, call: Call) -> Outcome:
        with self._at(call) as place:
            try:
                after = self._change(place, call)
            except (Ended, OSError) as problem:
                if place.touched:
                    return Unknown("perhaps_done", f"{place.path}: {problem}, in the effect or after it")
                return problem.outcome if isinstance(problem, Ended) else failure(problem, place.path)
            finally:
                place.discard()
        return Succeeded(outputs=self.outputs(call, after), after=after)

    def _change(self, place: Place, call: Call) -> Image:
        live = self._expected(place, call)
        target = goal(call)
        if not target.exists:
            if live.exists:
                self.take_away(place, call, live)
            return ABSENT
        if live.exists and call.restore is None and self.same(call.fields, target, live):
            return live
        if live.exists and only_attributes(call):
            self.retouch(place, _wanted(call), live)
            return self.look(place, call)
        return self.left(call, self.make(place, call, live))

    def _expected(self, place: Place, call: Call) -> Image:
        """Give the thing as it is, if it is as the call takes it to be; else raise Ended."""
        if call.restore is not None:
            live = self.look(place, call)
            unchanged = call.before is None or self.same(call.fields, call.before, live)
        else:
            live = self._as_planned(place, call)
            unchanged = self.same(self.steady, call.before or ABSENT, live)
        if unchanged or not (live.exists or goal(call).exists):
            return live
        if call.restore is None and call.before == ABSENT and goal(call).exists:
            raise refused(
                "exists", f"{place.path} was created by somebody else just now; look at it, then retry"
            )
        raise refused(
            "changed", f"{place.path} was changed by somebody else meanwhile; look at it, then retry"
        )

    def _as_planned(self, place: Place, call: Call) -> Image:
        """Read the thing again, unless its stamp shows that it is still the one of the plan."""
        st = place.stat()
        before = call.before or ABSENT
        if st is not None and before.exists and "tree" not in before.fields and stamp(before) == Stamp.of(st):
            return before
        return self.look(place, call)

    def _find(self, call: Call) -> Finding:
        if call.before is None or call.after is None:
            return Unclear("its images were not recorded")
        with self._at(call) as place:
            done = self._staged_means(place, call)
            try:
                live = self.look(place, call)
                if done is None:
                    done = self._compared(place, call, live)
            except Ended as ended:
                return Unclear(str(ended))
            place.sync()
            if done:
                after = self.left(call, live) if goal(call).exists else ABSENT
                return Done(outputs=self.outputs(call, after), after=after)
            if done is None:
                return Unclear(f"{place.path} is neither as it was before nor as it was to become")
            return NotDone()

    def _staged_means(self, place: Place, call: Call) -> bool | None:
        """Tell what a staged name proves, and clear it away; None where there is none."""
        staged, there = place.stat_staged(), place.stat()
        if staged is None:
            return None
        linked = there is not None and there.st_ino == staged.st_ino
        place.discard()
        return linked or not goal(call).exists

    def _compared(self, place: Place, call: Call, live: Image) -> bool | None:
        """Tell from the thing itself; None where it shows neither."""
        before = call.before or ABSENT
        if only_attributes(call) and self._cut_short(call, live):
            names = {"mode", "uid", "gid", "xattrs"}
            old = {name: value for name, value in before.fields.items() if name in names}
            self.retouch(place, Attributes.in_fields(old), live)
            return False
        fields = tuple(name for name in call.fields if name != "empty")
        if self.same(fields, goal(call), live):
            return True
        return False if self.same(fields, before, live) else None

    def _cut_short(self, call: Call, live: Image) -> bool:
        """Tell whether a change of attributes was cut in the middle: each is old or new, but neither all of them.

        A change of owner also takes set-user-id bits and capabilities away, until they are put on again.
        """
        before, wanted = call.before or ABSENT, goal(call)
        if not (before.exists and wanted.exists and live.fields.get("kind") == self.kind):
            return False
        old, seen = self._in_place(before.fields), self._in_place(live.fields)
        new = old | {name: self.normalise(name, wanted.fields[name]) for name in ATTRIBUTES & {*call.fields}}
        if seen in (old, new):
            return False
        return all(seen[name] in (old[name], new[name], _lost(name, old[name])) for name in seen)

    def _in_place(self, fields: Mapping[str, Value]) -> dict[str, Value]:
        known = {name: self.normalise(name, fields.get(name)) for name in ATTRIBUTES}
        return known | {"capability": fields.get("xattrs", {}).get("security.capability")}

    def _at(self, call: Call) -> AbstractContextManager[Place]:
        path = call.resource.path if call.resource is not None else None
        return opened(self.confined, path or self.confined.real(call.arguments.path), call.key)

    @contextmanager
    def _failing(self, call: Call) -> Iterator[None]:
        """Turn errors of the file system into failures, where nothing was to be changed."""
        try:
            yield
        except OSError as problem:
            raise Ended(failure(problem, call.arguments.path)) from problem


def goal(call: Call) -> Image:
    """Give the image that the call is to bring about."""
    return call.restore or call.after or ABSENT


def only_attributes(call: Call) -> bool:
    """Tell whether the call sets nothing but what is changed in place."""
    set_by = set(call.fields) - {"kind"}
    return bool(set_by) and set_by <= ATTRIBUTES


def stamp(image: Image) -> Stamp:
    """Give the stamp that the thing had when it was looked at."""
    return Stamp(image.fields["inode"], image.fields["ctime_ns"])


def asked(arguments: Any) -> dict[str, str]:
    """Give the attributes that the arguments set."""
    named = {name: getattr(arguments, name, None) for name in ("mode", "owner", "group")}
    return {name: value for name, value in named.items() if value is not None}


def uncancelled(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on until the call is cancelled: so that reading or staging a big file ends soon."""
    for chunk in chunks:
        from_thread.check_cancelled()
        yield chunk


def _wanted(call: Call) -> Attributes:
    return Attributes.in_fields(_named(call, goal(call)))


def _named(call: Call, image: Image) -> dict[str, Value]:
    """Of the image's fields take the attributes that the call sets, by number where it has them."""
    names = ATTRIBUTES.intersection(call.fields)
    numbers = {"owner": "uid", "group": "gid"}
    wanted = names | {numbers[name] for name in names if name in numbers}
    return {name: value for name, value in image.fields.items() if name in wanted}


def _lost(name: str, value: Value) -> Value:
    """Give what a change of owner makes of an attribute."""
    return (
        value & ~0o6000 if name == "mode" and value is not None else None if name == "capability" else value
    )


def _number(lookup: Callable[[str], int], value: str) -> int | str:
    try:
        return lookup(value)
    except Ended:
        return value


def one_of(arguments: msgspec.Struct, names: tuple[str, ...]) -> list[str]:
    """Give those of the named arguments that are set."""
    return [name for name in names if getattr(arguments, name) is not None]
