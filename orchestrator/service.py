"""The use cases: one function for each thing that somebody can ask of sagad.

The API's routes, the command line (through the API) and the tests all call these. Everything that a caller must act
on is raised as a ``problems.Problem``; whatever changes a saga goes as a message through the directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from actors.batch.members import Members
from actors.directory import Directory
from actors.drift.timer import Timer
from actors.rolling_back import RollingBack
from actors.saga.host import Host
from config.problems import SettingsError, suggest
from config.settings import Settings, TypePolicy
from orchestrator import VERSION, answers, documents
from orchestrator.access import Caller
from orchestrator.auditing import Auditing
from orchestrator.batching import Batching
from orchestrator.files.policy import undo_rule
from orchestrator.health import Health
from orchestrator.keeping import Keeping
from orchestrator.making_up import MakingUp, asks_of
from orchestrator.problems import Invalid, Item, NotFound
from orchestrator.reading import Reading
from orchestrator.requests import FileSubmission, StackSubmission
from orchestrator.steering import Steering
from orchestrator.submitting import Submitted, Submitting
from providers.registry import Registry

if TYPE_CHECKING:
    from actors.drift.keeper import Keeper
    from orchestrator.applying import Applying
    from orchestrator.checking import Checking
    from orchestrator.drifting import Drifting
    from orchestrator.keep import Keep
    from orchestrator.revealing import Revealing
    from store.blobs import Blobs


class Service:
    """What sagad does for its callers."""

    def __init__(  # noqa: PLR0913  what it is put together from
        self,
        *,
        host: Host,
        directory: Directory,
        registry: Registry,
        settings: Settings,
        node_key: bytes,
        blobs: Blobs,
        reload: Callable[[], answers.Reloaded],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Serve these sagas. ``reload`` reads the settings again and gives what changed."""
        self.version = VERSION
        self.settings = settings
        self.ready = False
        self.keep: Keep | None = None
        """What looks after the state folder, where there is one."""
        self.warnings: list[str] = []
        self._host = host
        self._directory = directory
        self._registry = registry
        self._reload = reload
        health = Health(host, directory, registry, self)
        self._blobs = blobs
        self._reading = reading = Reading(host, directory)
        self._submitting = submitting = Submitting(host, directory, registry, settings, reading, random_bytes)
        rolling_back = RollingBack(directory, random_bytes, lambda plan: asks_of(self.settings.policy, plan))
        making_up = MakingUp(host, reading, rolling_back, submitting)
        steering = Steering(host, directory, registry, reading, making_up)
        registry.own["saga"] = Members(directory, rolling_back)
        self._batching = batching = Batching(
            host, directory, reading, submitting, steering, rolling_back, random_bytes
        )
        auditing = Auditing(host.queries, reading, node_key)
        self._keeping = keeping = Keeping(host, registry, auditing)
        self.submit = submitting.submit
        self.resolve_ref = reading.resolve_ref
        self.saga = reading.saga
        self.sagas = reading.sagas
        self.why = reading.why
        self.executions = reading.executions
        self.events = reading.events
        self.stream = reading.stream
        self.verb = steering.verb
        self.submit_batch = batching.submit
        self.batch = batching.batch
        self.batches = batching.batches
        self.cancel_batch = batching.cancel
        self.rollback_batch = batching.rollback
        self.resources = keeping.resources
        self.resource = keeping.resource
        self.resource_stream = keeping.resource_stream
        self.resource_events = keeping.resource_events
        self.import_resource = keeping.import_resource
        self.forget_resource = keeping.forget_resource
        self.health = health.health
        self.all_warnings = health.all_warnings
        self.counts = health.counts
        self.audit_verify = auditing.verify
        self.audit_replay = auditing.replay
        self.audit_events = auditing.events
        self.drift_timer = Timer(host, lambda: self.settings.drift, self._drift_keeper)
        self._drifting: Drifting | None = None

    @property
    def drifting(self) -> Drifting:
        """Give the use cases of drift. Loaded here: a node that keeps nothing never needs them."""
        if self._drifting is None:
            _ = self.drift_timer.keeper
        assert self._drifting is not None
        return self._drifting

    def _drift_keeper(self) -> Keeper:
        from actors.drift.keeper import Keeper
        from orchestrator.drifting import Drifting

        keeper = Keeper(self._host, self._directory, self._registry, lambda: self.settings.drift)
        self._drifting = Drifting(
            self._host, self._registry, keeper, self._reading, self._submitting, self._batching
        )
        return keeper

    # What many daemons never do is imported by those that do it: it takes 10 ms and a megabyte.

    @cached_property
    def _applying(self) -> Applying:
        from orchestrator.applying import Applying
        from orchestrator.stacks.accepted import AcceptedDrift

        accepted = AcceptedDrift(self._host.queries, self._registry)
        return Applying(self._host, self._directory, self._registry, self._submitting, accepted)

    @cached_property
    def _checking(self) -> Checking:
        from orchestrator.checking import Checking
        from orchestrator.rehearsing import Rehearsing

        rehearsing = Rehearsing(self._registry, self._submitting)
        return Checking(self._submitting, self._applying, rehearsing, lambda: self.settings.access)

    async def validate(self, submission: FileSubmission) -> bytes:
        """Say what is wrong with a file: see ``checking``."""
        return await self._checking.validate(submission)

    async def rehearse(self, caller: Caller, submission: FileSubmission) -> bytes:
        """Say what a file would leave behind, whatever goes wrong: see ``checking``. Raises Invalid, NotAllowed."""
        return await self._checking.rehearse(caller, submission)

    async def plan(self, submission: StackSubmission) -> bytes:
        """Say what applying a stack file would do: see ``applying``. Raises Invalid."""
        return await self._applying.plan(submission)

    async def apply(
        self, caller: Caller, submission: StackSubmission, *, idempotency_key: str | None, wait: int | None
    ) -> Submitted:
        """Run what a stack file asks for: see ``applying``. Raises Invalid, Conflict, Unavailable."""
        return await self._applying.apply(caller, submission, idempotency_key=idempotency_key, wait=wait)

    @cached_property
    def revealing(self) -> Revealing:
        """Give what shows administrators what is sealed."""
        from orchestrator.revealing import Revealing

        return Revealing(self._host, self._registry, self._reading, self._keeping, self._blobs)

    async def providers(self, type_: str | None = None) -> bytes:
        """Give what the drivers declare, and what node and driver make of their undos; one type's, where one is named."""
        described = [self._with_rule(each) for each in self._registry.describe()]
        if type_ is not None:
            named = [
                each for each in described if each["type"] == type_ or each["type"].startswith(f"{type_}.")
            ]
            if not named and type_ not in self._registry.refused:
                hint = suggest(type_, [each["type"] for each in described])
                raise NotFound(f"there is no type `{type_}`" + (f": {hint}" if hint else ""))
            described = named
        refused = [
            answers.Refused(type=each, problems=found) for each, found in self._registry.refused.items()
        ]
        return documents.encode(answers.Providers(providers=described, refused=refused))

    def _with_rule(self, described: dict[str, Any]) -> dict[str, Any]:
        """Add what becomes of the undos of a type's steps here, if their file says no more, and how its service is."""
        node = self.settings.policy.types.get(described["type"], TypePolicy()).undo
        rule = undo_rule(described["policy"], node)
        undo = {"driver": described["policy"], "node": node, "effective": rule.word, "asks_first": rule.asks}
        return {**described, "undo_policy": undo, "reach": self._reach(described["service"])}

    def _reach(self, service: str | None) -> answers.Reach | None:
        return None if service is None else documents.reach(self._host.services.shown(service))

    def settle_in(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self.settings = settings
        self._submitting.settle_in(settings)

    async def reload(self, caller: Caller) -> bytes:
        """Read the settings again; what can change, changes. Raises Invalid, and then nothing has changed."""
        try:
            return documents.encode(self._reload())
        except SettingsError as error:
            items = [Item(each.where, each.problem, each.hint) for each in error.problems]
            raise Invalid("the settings are not valid; nothing has changed", items) from error

    async def drain(self, caller: Caller) -> bytes:
        """Start no step any more; return when what runs has ended."""
        self._host.draining = True
        await self._directory.wait_calm()
        detail = "nothing runs and nothing new starts; only a restart of sagad ends this, and goes on with what is left"
        return documents.encode(answers.Drained(drained=True, detail=detail))
