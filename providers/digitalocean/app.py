"""`digitalocean.app`: an app of the App Platform, known by its name, which is unique in the account.

A change replaces the whole spec by one PUT, which the service then deploys, for minutes. If that deployment fails, the
driver puts the former spec back by itself, and the change ends ``compensated``; what served before has served all the
time. A new app whose deployment fails stays, to be looked at, and is deleted with its undo.

The plan asks the service what the spec would become (`propose`), for it fills in what is left out.

A delete cannot be taken back: an app made from the same spec has another address, its databases are empty, and the
secrets in its variables, which the service sealed for the app that is gone, cannot be read by anybody.
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
    Image,
    Outcome,
    Planned,
    Resource,
    Unknown,
    Value,
    Verb,
)
from providers.digitalocean.app_spec import alike
from providers.digitalocean.calls import goal
from providers.digitalocean.client import Thing, part
from providers.digitalocean.deployments import FIELDS, DeployingDriver
from providers.digitalocean.verbs import changing, deleting, making


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make: a spec as DigitalOcean's API takes it."""

    spec: dict[str, Any]


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one, and its whole new spec."""

    id: str
    spec: dict[str, Any]


OUTPUTS: Mapping[str, Any] = {
    "id": str,
    "name": str,
    "spec": dict[str, Any],
    "default_ingress": str | None,
    "live_url": str | None,
    "live_domain": str | None,
    "created_at": str | None,
}


class App(DeployingDriver):
    """Makes, changes and deletes apps."""

    type = "digitalocean.app"
    summary = "an app of the App Platform"
    collection, one, many = "apps", "app", "apps"
    relied_on = ("id", "spec")
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": making(
            Create,
            OUTPUTS,
            "make an app and wait until it is deployed; its name must be free",
            may_end=frozenset({"partial"}),
        ),
        "update": changing(
            Update,
            OUTPUTS,
            "replace an app's whole spec; the former one is put back where it cannot be deployed",
            repeat="find",
            may_end=frozenset({"partial", "compensated"}),
        ),
        "delete": deleting("delete an app with its databases and its address; there is no way back"),
    }

    # --- what it is ------------------------------------------------------------------------------------------------

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Ask for a name."""
        spec = getattr(arguments, "spec", {"name": "…"})
        return [] if spec.get("name") else ["its `spec` has no `name`"]

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it by its id, or before it has one by its name."""
        if isinstance(arguments, Create):
            return Resource(type=self.type, name=str(arguments.spec.get("name")))
        return super().resource(verb, arguments)

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells of an app."""
        told = {name: thing.get(name) for name in OUTPUTS if name != "id"}
        return told | {"name": thing["spec"].get("name")}

    def same(self, fields: tuple[str, ...], wanted: Image, live: Image) -> bool:
        """Compare specs as far as they can be seen."""
        if not (wanted.exists and live.exists):
            return wanted.exists == live.exists
        return all(alike(wanted.fields.get(name), live.fields.get(name)) for name in fields)

    async def marked(self, call: Call) -> Thing | None:
        """Look for its name."""
        wanted = goal(call) if goal(call).exists else call.before or ABSENT
        async for each in self.client.pages(self.where(), self.many):
            if (each.get("spec") or {}).get("name") == wanted.fields["name"]:
                return each
        return None

    # --- planning --------------------------------------------------------------------------------------------------

    async def plan_new(self, call: Call) -> Planned:
        """Ask what the spec would become; a name that is taken is refused."""
        name = call.arguments.spec["name"]
        proposed = await self._proposed({"spec": call.arguments.spec})
        if proposed.get("app_name_available") is False:
            raise Ended(Failed("exists", f"there is an app {name} already: choose another name"))
        after = Image(fields={"name": name, "spec": proposed["spec"]})
        return Planned(before=ABSENT, after=after, fields=FIELDS)

    async def wanted(self, call: Call, before: Image) -> dict[str, Value]:
        """Ask what the spec would become."""
        proposed = await self._proposed({"spec": call.arguments.spec, "app_id": call.arguments.id})
        return {"spec": proposed["spec"]}

    async def _proposed(self, body: Thing) -> Thing:
        """Ask; it changes nothing, so no answer is no harm."""
        try:
            answer = await self.client.post(self.where("propose"), body)
            part(answer, "spec", f"POST {self.where('propose')}", "name")
        except Ended as ended:
            lost = ended.outcome
            if not isinstance(lost, Unknown):
                raise
            raise Ended(Failed(lost.code, lost.message, transient=True, down=lost.down)) from ended
        return answer

    async def make(self, call: Call) -> Outcome:
        """Post its spec."""
        if call.restore is not None:
            return Failed("gone", "an app that was deleted cannot be made again")
        answer = await self.client.post(self.where(), {"spec": call.arguments.spec})
        return self._deploying(call, part(answer, self.one, f"POST {self.where()}", "id"), None)
