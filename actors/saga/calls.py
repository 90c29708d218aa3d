"""Driver calls made from what is written down: arguments with their secrets, images, keys.

Preparing and performing both make their calls here, so that a call is the same whether its execution has just been
decided on or comes back from disk days later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from actors.clock import Clock
from actors.saga.dossier import Dossier, Entry, Intent
from actors.saga.references import BadReference, find, mentions, reveal
from providers.contract import Call, Driver, Ended, Failed, Image, Verb, Working
from providers.registry import Registry, UnknownOperation
from store.errors import SealBroken, SecretUnusable
from store.sealed import referred
from store.secrets import Secrets

if TYPE_CHECKING:
    from actors.saga.seals import Seals
    from actors.services import Services


class NotReady(Exception):
    """A call cannot be made as things are."""

    def __init__(self, code: str, message: str, *, stuck: bool = False, transient: bool = False) -> None:
        """Say why. ``stuck``: it is the node's fault, not the step's. ``transient``: it may be over soon."""
        super().__init__(message)
        self.code = code
        self.stuck = stuck
        self.transient = transient


class Postponed(Exception):
    """A service is not to be asked before ``until`` (UTC milliseconds); the message says why, and takes no attempt."""

    def __init__(self, why: str, until: int) -> None:
        """Say why, and until when."""
        super().__init__(why)
        self.why = why
        self.until = until


class Asking(Protocol):
    """One call of a driver under way."""

    def came(self, outcome: Any) -> None:
        """Take what came of it: an outcome, a finding, or what it raised."""
        ...


class _NoService:
    def came(self, outcome: Any) -> None:
        pass


_NO_SERVICE = _NoService()


class Calls:
    """Makes driver calls, with these drivers, these secrets and this clock."""

    def __init__(
        self, registry: Registry, secrets: Secrets, clock: Clock, services: Services | None = None
    ) -> None:
        """Keep them. ``services``: those that the drivers ask over a network."""
        self.registry = registry
        self.secrets = secrets
        self.clock = clock
        self._services = services

    @property
    def services(self) -> Services:
        """Whether the drivers' services are asked. Loaded with the first driver that has one: many nodes have none."""
        if self._services is None:
            from actors.services import Services

            self._services = Services(self.clock, self.secrets.redact)
        return self._services

    def driver(self, operation: str, version: str) -> tuple[Driver, str]:
        """Give the driver and the verb. Raises NotReady where it is gone, or of another major version."""
        try:
            driver, verb = self.registry.find(operation)
        except UnknownOperation as gone:
            raise NotReady("driver", str(gone), stuck=True) from gone
        if version and version.partition(".")[0] != driver.version.partition(".")[0]:
            why = f"{driver.type} is version {driver.version} now; the saga was made for {version}"
            raise NotReady("driver", why, stuck=True)
        return driver, verb

    def reveal(self, arguments: Any, verb: Verb) -> tuple[Any, tuple[str, ...], str]:
        """Give the arguments as the driver gets them, which secrets are in them, and those secrets' fingerprint."""
        if not mentions(arguments):
            return self._typed(arguments, verb), (), ""
        names = tuple(sorted({ref.path[0] for _, ref in find(arguments) if ref.root == "secret"}))
        try:
            real = reveal(arguments, self.secrets.value)
            mark = self.secrets.fingerprint(names) if names else ""
        except SecretUnusable as why:
            raise _unusable(why) from why
        except BadReference as why:
            raise NotReady("reference", str(why)) from why
        return self._typed(real, verb), names, mark

    def _typed(self, arguments: Any, verb: Verb) -> Any:
        try:
            return msgspec.convert(arguments, verb.arguments)
        except msgspec.ValidationError as why:
            raise NotReady("arguments", self.secrets.redact(f"its arguments do not fit: {why}")) from why

    @contextmanager
    def heeding(self, driver: Driver) -> Iterator[None]:
        """Ask a driver what touches nothing: what it raises is data, here too. Raises NotReady."""
        try:
            yield
        except Exception as error:
            failed = error.outcome if isinstance(error, Ended) else None
            if not isinstance(failed, Failed):
                why = f"{driver.type} could not check its arguments: {type(error).__name__}: {error}"
                failed = Failed("check", why, transient=isinstance(error, OSError))
            raise NotReady(
                failed.code, self.secrets.redact(failed.message), transient=failed.transient
            ) from error

    def call(
        self, driver: Driver, key: str, intent: Intent, typed: Any, original: Entry | None = None
    ) -> Call:
        """Make a call of an execution; `original`: the one that it restores. Raises NotReady."""
        try:
            before, after = self.opened(intent.before), self.opened(intent.after)
        except SecretUnusable as why:
            raise _unusable(why) from why
        outputs: dict[str, Any] = {}
        if original is not None and intent.restore and original.outputs:
            from actors.saga.seals import legible

            outputs = legible(self.secrets, original.id, original.outputs)
        return Call(
            verb=intent.verb,
            arguments=typed,
            key=key,
            name=intent.name,
            now=self.clock.now(),
            resource=intent.resource,
            before=before,
            after=after,
            fields=intent.fields,
            restore=after if intent.restore else None,
            approved=intent.approved,
            outputs=outputs,
        )

    def again(self, dossier: Dossier, step: int, entry: Entry) -> tuple[Driver, Call]:
        """Make the call of an execution anew from its record. Raises NotReady."""
        driver, verb = self.driver(entry.operation, entry.intent.driver.rpartition(" ")[2])
        original = dossier.original(step, entry.direction) if entry.intent.restore else None
        # An intent of an earlier release does not say as what its arguments are typed.
        like = verb if original is None else original.verb
        typed, _, _ = self.reveal(entry.arguments, driver.verbs[entry.intent.typed_as or like])
        return driver, self.call(driver, entry.key, entry.intent, typed, original)

    @contextmanager
    def asking(self, driver: Driver) -> Iterator[Asking]:
        """Make one call of a driver, and say what came of it. Raises Postponed where its service is not to be asked now."""
        if not driver.service:
            yield _NO_SERVICE
            return
        with self.services.asking(driver.service) as asking:
            yield asking

    def postponed(self, driver: Driver) -> Postponed | None:
        """Tell whether a driver's service is not to be asked now. Nothing may be begun that would have to ask it."""
        return self.services.shut(driver.service) if driver.service else None

    def held_up(self, driver: Driver, outcome: Any) -> Postponed | None:
        """Tell whether a call has ended by its service alone, so that it was no attempt.

        The service was not to be asked; or it is down, this call has changed nothing, and nobody asks it for a while.
        """
        if isinstance(outcome, Failed) and outcome.unasked:
            return Postponed(
                self.secrets.redact(outcome.message), self.clock.now() + (outcome.retry_after or 0)
            )
        nothing = isinstance(outcome, Failed | Working) and outcome.down
        return self.postponed(driver) if nothing else None

    def same(self, driver: Driver, fields: tuple[str, ...], wanted: Image, live: Image) -> bool:
        """Compare with what was recorded, in which secrets are references. Raises SecretUnusable."""
        wanted = self.opened(wanted) or wanted
        if driver.same(fields, wanted, live):
            return True
        redacted = msgspec.structs.replace(live, fields=self.secrets.redact(live.fields))
        return driver.same(fields, wanted, redacted)

    def seals(self, driver: Driver, execution: str) -> Seals:
        """Give what seals the sensitive values of an execution. Loaded with the first one: an idle node has none."""
        from actors.saga.seals import Seals

        return Seals(self.secrets, driver, execution)

    def opened(self, image: Image | None) -> Image | None:
        """Give a recorded image as the driver knows it. Raises SecretUnusable."""
        if image is None or all(referred(value) is None for value in image.fields.values()):
            return image
        from actors.saga.seals import opened

        return opened(self.secrets, image)


def _unusable(why: SecretUnusable) -> NotReady:
    """What is sealed and cannot be opened is for somebody to mend; a secret that is not there is the step's."""
    return NotReady("secret", str(why), stuck=isinstance(why, SealBroken))
