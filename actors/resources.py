"""The registry of resources, as those see it who change it: what is on record, and what a type keeps of itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from actors.saga.state import Touch
from providers.registry import Registry
from store.journal import Journal
from store.queries import Queries
from store.records import NewEvent, Note, Resource, ResourceChange

if TYPE_CHECKING:
    from store.drift import Kept

HIDDEN = "***"
"""What stands where a sensitive value would."""

Key = tuple[str, str]
"""(type, identity)"""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(dict[str, Any])


class ResourceEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to a resource's record by somebody's word, beside all sagas."""

    type: ClassVar[str]
    version: ClassVar[int] = 1
    identity: str
    reason: str | None = None


class Imported(ResourceEvent, frozen=True, kw_only=True):
    """Somebody had sagad keep a resource, whosever it was before. ``spec`` is the digest of what is to be kept of it."""

    type = "resource.imported"
    id: str | None = None
    spec: str
    spec_version: int


class Forgotten(ResourceEvent, frozen=True, kw_only=True):
    """Somebody had sagad keep a resource no longer. The resource itself was not touched."""

    type = "resource.forgotten"
    spec_version: int


class Declared(ResourceEvent, frozen=True, kw_only=True):
    """A stack file was applied that names a resource: the stack owns it from now on, and this is what it says of it."""

    type = "resource.declared"
    stack: str
    needs: tuple[str, ...] = ()
    protect: bool = False


RESOURCE_EVENTS: dict[str, type[ResourceEvent]] = {
    each.type: each for each in (Imported, Forgotten, Declared)
}


def digest(spec: bytes) -> str:
    """Give what an event says of a spec."""
    return hashlib.sha256(spec).hexdigest()


def key_of(record: Resource) -> Key:
    """Give what a record is found by."""
    return record.type, record.identity


def label_of(record: Resource) -> str:
    """Give what events call a resource."""
    return f"{record.type}/{record.name}"


def touch_of(record: Resource) -> Touch:
    """Give what the locks know a resource by."""
    place = record.identity if record.identity.startswith("/") else None
    return Touch(type=record.type, name=record.name, id=record.id, path=place)


def known_of(record: Resource) -> dict[str, Any]:
    """Give all that is known of a resource, by the names that verbs have for it as arguments."""
    outputs = _DECODER.decode(record.outputs)
    place = {"path": record.identity} if record.id is None else {"id": outputs.get("id", record.id)}
    return {"name": record.name, **outputs, **_DECODER.decode(record.spec), **place}


class Resources:
    """The records, those that are just being written included."""

    def __init__(self, queries: Queries, registry: Registry) -> None:
        """Read them there. What a type keeps of itself, its driver declares."""
        self._queries = queries
        self._registry = registry
        self._writing: dict[Key, Resource | None] = {}

    def find(self, key: Key) -> Resource | None:
        """Give the record of a resource."""
        return self._writing[key] if key in self._writing else self._queries.resource(*key)

    def called(self, type_: str, name: str) -> list[Resource]:
        """Give the records of a type that go by this name, or have it as their identity."""
        return self._queries.resources_called(type_, name)

    def below(self, path: str) -> list[Resource]:
        """Give the records of what lies below a path, whatever the types."""
        return self._queries.resources_below(path)

    def busy(self, key: Key) -> bool:
        """Tell whether a record is just being written."""
        return key in self._writing

    async def write(
        self,
        journal: Journal,
        events: list[NewEvent],
        changes: list[ResourceChange],
        drift: Kept | None = None,
    ) -> None:
        """Have records changed by somebody's word, with their events: durable when this returns, all together.

        From now on `find` gives them as they will be. Whoever calls this has seen to it that no saga is at them. What becomes
        of their ``drift`` by that is in the same commit.
        """
        writing = {(change.type, change.identity): change.record for change in changes}
        self._writing |= writing
        try:
            await journal.commit_nowait(Note(events, changes, drift=drift))
        finally:
            for key in writing:
                self._writing.pop(key, None)

    def presentable(self, type_: str, values: dict[str, Any]) -> dict[str, Any]:
        """Give values of a spec or outputs as they may be kept: what is sensitive only as a reference."""
        driver = self._registry.drivers.get(type_)
        if driver is None or not driver.sensitive:
            return values
        return {
            name: HIDDEN if name in driver.sensitive and not _is_reference(value) else value
            for name, value in values.items()
        }

    def spec_fields(self, type_: str) -> frozenset[str] | None:
        """Give the fields of a type's images that a spec may hold; None: all that its verbs set."""
        driver = self._registry.drivers.get(type_)
        return driver.spec if driver is not None else None


def _is_reference(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("${secret.") and value.endswith("}"))


def encoded(values: Any) -> bytes:
    """Give a spec, outputs or needs as a record has them."""
    return _ENCODER.encode(values)
