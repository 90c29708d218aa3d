"""The driver contract: what a driver declares, what it is asked, and what it may answer.

A driver says what it can do; the engine decides what to do. Inverses, settling of unknown outcomes, conflict guards,
retries and time limits are the engine's, once, made from the declarations here. A driver keeps no state of its own
between calls: whatever a later call needs is in the call, because that call may come from another process, after a
crash, days later.

One operation lives through at most these moments, in this order::

    check     arguments against what the settings allow                       (touches nothing)
    plan      the resource now (before-image) and as it is to become          (reads)
    --        the engine commits the intent --
    apply     do it; ends in one of the six outcomes                          (changes)
    poll      only after Working: ask how it goes on, and go on with it       (reads, goes on)
    end       only after a crash: end what an earlier attempt left running    (cleans up)
    find      only after an unknown outcome: was it done?                     (reads, may remove own leftovers)

An undo that the engine derives ("restore") is an ordinary call whose ``restore`` holds the image to be put back.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Literal, Protocol

import msgspec

CONTRACT = 1
"""The contract's version. A driver written for another one is refused when it is loaded."""

type_ = type
Value = Any
"""A JSON value: None, bool, int, float, str, list or dict of such."""
READS_ONLY: ContextVar[bool] = ContextVar("READS_ONLY", default=False)
"""Set while nothing is done but looking: a provider with credentials that may only read then uses those."""


# --- what there is in the world -----------------------------------------------------------------------------------


class Blob(msgspec.Struct, frozen=True):
    """Bytes kept outside the record: their digest and size as stored; ``data`` holds them where they are small."""

    sha256: str
    size: int
    data: bytes | None = None


class Image(msgspec.Struct, frozen=True):
    """What a resource is at one moment.

    ``fields`` are named as in the driver's spec and outputs and are what conflict guards compare; ``blobs`` are
    contents too large or too binary for a field. ``exists=False`` is the image of an absent resource.
    """

    exists: bool = True
    fields: dict[str, Value] = {}
    blobs: dict[str, Blob] = {}


ABSENT = Image(exists=False)


class Resource(msgspec.Struct, frozen=True):
    """What an operation touches: the identity that locks and conflict guards go by.

    ``path`` (absolute, parents resolved) where the resource is a place in the file system: a path covers what lies
    below it, whatever the types. Otherwise (type, id), or (type, name) while the id is not known.
    """

    type: str
    name: str
    id: str | None = None
    path: str | None = None

    def overlaps(self, other: Resource) -> bool:
        """Tell whether the two are the same resource, or one encloses the other."""
        if self.path is not None and other.path is not None:
            a, b = self.path.rstrip("/") + "/", other.path.rstrip("/") + "/"
            return a.startswith(b) or b.startswith(a)
        if self.type != other.type:
            return False
        if self.id is not None and other.id is not None:
            return self.id == other.id
        return self.name == other.name


def cut(what: str) -> str:
    """Give what stands in an output or a message where ``what`` (as "20 bytes") was cut out of it.

    Every driver that shortens a text writes this there. A secret is taken out of what is written down only later, and of
    one that the cut went through only part is left: by this the engine knows where to look for such parts.
    """
    return f"\n[sagad cut {what} here]\n"


def beginning(text: str, most: int) -> str:
    """Give a text's first ``most`` characters, or all of it; where it was cut, it says so."""
    return text if len(text) <= most else text[:most] + cut(f"{len(text) - most} characters")


def ending(text: str, most: int) -> str:
    """Give a text's last ``most`` characters, or all of it; where it was cut, it says so."""
    return text if len(text) <= most else cut(f"{len(text) - most} characters") + text[-most:]


# --- what a driver may answer -------------------------------------------------------------------------------------


class Succeeded(msgspec.Struct, frozen=True, tag="succeeded"):
    """Done. ``after`` is the resource as it now is; None keeps the planned after-image."""

    outputs: dict[str, Value] = {}
    after: Image | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Not done, and the driver knows that nothing changed.

    ``transient`` and ``rate_limited`` failures are tried again by default; ``retry_after`` is in milliseconds.
    """

    code: str
    message: str
    transient: bool = False
    rate_limited: bool = False
    retry_after: int | None = None
    certain: bool = False
    """Nor has an earlier attempt of the same execution changed anything, whatever became of it."""
    down: bool = False
    """It says that the driver's ``service`` is down: no connection, a 5xx, no answer in time or none that can be read."""
    unasked: bool = False
    """The service may not be asked before ``retry_after``, and was not: that is a wait, and no attempt."""


class Partial(msgspec.Struct, frozen=True, tag="partial"):
    """Not done, but something exists now, and here is what: it is undone with the rest."""

    code: str
    message: str
    outputs: dict[str, Value] = {}
    after: Image | None = None


class Compensated(msgspec.Struct, frozen=True, tag="compensated"):
    """Not done, and the driver has cleaned up after itself."""

    code: str
    message: str


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """Perhaps done, perhaps not. The engine settles it before anything else happens. ``down``: see ``Failed``."""

    code: str
    message: str
    down: bool = False


class Working(msgspec.Struct, frozen=True, tag="working"):
    """Going on elsewhere. The engine commits ``handle`` and calls ``poll`` with it, also from another process.

    Ask again at ``until`` (UTC milliseconds) or ``poll_after`` milliseconds from now. ``detail`` is for ``why``. The handle
    is written down as it is: nothing secret belongs into it. ``down``: nobody could be asked, see ``Failed``; ``detail``
    says why.
    """

    handle: Value
    poll_after: int = 1000
    until: int | None = None
    detail: str = ""
    down: bool = False


Outcome = Succeeded | Failed | Partial | Compensated | Unknown | Working


class Ended(Exception):
    """Raised anywhere below ``plan``, ``apply``, ``poll`` to end the call with this outcome.

    From ``plan`` or ``check`` only Failed makes sense; for ``find`` see there. Every other exception is an unknown
    outcome.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Carry the outcome."""
        super().__init__(getattr(outcome, "message", type_(outcome).__name__))
        self.outcome = outcome


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Found: the operation took effect; its outputs and after-image, as ``Succeeded`` would have given them."""

    outputs: dict[str, Value] = {}
    after: Image | None = None


class NotDone(msgspec.Struct, frozen=True, tag="not_done"):
    """Surely absent: the operation did not take effect (the engine waits out the verb's ``settle`` window itself)."""


class Unclear(msgspec.Struct, frozen=True, tag="unclear"):
    """Neither: somebody must look. ``why`` goes to the operator."""

    why: str


Finding = Done | NotDone | Unclear


# --- what a driver declares ---------------------------------------------------------------------------------------

Inverse = Literal["delete", "update", "create", "put_back", "same", "none"]
"""How the earlier state is put back: ``create`` -> "delete"; ``update`` -> "update" back to the before-image;
``delete`` -> "create" again from the before-image; "put_back": whichever of the three the before-image asks for
(``local.file.put``); "same": the verb called again with ``restore`` set; "none": there is no way back."""

Repeat = Literal["idempotent", "token", "name", "find", "no"]
"""How a repeat is made safe: the verb is idempotent by nature; the service honours the idempotency key; a unique
name made from the key is looked up; only ``find`` can tell; or not at all."""


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One verb of a resource type, declared."""

    arguments: type[msgspec.Struct]
    outputs: dict[str, Any] = {}
    """Output name -> its Python type (``str``, ``int``, ``list``, ``Any``…), for checking references beforehand."""
    open_outputs: bool = False
    """More outputs than the declared ones may come (``capture`` of http.request)."""
    changes: bool = True
    inverse: Inverse = "none"
    irreversible: bool = False
    repeat: Repeat = "no"
    finds: bool = False
    """``find`` can tell whether the verb took effect."""
    may_end: frozenset[Literal["partial", "compensated"]] = frozenset()
    replaces: frozenset[str] = frozenset()
    """Spec fields whose change cannot be made in place: the resource must be replaced."""
    only_while: tuple[str, Value] | None = None
    """(field, value): the service does it only while the resource's image shows this."""
    around: tuple[str, str] | None = None
    """The verbs, of this type, that bring a resource to what ``only_while`` says, and back; a plan puts them around it."""
    settle: int = 0
    """Milliseconds for which the provider may go on showing the state before the call."""
    timeout: int | None = None
    """Milliseconds an attempt may take where the step does not say."""
    asks: bool = False
    """Somebody must approve each step of it before ``apply``, which is told who has (``Call.approved``). Its arguments are
    ``message``, and ``approvers`` and ``expires``, which are read from the file and hold no references."""
    summary: str = ""

    @property
    def compensable(self) -> bool:
        """There is a way back, or nothing to take back."""
        return not self.changes or (self.inverse != "none" and not self.irreversible)


class Approved(msgspec.Struct, frozen=True):
    """An approval that was given: by whom (names joined with ``, ``), and the reason of whoever gave one last."""

    by: str
    reason: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one operation, with all that a driver may need to know of it."""

    verb: str
    arguments: Any
    """An instance of the verb's ``arguments``, references and secrets resolved. For a restore: the original's."""
    key: str
    """The idempotency key: the same for every repeat of this operation, another for every other ([a-z0-9-])."""
    name: str
    """A name for what is created, unique to this operation and the same on every repeat ([a-z0-9-])."""
    attempt: int = 1
    """Calls of this operation under this key so far, with this one."""
    generation: int = 1
    """How many times the step (or its undo) was started, each under a key of its own."""
    now: int = 0
    """UTC milliseconds."""
    resource: Resource | None = None
    before: Image | None = None
    """From ``plan``; for a restore the image that the original left behind."""
    after: Image | None = None
    """The planned after-image; for a restore the same as ``restore``."""
    fields: tuple[str, ...] = ()
    """The image fields that this operation sets: those, and only those, are compared."""
    restore: Image | None = None
    """Set when this is a derived inverse: make the resource like this image (ABSENT: remove it)."""
    outputs: dict[str, Value] = {}
    """For a restore: what the original put out (ids)."""
    handle: Value = None
    """For ``poll`` (and ``find``, where one was committed)."""
    approved: Approved | None = None
    """For a verb that ``asks``."""


class Planned(msgspec.Struct, frozen=True):
    """What ``plan`` found: the resource before and as it is to be after, and the fields that the operation sets."""

    before: Image | None = None
    after: Image | None = None
    fields: tuple[str, ...] = ()


class Blobs(Protocol):
    """Where a driver keeps contents for before-images. Both calls may be made from a worker thread."""

    def keep(self, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes durably (synced when this returns) and give their blob."""
        ...

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """Give the bytes back. Raises FileNotFoundError or ValueError where they are gone or damaged."""
        ...


class Driver(abc.ABC):
    """The code for one resource type. One instance serves the whole daemon; calls run concurrently.

    A driver's promises, which ``tests/conformance.py`` goes through one by one:

    1. ``plan``, ``read``, ``witness``, ``find`` and ``poll`` change nothing. But ``find`` may remove the operation's own leftovers, and
       ``poll`` may go on with an operation that has several parts, as far as each of them may be done again: after a
       crash it is asked again with the same handle.
    2. What could not be put back is refused in ``plan``, before anything changes.
    3. ``apply`` of a delete of the absent succeeds.
    4. ``find`` after a lost answer says Done exactly when the effect is there, NotDone exactly when it is not.
    5. A restore gives the before-image back, in all that the image holds. So does the restore of a restore: where one is
       planned (as a step of a saga that takes another one back is), ``plan`` gives the resource as it is, with its
       contents kept.
    6. When a call has ended, by whatever way, none of its code is running, and nothing of its own is left lying about.
    7. Cancelling a call ends it as soon as its code can end; what cannot be interrupted is awaited.
    """

    type: ClassVar[str]
    version: ClassVar[str]
    contract: ClassVar[int] = CONTRACT
    summary: ClassVar[str] = ""
    verbs: ClassVar[Mapping[str, Verb]]
    sensitive: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are secrets, and fields of images that have their names. They are sealed before anything is written
    down, and opened for calls (``Call.before``, ``after``, ``restore``, ``outputs``); references to them reach
    ``arguments``. What cannot be opened any more is missing in ``Call.outputs``."""
    spec: ClassVar[frozenset[str] | None] = None
    """The fields of its images that its registry's record, and so drift, is about; None: all that its verbs set."""
    set_by: ClassVar[Mapping[str, str]] = {}
    """Image field -> the argument that sets it, where the two have other names (a digest, by the content)."""
    policy: ClassVar[Literal["auto", "none", "hold", "required"]] = "auto"
    lists: ClassVar[bool] = False
    """`inventory` gives all that there are: by pages, which takes fewer requests than asking after each."""
    service: ClassVar[str] = ""
    """The service that its calls ask over a network, which all types that name it share; empty: none. What they end with
    tells the engine whether it is down (``Failed.down``): then nobody asks it for a while."""

    def __init__(self, settings: Mapping[str, Any], blobs: Blobs) -> None:
        """Take the provider's settings table and the place for contents. Opens nothing."""
        self.blobs = blobs
        self.settle_in(settings)

    def settle_in(self, settings: Mapping[str, Any]) -> None:
        """Go by this settings table from now on: when it is made, and again when the daemon has read other settings."""
        self.settings = settings

    def refine(self, verb: str, arguments: Any) -> Verb:
        """Give the verb's declaration for these arguments (a GET changes nothing, a POST does)."""
        return self.verbs[verb]

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Name every reason why the settings or plain sense forbid this call, each with what to do. Touches nothing.

        Called at submission where the arguments are known by then, and again just before ``plan``.
        """
        return []

    def resource(self, verb: str, arguments: Any) -> Resource | None:
        """Name the resource that the call changes; None where it changes none. Paths have their parents resolved."""
        return None

    async def plan(self, call: Call) -> Planned:
        """Read the before-image and say what the resource is to become."""
        return Planned()

    @abc.abstractmethod
    async def apply(self, call: Call) -> Outcome:
        """Do it."""

    async def poll(self, call: Call) -> Outcome:
        """Ask how ``call.handle`` goes on."""
        raise NotImplementedError

    async def read(self, call: Call) -> Image | None:
        """Give the resource as it is now (ABSENT where it is not); None: this driver cannot read."""
        return None

    def inventory(self) -> AsyncIterator[tuple[str, Image]]:
        """Give the id and image of every resource of this type there is; only of a type that ``lists``. Reads only.

        Raises Ended with Failed where the service does not answer: what was given before that is no inventory.
        """
        raise NotImplementedError

    async def witness(self, call: Call) -> bool:
        """Tell whether the place of a resource that was not found can be seen itself: then its absence says something.

        For a driver that cannot list: of what is listed, the others are witnesses.
        """
        return False

    async def sets(self, verb: str, arguments: Any) -> dict[str, Value]:
        """Give the fields that an image would show of what these arguments set: what a stack file is compared by.

        Reads what the arguments name (a ``source``), and changes nothing. The default is the arguments that are set
        themselves, but for those that only say which resource is meant.
        """
        set_ = msgspec.structs.asdict(arguments)
        return {
            name: msgspec.to_builtins(value)
            for name, value in set_.items()
            if name not in ("id", "path") and value is not None and value is not msgspec.UNSET
        }

    async def end(self, call: Call) -> None:
        """After a crash: end, and await the end of, whatever an earlier attempt of this key left running."""

    async def find(self, call: Call) -> Finding:
        """After an unknown outcome: tell whether the call took effect.

        Where that cannot be told yet, because what may have been begun is still going on elsewhere, raise Ended with
        Working: the engine asks again after its ``poll_after``.

        The default compares what ``read`` gives with the planned after-image and the before-image.
        """
        live = await self.read(call)
        if live is None or call.after is None or call.before is None:
            return Unclear("its driver cannot look")
        if self.same(call.fields, call.after, live):
            return Done(after=live)
        if self.same(call.fields, call.before, live):
            return NotDone()
        return Unclear("the resource is neither as it was before nor as it was to become")

    def same(self, fields: tuple[str, ...], wanted: Image, live: Image) -> bool:
        """Compare two images by these fields, normalised."""
        if not (wanted.exists and live.exists):
            return wanted.exists == live.exists
        return all(
            self.normalise(name, wanted.fields.get(name)) == self.normalise(name, live.fields.get(name))
            for name in fields
        )

    def normalise(self, field: str, value: Value) -> Value:
        """Bring a field's value to the form in which equal things are equal."""
        return value

    async def close(self) -> None:
        """Let go of connections; the daemon is stopping."""
