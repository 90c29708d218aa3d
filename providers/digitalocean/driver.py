"""The life of every operation on DigitalOcean; what is special to a type is in its own file.

======  ====================================================  ========================================================
what    how                                                   after a lost answer
======  ====================================================  ========================================================
made    looked for by its mark (a name or tag made from the   looked for by its mark, until it is there or ``settle``
        call's name), then posted; polled until it is ready   has passed; while it is being made, asked again
change  only where it is as planned; put, or an action that   compared: as it is to become, or as it was; while an
        is posted and polled                                  action is under way, asked again
gone    one DELETE; 404 is done                               looked at by id
======  ====================================================  ========================================================

**Absence is no proof for a moment.** What was made less than ``settle`` ago may not be shown yet, nor be found by a
DELETE. So a 404 for something so young is asked again until it is not young any more.

What an image holds is named as in DigitalOcean's API; ``seen`` beside it is when we first knew it to be there (UTC
milliseconds), from which its age is reckoned.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import anyio
import msgspec

from providers.contract import (
    ABSENT,
    Blobs,
    Call,
    Done,
    Driver,
    Ended,
    Failed,
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
    Working,
)
from providers.digitalocean.calls import goal, known_id, makes, milliseconds, young
from providers.digitalocean.client import SERVICE, Client, Thing, part, path
from providers.digitalocean.verbs import SETTLE

POLL = 5_000


class CloudDriver(Driver):
    """A driver for one kind of thing at DigitalOcean."""

    version = "1.0"
    lists = True
    service = SERVICE
    collection: ClassVar[str]
    """What lists them, below /v2: `volumes`."""
    one: ClassVar[str]
    """The key of one of them in an answer: `volume`."""
    many: ClassVar[str]
    """The key of the list of them: `volumes`."""
    key: ClassVar[str] = "id"
    """What they are told apart by: the field of theirs that stands in their path."""
    listing: ClassVar[Mapping[str, str]] = {}
    """The query that lists them and nothing else."""
    relied_on: ClassVar[tuple[str, ...]] = ("id",)
    """The fields without which an answer cannot be read."""
    known_by: ClassVar[tuple[str, ...]] = ("name",)
    """The image fields by which one that is deleted, or deleted and made again, is compared."""

    def __init__(self, settings: Mapping[str, Any], blobs: Blobs) -> None:
        """Take the provider's settings (``[providers.digitalocean]``). Opens nothing."""
        self.client = Client.shared(settings)
        super().__init__(settings, blobs)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The provider's settings as they are now."""
        return self.client.settings

    @settings.setter
    def settings(self, settings: Mapping[str, Any]) -> None:
        self.client.settings = settings

    def settle_in(self, settings: Mapping[str, Any]) -> None:
        """Go by these from now on; what is going on does so with its next request."""
        super().settle_in(settings)
        # The window is declared per verb, and set per node: what this instance declares is what holds here.
        declared = type(self).verbs.items()
        vars(self)["verbs"] = {
            name: msgspec.structs.replace(verb, settle=self.settle) if verb.finds else verb
            for name, verb in declared
        }

    @property
    def poll_after(self) -> int:
        """Milliseconds between two questions after something that goes on."""
        return int(self.settings.get("poll", POLL))

    @property
    def settle(self) -> int:
        """Milliseconds for which the service may go on showing the state before a call."""
        return int(self.settings.get("settle", SETTLE))

    # --- what a type says of itself -------------------------------------------------------------------------------

    @abc.abstractmethod
    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give an image's fields, named as in the spec and the outputs."""

    @abc.abstractmethod
    async def marked(self, call: Call) -> Thing | None:
        """Look for what the call makes, or makes again, by its mark: its id is not known."""

    @abc.abstractmethod
    async def plan_new(self, call: Call) -> Planned:
        """Plan the making of one; what cannot be made (a name that is taken) is refused."""

    async def wanted(self, call: Call, before: Image) -> dict[str, Value]:
        """Give the fields that a change sets: by default those of its arguments that are not left out."""
        given = {name: getattr(call.arguments, name, None) for name in before.fields}
        return {name: value for name, value in given.items() if value is not None}

    @abc.abstractmethod
    async def make(self, call: Call) -> Outcome:
        """Make what the call is to bring about; nothing of its mark is there."""

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Bring what is there, and as planned, to what it is to become."""
        raise NotImplementedError

    async def under_way(self, call: Call, live: Thing | None) -> str:
        """Say what is still going on there, of which the end must be awaited before anything can be told."""
        return ""

    def outputs(self, thing: Thing) -> dict[str, Value]:
        """Give the outputs: what an image shows, and the id."""
        return {"id": thing[self.key], **self.shown(thing)}

    def place(self, call: Call, id: Value) -> str:
        """Give the path of the thing with this id."""
        return self.where(id)

    def where(self, *parts: object) -> str:
        """Give the path of the list of them, or of what is below it."""
        return path(*self.collection.split("/"), *parts)

    # --- the contract ---------------------------------------------------------------------------------------------

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it: by its id where the call has one, else by what it is to be called."""
        known = getattr(arguments, "id", None)
        if known is not None:
            return Resource(type=self.type, name=str(known), id=str(known))
        return Resource(type=self.type, name=arguments.name)

    async def look(self, call: Call) -> Thing | None:
        """Look for the thing that the call is about, by its id; one that the call is to make by its mark."""
        known = known_id(call)
        found = None if known is None else await self.get(call, known)
        if found is not None or not (known is None or makes(call)):
            return found
        return await self.marked(call)

    async def plan(self, call: Call) -> Planned:
        """Read it, and say what it is to become; what is to be changed must be there."""
        if call.restore is not None:
            return Planned(before=await self.read(call), after=goal(call), fields=call.fields)
        if getattr(call.arguments, "id", None) is None:
            return await self.plan_new(call)
        before = await self.read(call)
        if call.verb == "delete":
            return Planned(before=before, after=ABSENT, fields=self.known_by)
        if not before.exists:
            raise Ended(Failed("not_found", f"there is no {self.named(call)}"))
        wanted = await self.wanted(call, before)
        return Planned(before=before, after=Image(fields=before.fields | wanted), fields=tuple(wanted))

    async def read(self, call: Call) -> Image:
        """Look at it as it is; what is too young to be missed is looked for until it is not."""
        thing = await self.look(call)
        deadline = anyio.current_time() + self.youth(call) / 1000
        while thing is None and anyio.current_time() < deadline:
            await self._pause(deadline)
            thing = await self.look(call)
        return ABSENT if thing is None else Image(fields=self.shown(thing))

    async def apply(self, call: Call) -> Outcome:
        """Do it, or put the image of ``call.restore`` back."""
        if not goal(call).exists:
            return await self.remove(call)
        live = await self.look(call)
        if live is None:
            return await self._missing(call)
        if (unfinished := await self.unfinished(call, live)) is not None:
            return unfinished
        if self.same(call.fields, goal(call), Image(fields=self.shown(live))):
            return self.done(call, live)
        if not self.same(call.fields, call.before or ABSENT, Image(fields=self.shown(live))):
            return Failed(
                "changed",
                f"{self.named(call)} was changed by somebody else meanwhile; look at it, then retry",
            )
        return await self.change(call, live)

    async def unfinished(self, call: Call, live: Thing) -> Outcome | None:
        """Say what is to be awaited where an earlier attempt of the call is still at work; None: nothing."""
        return None

    async def _missing(self, call: Call) -> Outcome:
        if call.before is not None and call.before.exists:
            return Failed("changed", f"{self.named(call)} is not there any more; look at it, then retry")
        return await self.make(call)

    async def remove(self, call: Call) -> Outcome:
        """Delete it. What the service does not know is gone, unless it was made a moment ago: then it is asked again."""
        known = await self._id(call)
        if known is None:
            return Succeeded(after=ABSENT)
        deadline = anyio.current_time() + self.youth(call) / 1000
        while not await self.client.delete(self.place(call, known)):
            young = anyio.current_time() < deadline
            if not young:
                if await self.client.get(self.place(call, known)) is None:
                    break
                return Failed(
                    "not_deleted", f"{self.named(call)} is shown, but cannot be deleted", transient=True
                )
            await self._pause(deadline)
        return Succeeded(outputs=self.gone(call, known), after=ABSENT)

    def gone(self, call: Call, id: Value) -> dict[str, Value]:
        """Give the outputs of a removal."""
        return {"id": id}

    async def _id(self, call: Call) -> Value:
        """Give the id of what is to be removed; where none is known, it is looked for by its mark."""
        if (known := known_id(call)) is not None:
            return known
        thing = await self.look(call)
        return None if thing is None else thing[self.key]

    async def poll(self, call: Call) -> Outcome:
        """Ask how it goes on. It was begun, so that nobody can say now is no failure: it is asked again, or unknown."""
        try:
            return await self.follow(call)
        except Ended as ended:
            failed = ended.outcome
            if not isinstance(failed, Failed) or failed.unasked:
                raise
            return self._patient(call, failed) or Unknown(failed.code, failed.message, failed.down)

    async def find(self, call: Call) -> Finding:
        """Tell whether the call took effect. Raises Ended with Working while that cannot be told yet."""
        try:
            return await self.tell(call)
        except Ended as ended:
            failed = ended.outcome
            if not isinstance(failed, Failed) or failed.unasked:
                raise
            again = self._patient(call, failed)
            if again is None:
                raise
            raise Ended(again) from ended

    def _patient(self, call: Call, failed: Failed) -> Working | None:
        """Wait for a service that cannot be asked for the moment; None where waiting does not help."""
        if not failed.transient:
            return None
        wait = max(failed.retry_after or 0, self.poll_after)
        return Working(handle=call.handle, poll_after=wait, detail=failed.message, down=failed.down)

    async def follow(self, call: Call) -> Outcome:
        """Ask how ``call.handle`` goes on."""
        raise NotImplementedError

    async def tell(self, call: Call) -> Finding:
        """Look whether the call took effect."""
        live = await self.look(call)
        if going_on := await self.under_way(call, live):
            raise Ended(self.working(call, call.handle, going_on))
        if not goal(call).exists:
            return await self._is_gone(call, live)
        if live is None:
            gone = call.before is not None and call.before.exists
            return Unclear(f"{self.named(call)} is not there any more") if gone else NotDone()
        return self._compared(call, live)

    async def _is_gone(self, call: Call, live: Thing | None) -> Finding:
        if live is not None:
            return NotDone()
        if self.youth(call) > 0:
            raise Ended(self.working(call, call.handle, "it was made a moment ago and may not be shown yet"))
        known = known_id(call)
        return Done(outputs={} if known is None else self.gone(call, known), after=ABSENT)

    def _compared(self, call: Call, live: Thing) -> Finding:
        image = Image(fields=self.shown(live))
        if self.same(call.fields, goal(call), image):
            done = self.done(call, live)
            return Done(outputs=done.outputs, after=done.after)
        if call.before is not None and self.same(call.fields, call.before, image):
            return NotDone()
        return Unclear(f"{self.named(call)} is neither as it was before nor as it was to become")

    async def close(self) -> None:
        """Close the connections, which all types of the provider share."""
        await self.client.close()

    # --- how ------------------------------------------------------------------------------------------------------

    async def inventory(self) -> AsyncIterator[tuple[str, Image]]:
        """Give the id and image of every thing of this type there is, by pages, with the ``read_token`` if one is set."""
        pages = self.client.pages(self.where(), self.many, reader=True, **self.listing)
        async for thing in pages:
            yield str(thing[self.key]), Image(fields=self.shown(thing))

    async def get(self, call: Call, id: Value) -> Thing | None:
        """Get the thing with this id; None where there is none. Raises Ended where the answer cannot be relied on."""
        where = self.place(call, id)
        answer = await self.client.get(where)
        return None if answer is None else part(answer, self.one, f"GET {where}", *self.relied_on)

    def done(self, call: Call, thing: Thing) -> Succeeded:
        """Say that it is done, of the thing as it now is."""
        return Succeeded(
            outputs=self.outputs(thing), after=Image(fields=self.shown(thing) | {"seen": call.now})
        )

    def working(self, call: Call, handle: Value, detail: str) -> Working:
        """Say that it goes on elsewhere."""
        return Working(handle=handle, poll_after=self.poll_after, detail=detail)

    def youth(self, call: Call) -> int:
        """Give the milliseconds for which the absence of what the call is about proves nothing yet."""
        fields = (call.before or ABSENT).fields
        seen = fields.get("seen") or milliseconds(fields.get("created_at"))
        return young(call.now - seen, self.settle) if seen else 0

    async def _pause(self, deadline: float) -> None:
        left = max(0.0, deadline - anyio.current_time())
        await anyio.sleep(min(self.poll_after / 1000, left) or 0.01)

    def named(self, call: Call) -> str:
        """Give what messages call it."""
        name = call.resource.name if call.resource is not None else call.name
        return f"{self.one.replace('_', ' ')} {name}"
