"""Deployments: what the App Platform does with a spec in its own time, and how one that fails is taken back.

A change puts the whole spec. Nothing in the answer names the deployment that comes of it, so the newest one before the
change is noted, and what comes after it is ours. Where that fails, the former spec is put back, which may be done at any
point and any number of times: after a crash, what there is to do is read off the app.
"""

from __future__ import annotations

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Compensated,
    Done,
    Ended,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Partial,
    Planned,
    Succeeded,
    Unclear,
    Unknown,
    Value,
    Working,
)
from providers.digitalocean.app_spec import refers, veiled
from providers.digitalocean.calls import goal, makes, milliseconds, young
from providers.digitalocean.client import Thing, part
from providers.digitalocean.driver import CloudDriver

FIELDS = ("spec",)
"""What is compared: the spec as a whole."""
FAILED = frozenset({"ERROR", "CANCELED"})
OVER = FAILED | {"ACTIVE", "SUPERSEDED"}
"""The phases in which a deployment has ended."""


class DeployingDriver(CloudDriver):
    """A driver for what is deployed. Its handles are ``{"id", "noted"}``, and on the way back why and after what."""

    def _is(self, wanted: Image | None, live: Thing) -> bool:
        return wanted is not None and self.same(FIELDS, wanted, Image(fields=self.shown(live)))

    async def _newest(self, app: Value) -> Thing | None:
        """Give the newest of its deployments, which the service lists first."""
        where = self.where(app, "deployments")
        found = ((await self.client.get(where, per_page=20)) or {}).get("deployments") or []
        newest = max(found, key=lambda each: str(each.get("created_at")), default=None)
        return newest and part({"deployment": newest}, "deployment", f"GET {where}", "id", "phase")

    async def plan(self, call: Call) -> Planned:
        """Note the newest deployment, to know a later one by."""
        planned = await super().plan(call)
        before = planned.before or ABSENT
        if not before.exists or (not goal(call).exists and call.verb == "delete"):
            return planned
        newest = await self._newest(call.arguments.id)
        fields = before.fields | {"deployment": newest and newest["id"]}
        return msgspec.structs.replace(planned, before=Image(fields=fields))

    # --- doing -----------------------------------------------------------------------------------------------------

    async def unfinished(self, call: Call, live: Thing) -> Outcome | None:
        """Follow what an earlier attempt has begun; what nobody can see to be done is done once more."""
        if not self._is(goal(call), live):
            return None
        if makes(call):
            return self._deploying(call, live, None)
        noted, newest = _noted(call), await self._newest(live["id"])
        if newest is None or newest["id"] == noted:
            again = veiled(goal(call).fields["spec"]) and self._is(call.before, live)
            return await self.change(call, live) if again else None
        return None if newest["phase"] == "ACTIVE" else self._deploying(call, live, noted)

    def _deploying(self, call: Call, live: Thing, noted: Value) -> Working:
        """Say that it is being deployed. ``noted``: the newest deployment before that."""
        return self.working(call, {"id": live["id"], "noted": noted}, f"app {live['id']} is being deployed")

    async def change(self, call: Call, live: Thing) -> Outcome:
        """Put its whole spec: the one that was given, or the former one."""
        newest = await self._newest(live["id"])
        spec = call.arguments.spec if call.restore is None else call.restore.fields["spec"]
        await self._put(call, live, spec)
        return self._deploying(call, live, newest and newest["id"])

    async def _put(self, call: Call, live: Thing, spec: Value) -> None:
        if spec is not getattr(call.arguments, "spec", None) and refers(spec):
            why = "its former spec had a secret in plain, which is not on record: give that variable the type SECRET"
            raise Ended(Failed("secret", why))
        await self.client.put(self.place(call, live["id"]), {"spec": spec})

    # --- following its deployment ----------------------------------------------------------------------------------

    async def follow(self, call: Call) -> Outcome:
        """Follow the deployment to its end; one that fails is taken back."""
        newest = await self._newest(call.handle["id"])
        # After its deployment, which may end between the two.
        live = await self.get(call, call.handle["id"])
        if "failed" in call.handle:
            return await self._back(call, live, newest)
        if newest is None or newest["id"] == call.handle["noted"]:
            return self._waiting(call) or Unknown("not_deployed", f"{self.named(call)} is not being deployed")
        if newest["phase"] not in OVER:
            return self.working(call, call.handle, f"deployment {newest['id']} is {newest['phase']}")
        if live is None:
            return self._waiting(call) or Failed("gone", f"{self.named(call)} is not there any more")
        if newest["phase"] in FAILED:
            return await self._failed(call, live, newest)
        if self._is(goal(call), live):
            return self._done(call, live, newest)
        if call.restore is None and self._is(call.before, live):
            return Compensated("deployment_failed", f"{self.named(call)} has its former spec again")
        return Unknown("changed", f"{self.named(call)} was changed by somebody else meanwhile")

    def _waiting(self, call: Call) -> Outcome | None:
        """Wait for what must show within ``settle``; None once that has passed."""
        since = call.handle.get("since", call.now)
        if call.now >= since + self.settle:
            return None
        return self.working(
            call, {**call.handle, "since": since}, f"{self.named(call)} is not shown as it is yet"
        )

    def _done(self, call: Call, live: Thing, newest: Thing | None) -> Succeeded:
        done = self.done(call, live)
        after = (done.after or ABSENT).fields | {"deployment": newest and newest["id"]}
        return msgspec.structs.replace(done, after=Image(fields=after))

    async def _failed(self, call: Call, live: Thing, newest: Thing) -> Outcome:
        """Say of a new app that it is partly there; take a change back; of the way back itself somebody must hear."""
        why = _why(newest)
        if makes(call):
            done = self._done(call, live, newest)
            return Partial("deployment_failed", why, outputs=done.outputs, after=done.after)
        if call.restore is not None:
            return Unknown("deployment_failed", why)
        call = msgspec.structs.replace(
            call, handle={**call.handle, "failed": why, "deployment": newest["id"]}
        )
        return await self._back(call, live, newest)

    async def _back(self, call: Call, live: Thing | None, newest: Thing | None) -> Outcome:
        """Put the former spec back and await what comes of that. It may be asked again at any point: PUT replaces."""
        why = call.handle["failed"]
        if live is None:
            return self._waiting(call) or Failed("gone", f"{why}; then it was deleted by somebody else")
        if newest is not None and newest["phase"] not in OVER:
            return self.working(call, call.handle, f"{why}; its former spec is being deployed")
        if self._is(call.before, live):
            if (newest is None or newest["id"] == call.handle["deployment"]) and (
                wait := self._waiting(call)
            ):
                return wait
            return Compensated("deployment_failed", f"{why}; its former spec was put back")
        if self._is(goal(call), live):
            assert call.before is not None
            await self._put(call, live, call.before.fields["spec"])
            return self.working(call, call.handle, f"{why}; its former spec is being put back")
        done = self._done(call, live, newest)
        why = f"{why}; somebody else has changed its spec since, so that was left as it is"
        return Partial("deployment_failed", why, outputs=done.outputs, after=done.after)

    # --- finding out -----------------------------------------------------------------------------------------------

    async def under_way(self, call: Call, live: Thing | None) -> str:
        """Tell whether it is being deployed."""
        if live is None or not goal(call).exists:
            return ""
        newest = await self._newest(live["id"])
        if newest is not None and newest["phase"] not in OVER:
            return f"deployment {newest['id']} is {newest['phase']}"
        begun = newest is not None and newest["id"] != _noted(call)
        updated = call.now - milliseconds(live.get("updated_at"))
        return "" if begun or not young(updated, self.settle) else "it was changed a moment ago"

    async def tell(self, call: Call) -> Finding:
        """Look at its spec and at what came of deploying it; a failed deployment is taken back here as well."""
        live = await self.look(call)
        if live is None or not goal(call).exists:
            return await super().tell(call)
        if going_on := await self.under_way(call, live):
            raise Ended(self.working(call, call.handle, going_on))
        newest = await self._newest(live["id"])
        begun = newest is not None and newest["id"] != _noted(call)
        if not self._is(goal(call), live):
            as_before = not makes(call) and self._is(call.before, live)
            return NotDone() if as_before else Unclear(f"{self.named(call)} was changed by somebody else")
        if newest is not None and begun and newest["phase"] in FAILED:
            return await self._told_failed(call, live, newest)
        if not begun and veiled(goal(call).fields["spec"]) and self._is(call.before, live):
            return NotDone()
        done = self._done(call, live, newest)
        return Done(outputs=done.outputs, after=done.after)

    async def _told_failed(self, call: Call, live: Thing, newest: Thing) -> Finding:
        """Take back what could not be deployed, so that it is surely not done."""
        if makes(call):
            await self.client.delete(self.place(call, live["id"]))
            return NotDone()
        if call.restore is not None:
            return Unclear(
                f"its former spec is back, but {_why(newest)}; deploy it again, then say that it is done"
            )
        handle = {"id": live["id"], "noted": _noted(call), "failed": _why(newest), "deployment": newest["id"]}
        outcome = await self._back(msgspec.structs.replace(call, handle=handle), live, newest)
        if isinstance(outcome, Working):
            raise Ended(outcome)
        return NotDone() if isinstance(outcome, Compensated) else Unclear(getattr(outcome, "message", ""))


def _noted(call: Call) -> Value:
    """Give the newest deployment before the call, as its plan noted it."""
    return (call.before or ABSENT).fields.get("deployment")


def _why(deployment: Thing) -> str:
    return f"deployment {deployment['id']} ended {deployment['phase']}: its logs say why"
