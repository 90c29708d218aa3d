"""What the engine does around a driver's call, as far as a driver's own tests need it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from providers.contract import Blob, Call, Driver

NOW = 1_800_000_000_000  # 2027-01-15T08:00:00Z


class NoBlobs:
    """For drivers that keep no contents."""

    def keep(self, chunks: Iterable[bytes]) -> Blob:
        """Refuse."""
        raise NotImplementedError

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """Refuse."""
        raise NotImplementedError


def call_of(driver: Driver, verb: str, arguments: Mapping[str, Any], **more: Any) -> Call:
    """Make a call as the engine does, the arguments decoded by the verb's declaration."""
    decoded: Any = msgspec.convert(dict(arguments), driver.verbs[verb].arguments)
    return Call(**({"verb": verb, "arguments": decoded, "key": "k-1", "name": "n-1", "now": NOW} | more))


def problems_of(driver: Driver, verb: str, arguments: Mapping[str, Any]) -> list[str]:
    """Ask the driver what it has against these arguments."""
    return driver.check(verb, msgspec.convert(dict(arguments), driver.verbs[verb].arguments))
