"""sagad with a service that gives ids, as far as the registry is concerned: `python -m tests.engine.cloud …`.

Its things are in the file that `$CLOUD` names. Each has an id, which none has had before, and a token, which is secret.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Driver,
    Ended,
    Failed,
    Image,
    Outcome,
    Partial,
    Planned,
    Resource,
    Succeeded,
    Verb,
)

Things = dict[str, dict[str, Any]]


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make. `half`: say so when it is there, and no more."""

    name: str
    size: int = 1
    tags: list[str] = []
    half: bool = False


class Changed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of it."""

    id: str
    size: int


class Gone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to remove."""

    id: str


OUTPUTS = {"id": str, "size": int, "token": str}


class Thing(Driver):
    """A thing of the service."""

    type = "cloud.thing"
    version = "1.0"
    sensitive = frozenset({"token"})
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Made, outputs=OUTPUTS, inverse="delete", may_end=frozenset({"partial"})),
        "update": Verb(arguments=Changed, outputs=OUTPUTS, inverse="update"),
        "delete": Verb(arguments=Gone, outputs={"id": str}, inverse="create"),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it: before it is there only its name is known."""
        if verb == "create":
            return Resource(self.type, arguments.name)
        return Resource(self.type, arguments.id, id=arguments.id)

    async def plan(self, call: Call) -> Planned:
        """Look at it, and say what is set."""
        if call.restore is not None:
            return Planned(await self.read(call))
        if call.verb == "create":
            fields = {"name": call.arguments.name, "size": call.arguments.size, "tags": call.arguments.tags}
            return Planned(ABSENT, Image(fields=fields), ("name", "size", "tags"))
        before = await self.read(call)
        if not before.exists and call.verb == "update":
            raise Ended(Failed("not_found", "it is not there"))
        if call.verb == "delete":
            return Planned(before, ABSENT, ("name", "size", "tags"))
        return Planned(before, Image(fields={"size": call.arguments.size}), ("size",))

    async def read(self, call: Call) -> Image:
        """Give it as it is."""
        id_ = getattr(call.arguments, "id", None) or call.outputs.get("id")
        thing = things().get(id_ or "")
        return ABSENT if thing is None else Image(fields={"id": id_, **thing})

    async def apply(self, call: Call) -> Outcome:
        """Make, change or remove it; or put it back, under an id of its own."""
        there = things()
        if call.restore is not None and not call.restore.exists:
            there.pop(call.outputs["id"], None)
            return written(there)
        if call.verb == "delete":
            there.pop(call.arguments.id, None)
            return written(there, id=call.arguments.id)
        if call.verb == "create":
            id_ = str(there.pop("last", {"number": 0})["number"] + 1)
            given = call.restore or call.after
            assert given is not None
            there["last"] = {"number": int(id_)}
            there[id_] = {name: given.fields[name] for name in ("name", "size", "tags")}
            if "link" in given.fields:
                there[id_]["link"] = given.fields["link"]  # what is made anew is linked as it was
            outputs = {"id": id_, "size": given.fields["size"], "token": f"token-of-{id_}"}
            if getattr(call.arguments, "half", False):
                written(there)
                return Partial("half", "no more than that", outputs, Image(fields={"id": id_, **there[id_]}))
            return written(there, **outputs)
        there[call.arguments.id]["size"] = (call.restore or call.after or ABSENT).fields["size"]
        return written(there, id=call.arguments.id, size=there[call.arguments.id]["size"], token="another")


class Linked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which thing to link, and how strongly."""

    thing_id: str
    strength: int = 1


class Link(Driver):
    """What links a thing; it goes with the thing, and the thing must be there to link or unlink it."""

    type = "cloud.link"
    version = "1.0"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Linked, outputs={"thing_id": str}, inverse="delete"),
        "delete": Verb(arguments=Linked, outputs={"thing_id": str}, inverse="create"),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it: each thing can have one."""
        return Resource(self.type, f"link of {arguments.thing_id}")

    async def plan(self, call: Call) -> Planned:
        """Look at it, and say what is set."""
        fields = {"thing_id": call.arguments.thing_id, "strength": call.arguments.strength}
        after = ABSENT if call.verb == "delete" else Image(fields=fields)
        return Planned(await self.read(call), after, ("thing_id", "strength"))

    async def read(self, call: Call) -> Image:
        """Give it as it is."""
        id_ = call.arguments.thing_id
        strength = things().get(id_, {}).get("link")
        return ABSENT if strength is None else Image(fields={"thing_id": id_, "strength": strength})

    async def apply(self, call: Call) -> Outcome:
        """Link or unlink."""
        there, id_ = things(), call.arguments.thing_id
        if id_ not in there:
            return Failed("not_found", f"there is no thing {id_}")
        goal = call.restore or call.after or ABSENT
        if goal.exists:
            there[id_]["link"] = goal.fields["strength"]
        else:
            there[id_].pop("link", None)
        return written(there, thing_id=id_)


class Finish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing to say."""


class Shelf(Thing):
    """A thing that is of no use until all of them are announced. `$CLOUD` says how often they were, or that it fails."""

    type = "cloud.shelf"
    verbs: ClassVar[Mapping[str, Verb]] = {
        **Thing.verbs,
        "finalize": Verb(arguments=Finish, repeat="idempotent", changes=False),
    }

    def resource(self, verb: str, arguments: Any) -> Resource | None:  # type: ignore[override]
        """Name it, if it is about one."""
        return None if verb == "finalize" else super().resource(verb, arguments)

    async def plan(self, call: Call) -> Planned:
        """Look at it, if it is about one."""
        return Planned() if call.verb == "finalize" else await super().plan(call)

    async def apply(self, call: Call) -> Outcome:
        """Announce them, or do what is to be done to one."""
        if call.verb != "finalize":
            return await super().apply(call)
        there = things()
        if there.get("finalize") == {"fails": True}:
            return Failed("refused", "nobody listens")
        there["finalized"] = {"times": there.get("finalized", {"times": 0})["times"] + 1}
        return written(there)


def things() -> Things:
    """Give what there is, by id."""
    path = Path(os.environ["CLOUD"])
    return dict(json.loads(path.read_text())) if path.exists() else {}


def written(there: Things, **outputs: Any) -> Succeeded:
    """Keep it."""
    Path(os.environ["CLOUD"]).write_text(json.dumps(there))
    return Succeeded(outputs)


if __name__ == "__main__":
    from providers import registry

    registry.BUILT_IN["cloud.thing"] = "tests.engine.cloud:Thing"
    registry.BUILT_IN["cloud.link"] = "tests.engine.cloud:Link"
    registry.BUILT_IN["cloud.shelf"] = "tests.engine.cloud:Shelf"
    from orchestrator.daemon import main

    main(sys.argv[1:])
