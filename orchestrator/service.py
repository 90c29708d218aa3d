"""The use cases: one function for each thing that somebody can ask of sagad.

The API's routes, the command line (through the API) and the tests all call these. Everything that a caller must act
on is raised as a ``problems.Problem``; whatever changes a saga goes as a message through the directory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from actors.batch.members import Members
from actors.clock import rfc3339
from actors.directory import Directory
from actors.rolling_back import RollingBack
from actors.saga.host import Host
from config.problems import SettingsError, suggest
from config.settings import Settings, TypePolicy
from orchestrator import VERSION, answers, documents
from orchestrator.access import Caller
from orchestrator.auditing import Auditing
from orchestrator.batching import Batching
from orchestrator.files.policy import undo_rule
from orchestrator.keeping import Keeping
from orchestrator.making_up import MakingUp, asks_of
from orchestrator.metrics import Counts
from orchestrator.problems import Invalid, Item, NotFound
from orchestrator.reading import Reading
from orchestrator.requests import FileSubmission, StackSubmission
from orchestrator.steering import Steering
from orchestrator.submitting import Submitted, Submitting
from providers.registry import Registry

if TYPE_CHECKING:
    from actors.services import Shown
    from orchestrator.applying import Applying
    from orchestrator.checking import Checking
    from orchestrator.keep import Keep
    from orchestrator.revealing import Revealing
    from store.blobs import Blobs

SHOWN = 20
"""Sagas named in `health` at most, of each trouble."""

OVERLOOKED = 60_000
"""Milliseconds after which a saga that is due and not in memory has been overlooked."""


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
        reload: Callable[[], list[str]],
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
        self._began = host.clock.now()
        self._blobs = blobs
        self._reading = reading = Reading(host, directory)
        self._submitting = submitting = Submitting(host, directory, registry, settings, reading, random_bytes)
        rolling_back = RollingBack(directory, random_bytes, lambda plan: asks_of(self.settings.policy, plan))
        making_up = MakingUp(host, reading, rolling_back, submitting)
        steering = Steering(host, directory, registry, reading, making_up)
        registry.own["saga"] = Members(directory, rolling_back)
        batching = Batching(host, directory, reading, submitting, steering, rolling_back, random_bytes)
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
        self.audit_verify = auditing.verify
        self.audit_replay = auditing.replay
        self.audit_events = auditing.events

    # What many daemons never do is imported by those that do it: it takes 10 ms and a megabyte.

    @cached_property
    def _applying(self) -> Applying:
        from orchestrator.applying import Applying

        return Applying(self._host, self._directory, self._registry, self._submitting)

    @cached_property
    def _checking(self) -> Checking:
        from orchestrator.checking import Checking
        from orchestrator.rehearsing import Rehearsing

        rehearsing = Rehearsing(self._registry, self._submitting)
        return Checking(self._submitting, self._applying, rehearsing)

    async def validate(self, submission: FileSubmission) -> bytes:
        """Say what is wrong with a file: see ``checking``."""
        return await self._checking.validate(submission)

    async def rehearse(self, submission: FileSubmission) -> bytes:
        """Say what a file would leave behind, whatever goes wrong: see ``checking``. Raises Invalid."""
        return await self._checking.rehearse(submission)

    def is_stack(self, submission: FileSubmission) -> bool:
        """Tell whether it is a stack file that is to be checked or tried out."""
        return self._checking.is_stack(submission)

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

    async def health(self) -> bytes:
        """Say how the node is: live and ready, and everything that somebody should look at."""
        counts = await self._host.queries.counts()
        warnings = [text async for text in self.all_warnings()]
        status: answers.NodeStatus = (
            "draining" if self._host.draining else "ok" if not warnings else "warning"
        )
        return documents.encode(
            answers.Health(
                live=True,
                ready=self.ready,
                status=status,
                version=self.version,
                node=self._host.journal.node,
                head=answers.Head(seq=self._host.journal.last_seq, hash=self._host.journal.head),
                sagas=[documents.count(each) for each in counts],
                in_memory=len(self._directory.live),
                restarts=self._directory.supervisor.restarts,
                providers=[documents.reach(each) for each in self._reached()],
                retention=None if self.keep is None else self.keep.retention,
                warnings=warnings,
            )
        )

    async def all_warnings(self) -> AsyncIterator[str]:
        """Say everything that somebody should look at."""
        for text in self.warnings:
            yield text
        for name, why in self._registry.refused.items():
            yield f"type {name} is unavailable: {'; '.join(why)}"
        for type_ in self.settings.policy.types:
            if type_ not in self._registry.drivers and type_ not in self._registry.refused:
                hint = suggest(type_, self._registry.drivers)
                yield f'the settings have [policy."{type_}"], and there is no such type: {hint}'
        for text in self._silent():
            yield text
        for text in self.keep.warnings() if self.keep is not None else ():
            yield text
        for text in self._host.secrets.broken:
            yield text
        if self._host.journal.full:
            yield f"the disk is full: {self._host.journal.storage.why}"
        async for text in self._of_sagas():
            yield text

    async def _of_sagas(self) -> AsyncIterator[str]:
        """Name the sagas that are left alone, do not come on, or were overlooked."""
        for row in await self._host.queries.sagas(hold="quarantined", limit=SHOWN):
            held = self._directory.state(row).hold
            since = f" since {rfc3339(held.since)}" if held else ""
            yield f"saga {row.id} is quarantined{since}: {held.detail if held else 'see the log'}"
        if not self._host.journal.full:  # while it is, every turn waits for room
            for name, at, what in self._directory.stalled(self._host.clock.now())[:SHOWN]:
                yield f"saga {name} {what}, since {rfc3339(at)}: see `sagactl why {name}` and the log"
        for saga in await self._overlooked():
            yield f"saga {saga} should go on and does not, which is a bug of sagad: see `sagactl why {saga}` and its log"

    def _silent(self) -> Iterator[str]:
        """Name the services that are not asked for a while."""
        for each in self._reached():
            if each.since is not None:
                yield (
                    f"{each.name} has not answered since {rfc3339(each.since)} ({each.error}): what would ask it waits, "
                    f"and it is asked again at {rfc3339(each.until or 0)}"
                )

    def _reached(self) -> list[Shown]:
        return [self._host.services.shown(name) for name in self._registry.services()]

    async def _overlooked(self) -> list[str]:
        """Name sagas that neither move nor have a reason. None while there is one: no room, no disk, a drain, a start."""
        then = self._host.clock.now() - OVERLOOKED
        if self._began > then or self._directory.crowded or self._host.draining or self._host.journal.full:
            return []
        found = await self._host.queries.overlooked(then, limit=len(self._directory.live) + SHOWN)
        return [saga for saga in found if saga not in self._directory.live]

    async def counts(self) -> Counts:
        """Count what there is, for the metrics."""
        rows = await self._host.queries.counts()
        return Counts(
            version=self.version,
            ready=self.ready,
            draining=self._host.draining,
            storage_full=self._host.journal.full,
            sagas={(row.status, row.hold): row.sagas for row in rows},
            actors=len(self._directory.live),
            restarts=self._directory.supervisor.restarts,
            quarantined=sum(row.sagas for row in rows if row.hold == "quarantined"),
            last_seq=self._host.journal.last_seq,
            providers={each.name: (each.position, each.failures) for each in self._reached()},
        )

    async def reload(self, caller: Caller) -> bytes:
        """Read the settings again; what can change, changes. Raises Invalid, and then nothing has changed."""
        try:
            return documents.encode(answers.Reloaded(changed=self._reload()))
        except SettingsError as error:
            items = [Item(each.where, each.problem, each.hint) for each in error.problems]
            raise Invalid("the settings are not valid; nothing has changed", items) from error

    async def drain(self, caller: Caller) -> bytes:
        """Start no step any more; return when what runs has ended."""
        self._host.draining = True
        await self._directory.wait_calm()
        detail = "nothing runs and nothing new starts; only a restart of sagad ends this, and goes on with what is left"
        return documents.encode(answers.Drained(drained=True, detail=detail))
