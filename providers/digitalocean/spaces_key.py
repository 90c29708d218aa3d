"""`digitalocean.spaces_key`: a key to Spaces, whose secret is shown once, in the answer that makes it.

Names of keys are not unique, and a key has no tag. So a name must be free when it is planned; what has it later, with the
grants that were asked for, is ours. If the answer to its making is lost, so is the secret, and the key is of no use to
anybody: it is looked for by its name, deleted, and another one made.

A delete cannot be taken back: nobody can make the same key again. Delete an old key last, when all that can fail is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Ended,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Planned,
    Value,
    Verb,
)
from providers.digitalocean.calls import goal, makes
from providers.digitalocean.client import Thing, part
from providers.digitalocean.driver import CloudDriver
from providers.digitalocean.verbs import changing, deleting, making

Grants = list[dict[str, str]]


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make, named as in DigitalOcean's API: each grant has a `bucket` and a `permission`."""

    name: str
    grants: Grants = []


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    id: str
    name: str | None = None
    grants: Grants | None = None


SPEC = ("name", "grants")
OUTPUTS: Mapping[str, Any] = {
    "id": str,
    "access_key": str,
    "name": str,
    "grants": Grants,
    "created_at": str | None,
}


class SpacesKey(CloudDriver):
    """Makes, changes and deletes keys."""

    type = "digitalocean.spaces_key"
    summary = "a key to Spaces"
    sensitive = frozenset({"secret_key"})
    collection, one, many, key = "spaces/keys", "key", "keys", "access_key"
    relied_on = ("access_key", "name")
    known_by = SPEC
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(
            Create,
            {**OUTPUTS, "secret_key": str},
            "make a key; its name must be free; its secret is put out once",
        ),
        "update": changing(Update, OUTPUTS, "change a key's name or grants; what is left out stays"),
        "delete": deleting("delete a key; there is no way back"),
    }

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of a key, which never is its secret."""
        return {
            "access_key": thing["access_key"],
            "name": thing["name"],
            "grants": thing.get("grants") or [],
            "created_at": thing.get("created_at"),
        }

    def normalise(self, field: str, value: Value) -> Value:
        """Compare grants as a set."""
        return sorted(value or [], key=msgspec.json.encode) if field == "grants" else value

    async def _named_so(self, name: Value) -> list[Thing]:
        return [
            each
            async for each in self.client.pages(self.where(), self.many, name=name)
            if each["name"] == name
        ]

    async def _ours(self, call: Call) -> list[Thing]:
        """Give those that the call has made, whose secrets nobody has."""
        wanted = goal(call) if goal(call).exists else call.before or ABSENT
        named = await self._named_so(wanted.fields["name"])
        return [each for each in named if self.same(SPEC, wanted, Image(fields=self.shown(each)))]

    async def marked(self, call: Call) -> Thing | None:
        """Look for its name and grants."""
        return next(iter(await self._ours(call)), None)

    async def plan_new(self, call: Call) -> Planned:
        """Refuse a name that is taken: what has it later must be ours."""
        name = call.arguments.name
        if await self._named_so(name):
            raise Ended(Failed("exists", f"there is a Spaces key {name} already: choose another name"))
        return Planned(before=ABSENT, after=Image(fields=msgspec.to_builtins(call.arguments)), fields=SPEC)

    async def apply(self, call: Call) -> Outcome:
        """Do it; a key that an earlier attempt has made is of no use without its secret, and goes first."""
        if not makes(call):
            return await super().apply(call)
        await self._clear(call)
        return await self.make(call)

    async def _clear(self, call: Call) -> None:
        for each in await self._ours(call):
            await self.client.delete(self.place(call, each[self.key]))

    async def make(self, call: Call) -> Outcome:
        """Post it, and put its secret out."""
        if call.restore is not None:
            return Failed("gone", "a key that was deleted cannot be made again")
        answer = await self.client.post(self.where(), msgspec.to_builtins(call.arguments))
        thing = part(answer, self.one, f"POST {self.where()}", *self.relied_on, "secret_key")
        done = self.done(call, thing)
        return msgspec.structs.replace(done, outputs=done.outputs | {"secret_key": thing["secret_key"]})

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Put name and grants, what the call sets in their place."""
        where = self.place(call, live[self.key])
        wanted = {name: goal(call).fields[name] for name in call.fields}
        body = {name: value for name, value in (self.shown(live) | wanted).items() if name in SPEC}
        return self.done(
            call, part(await self.client.put(where, body), self.one, f"PUT {where}", *self.relied_on)
        )

    async def tell(self, call: Call) -> Finding:
        """Of a key that was made the secret is lost: remove it, so that it is surely not there."""
        if not makes(call):
            return await super().tell(call)
        await self._clear(call)
        return NotDone()
