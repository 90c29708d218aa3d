"""A ninth type, as somebody would add it: this file, and a line in ``TYPES``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from providers.contract import ABSENT, Call, Ended, Failed, Image, Outcome, Planned, Value, Verb
from providers.digitalocean.calls import goal
from providers.digitalocean.client import Thing, part
from providers.digitalocean.driver import CloudDriver
from providers.digitalocean.verbs import deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make."""

    name: str


class Domain(CloudDriver):
    """Makes and deletes domains, which are known by their names."""

    type = "digitalocean.domain"
    summary = "a domain"
    collection, one, many, key = "domains", "domain", "domains", "name"
    relied_on = ("name",)
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(Create, {"id": str, "name": str}, "make a domain; its name must be free"),
        "delete": deleting("delete a domain with its records; there is no way back"),
    }

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give its name."""
        return {"name": thing["name"]}

    async def marked(self, call: Call) -> Thing | None:
        """Look for its name, which is its id."""
        return await self.get(call, call.resource.name if call.resource else goal(call).fields["name"])

    async def plan_new(self, call: Call) -> Planned:
        """Refuse a name that is taken."""
        if await self.get(call, call.arguments.name) is not None:
            raise Ended(Failed("exists", f"there is a domain {call.arguments.name} already"))
        return Planned(before=ABSENT, after=Image(fields={"name": call.arguments.name}), fields=("name",))

    async def make(self, call: Call) -> Outcome:
        """Post it."""
        answer = await self.client.post(self.where(), {"name": goal(call).fields["name"]})
        return self.done(call, part(answer, self.one, f"POST {self.where()}", *self.relied_on))
