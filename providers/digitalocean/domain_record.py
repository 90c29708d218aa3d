"""`digitalocean.domain_record`: a record of a domain.

A record has no name of its own: two may be alike in everything. So the plan notes which records of the name and type
there are; after a lost answer one that is as ours was to be, and was not there then, is ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import msgspec

from providers.contract import ABSENT, Call, Image, Outcome, Planned, Resource, Value, Verb
from providers.digitalocean.calls import goal, makes
from providers.digitalocean.client import Thing, part, path
from providers.digitalocean.driver import CloudDriver
from providers.digitalocean.verbs import Number, changing, deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make; `name` below the domain, `@` for the domain itself."""

    domain: str
    type: str
    name: str
    data: str
    ttl: int | None = None
    priority: int | None = None
    port: int | None = None
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    domain: str
    id: Number
    name: str | None = None
    data: str | None = None
    ttl: int | None = None
    priority: int | None = None
    port: int | None = None
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one."""

    domain: str
    id: Number


SPEC = ("type", "name", "data", "ttl", "priority", "port", "weight", "flags", "tag")
NUMBER = int | None
OUTPUTS: Mapping[str, Any] = {
    "id": int,
    "domain": str,
    "type": str,
    "name": str,
    "data": str,
    "ttl": NUMBER,
    "priority": NUMBER,
    "port": NUMBER,
    "weight": NUMBER,
    "flags": NUMBER,
    "tag": str | None,
}
HOSTS = frozenset({"CNAME", "MX", "NS", "SRV"})
"""Types whose data is a host's name, which the service shows without the dot at its end."""


class DomainRecord(CloudDriver):
    """Makes, changes and deletes records."""

    type = "digitalocean.domain_record"
    summary = "a record of a domain"
    collection, one, many = "domains", "domain_record", "domain_records"
    relied_on = ("id", "type", "name", "data")
    known_by = SPEC
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(
            Create, OUTPUTS, "make a record", repeat="find", replaces=frozenset({"domain", "type"})
        ),
        "update": changing(Update, OUTPUTS, "change a record; what is left out stays"),
        "delete": deleting(
            "delete a record; its undo makes one that is alike, with another id", Delete, inverse="create"
        ),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it by its id, or before it has one by its name and type."""
        known = getattr(arguments, "id", None)
        if known is not None:
            return Resource(type=self.type, name=f"{arguments.domain}/{known}", id=str(known))
        return Resource(type=self.type, name=f"{arguments.domain}/{arguments.name}/{arguments.type}")

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of a record."""
        return {name: thing.get(name) for name in SPEC}

    def outputs(self, thing: Thing) -> dict[str, Value]:
        """Give its id, its domain and what it shows."""
        return {"id": thing["id"], "domain": thing["domain"], **self.shown(thing)}

    def normalise(self, field: str, value: Value) -> Value:
        """Compare hosts without the dot at their end."""
        return value.removesuffix(".") if field == "data" and isinstance(value, str) else value

    def place(self, call: Call, id: Value) -> str:
        """Give the path of a record of a domain."""
        return path("domains", call.arguments.domain, "records", id)

    async def get(self, call: Call, id: Value) -> Thing | None:
        """Get it, with its domain."""
        found = await super().get(call, id)
        return found and found | {"domain": call.arguments.domain}

    async def marked(self, call: Call) -> Thing | None:
        """Look among those alike that were not there before."""
        if not makes(call):
            return None
        wanted = goal(call).fields
        old = wanted.get("alike", [])
        alike = await self._alike(call, wanted)
        return next((each for each in alike if each["id"] not in old and self._is(call, each)), None)

    def _is(self, call: Call, thing: Thing) -> bool:
        return self.same(call.fields, goal(call), Image(fields=self.shown(thing)))

    async def _alike(self, call: Call, wanted: Mapping[str, Value]) -> list[Thing]:
        """Give the records of this name and type."""
        domain, name = call.arguments.domain, wanted["name"]
        full = domain if name == "@" else f"{name}.{domain}"
        pages = self.client.pages(
            path("domains", domain, "records"), self.many, name=full, type=wanted["type"]
        )
        return [each | {"domain": domain} async for each in pages]

    async def inventory(self) -> AsyncIterator[tuple[str, Image]]:
        """Give the records of every domain."""
        async for domain in self.client.pages(path("domains"), "domains", reader=True):
            where = path("domains", domain["name"], "records")
            async for record in self.client.pages(where, self.many, reader=True):
                yield str(record["id"]), Image(fields=self.shown(record))

    async def plan(self, call: Call) -> Planned:
        """Note those that are like what is to be deleted: an undo makes it again."""
        planned = await super().plan(call)
        if call.restore is None and call.verb != "delete":
            return planned
        return msgspec.structs.replace(planned, before=await self._with_alike(call, planned.before or ABSENT))

    async def plan_new(self, call: Call) -> Planned:
        """Note those that are like it."""
        given = {name: value for name in SPEC if (value := getattr(call.arguments, name)) is not None}
        after = Image(fields=given | {"alike": [each["id"] for each in await self._alike(call, given)]})
        return Planned(before=ABSENT, after=after, fields=tuple(given))

    async def _with_alike(self, call: Call, before: Image) -> Image:
        if not before.exists:
            return before
        alike = [each["id"] for each in await self._alike(call, before.fields)]
        return Image(fields=before.fields | {"alike": alike})

    async def make(self, call: Call) -> Outcome:
        """Post it."""
        where = path("domains", call.arguments.domain, "records")
        answer = await self.client.post(where, _body(goal(call), SPEC))
        return self._answered(call, answer, f"POST {where}")

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Patch what the call sets, and nothing else."""
        where = self.place(call, live["id"])
        answer = await self.client.patch(where, _body(goal(call), call.fields) | {"type": live["type"]})
        return self._answered(call, answer, f"PATCH {where}")

    def _answered(self, call: Call, answer: Thing, where: str) -> Outcome:
        record = part(answer, self.one, where, *self.relied_on)
        return self.done(call, record | {"domain": call.arguments.domain})


def _body(image: Image, names: tuple[str, ...]) -> Thing:
    """Give these fields as the service takes them: a host's name ends with a dot."""
    body = {name: image.fields[name] for name in names if image.fields.get(name) is not None}
    data = body.get("data")
    if isinstance(data, str) and image.fields.get("type") in HOSTS and data != "@":
        body["data"] = data.removesuffix(".") + "."
    return body
