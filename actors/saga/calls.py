"""Driver calls made from what is written down: arguments with their secrets, images, keys.

Preparing and performing both make their calls here, so that a call is the same whether its execution has just been
decided on or comes back from disk days later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from actors.clock import Clock
from actors.saga.dossier import Dossier, Entry, Intent
from actors.saga.references import BadReference, find, mentions, reveal
from providers.contract import Call, Driver, Image, Verb
from providers.registry import Registry, UnknownOperation
from store.errors import SealBroken, SecretUnusable
from store.secrets import Secrets

if TYPE_CHECKING:
    from actors.saga.seals import Seals


class NotReady(Exception):
    """A call cannot be made as things are."""

    def __init__(self, code: str, message: str, *, stuck: bool = False) -> None:
        """Say why. ``stuck``: it is the node's fault, not the step's."""
        super().__init__(message)
        self.code = code
        self.stuck = stuck


class Calls:
    """Makes driver calls, with these drivers, these secrets and this clock."""

    def __init__(self, registry: Registry, secrets: Secrets, clock: Clock) -> None:
        """Keep them."""
        self.registry = registry
        self.secrets = secrets
        self.clock = clock

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

    def call(
        self, driver: Driver, key: str, intent: Intent, typed: Any, original: Entry | None = None
    ) -> Call:
        """Make a call of an execution; `original`: the one that it restores. Raises NotReady."""
        try:
            before, after = self.opened(driver, intent.before), self.opened(driver, intent.after)
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

    def same(self, driver: Driver, fields: tuple[str, ...], wanted: Image, live: Image) -> bool:
        """Compare with what was recorded, in which secrets are references. Raises SecretUnusable."""
        wanted = self.opened(driver, wanted) or wanted
        if driver.same(fields, wanted, live):
            return True
        redacted = msgspec.structs.replace(live, fields=self.secrets.redact(live.fields))
        return driver.same(fields, wanted, redacted)

    def seals(self, driver: Driver, execution: str) -> Seals:
        """Give what seals the sensitive values of an execution. Loaded with the first one: an idle node has none."""
        from actors.saga.seals import Seals

        return Seals(self.secrets, driver, execution)

    def opened(self, driver: Driver, image: Image | None) -> Image | None:
        """Give a recorded image as the driver knows it. Raises SecretUnusable."""
        if image is None or driver.sensitive.isdisjoint(image.fields):
            return image
        from actors.saga.seals import opened

        return opened(self.secrets, driver, image)


def _unusable(why: SecretUnusable) -> NotReady:
    """What is sealed and cannot be opened is for somebody to mend; a secret that is not there is the step's."""
    return NotReady("secret", str(why), stuck=isinstance(why, SealBroken))
