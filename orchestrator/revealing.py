"""Showing what is kept sealed: sensitive outputs and fields, and the contents of images (SPEC §4, §8).

Only an administrator is shown them, and not before that is on the record: the event is durable when the answer goes out.
Secrets from files stay references here too: nobody is shown those.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

from actors.beside import event_row
from actors.resources import label_of
from actors.reveals import Revealed
from actors.saga import keys, seals
from actors.saga.dossier import IMAGE, INTENT
from actors.saga.host import Host
from orchestrator import answers, documents
from orchestrator.access import Caller
from orchestrator.keeping import Keeping
from orchestrator.problems import Conflict, Unavailable
from orchestrator.reading import Reading
from providers.contract import Blob, Driver, Image
from providers.registry import Registry, UnknownOperation
from store.blobs import Blobs, StoredBlob
from store.errors import SecretUnusable, StoreError
from store.records import Execution
from store.sealed import name_of, referred

MOST = 16 << 20
"""Bytes of contents that one answer shows; what is more is named, with its size."""

_DECODER = msgspec.json.Decoder(dict[str, Any])


class Revealing:
    """What administrators can see beside what everybody can."""

    def __init__(
        self, host: Host, registry: Registry, reading: Reading, keeping: Keeping, blobs: Blobs
    ) -> None:
        """Open what these have."""
        self._host = host
        self._registry = registry
        self._reading = reading
        self._keeping = keeping
        self._blobs = blobs

    async def saga(self, caller: Caller, ref: str, reason: str | None) -> bytes:
        """Give a saga's document with its sensitive outputs. Raises Conflict where one cannot be opened."""
        saga = await self._reading.resolve_ref(ref)
        rows = await self._host.queries.executions(saga)
        document = await self._reading.document(saga)
        ids = {row.step: row.id for row in rows if row.direction == "forward"}
        steps, what = [], list[str]()
        for step in document.steps:
            own = (ids.get(step.index, ""), keys.given_id(saga, step.index))
            output = self._outputs(step.output, own, f"steps.{step.name}", what)
            steps.append(msgspec.structs.replace(step, output=output))
        await self._note(caller, what, reason, saga=saga)
        return documents.encode(msgspec.structs.replace(document, steps=steps))

    async def executions(self, caller: Caller, ref: str, reason: str | None) -> bytes:
        """Give a saga's executions with the contents and the sensitive fields of their images. Raises Conflict."""
        saga = await self._reading.resolve_ref(ref)
        rows = await self._host.queries.executions(saga)
        links = await self._host.queries.compensated_by(saga)
        what: list[str] = []
        shown = await asyncio.to_thread(self._images, rows, links, what)
        await self._note(caller, what, reason, saga=saga)
        return documents.encode(answers.Executions(executions=shown))

    async def resource(self, caller: Caller, type_: str, name: str, reason: str | None) -> bytes:
        """Give a resource's record with its sensitive outputs. Raises NotFound or Conflict."""
        record = self._keeping.find(type_, name)
        document = documents.resource(record)
        sensitive = self._sensitive(record.type)
        what: list[str] = []
        spec, outputs = (
            self._values(_DECODER.decode(given), sensitive, part, what)
            for given, part in ((record.spec, "spec"), (record.outputs, "outputs"))
        )
        await self._note(caller, what, reason, resource=label_of(record))
        return documents.encode(msgspec.structs.replace(document, spec=spec, outputs=outputs))

    async def _note(
        self,
        caller: Caller,
        what: list[str],
        reason: str | None,
        *,
        saga: str | None = None,
        resource: str | None = None,
    ) -> None:
        """Have it on the record; where nothing was opened there is nothing to say."""
        if not what:
            return
        if self._host.journal.full:
            why = "the disk is full, so it cannot be put on the record that this was shown: make room"
            raise Unavailable(why, code="storage_full")
        said = Revealed(what=tuple(what), reason=reason)
        event = event_row(said, self._host.clock.now(), actor=caller.name, resource=resource, saga=saga)
        await self._host.journal.record([event])

    # -- values ------------------------------------------------------------------------------------------------------

    def _outputs(self, output: Any, own: tuple[str, ...], where: str, what: list[str]) -> Any:
        """Open an execution's outputs: only what is its own, since a text from outside may look like a reference."""
        if output is None:
            return None
        values = _DECODER.decode(output) if isinstance(output, msgspec.Raw) else output
        sensitive = {
            name for name, value in values.items() if referred(value) in [name_of(id_, name) for id_ in own]
        }
        return self._values(values, sensitive, where, what)

    def _values(
        self, values: dict[str, Any], sensitive: set[str] | frozenset[str], where: str, what: list[str]
    ) -> dict[str, Any]:
        return dict(self._opened(values, sensitive, where, what))

    def _opened(
        self, values: dict[str, Any], sensitive: set[str] | frozenset[str], where: str, what: list[str]
    ) -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            sealed = referred(value) if name in sensitive else None
            if sealed is None:
                yield name, value
                continue
            yield name, self._value(sealed)
            what.append(f"{where}.{name}")

    def _value(self, sealed: str) -> Any:
        try:
            return self._host.secrets.value(sealed)
        except SecretUnusable as why:
            raise Conflict(str(why), code="unopened") from why

    def _sensitive(self, type_: str) -> frozenset[str]:
        driver = self._registry.drivers.get(type_)
        return frozenset() if driver is None else driver.sensitive

    # -- images ------------------------------------------------------------------------------------------------------

    def _images(
        self, rows: list[Execution], links: dict[str, list[str]], what: list[str]
    ) -> list[answers.Execution]:
        room = _Room()
        shown = []
        for row in rows:
            document = documents.execution(row, links.get(row.id, []))
            intent = INTENT.decode(row.plan)
            images = {
                "before": intent.before,
                "after": intent.after if row.after is None else IMAGE.decode(row.after),
            }
            revealed = {
                part: self._image(row, part, image, getattr(document, part), room, what)
                for part, image in images.items()
            }
            shown.append(msgspec.structs.replace(document, **revealed))
        return shown

    def _image(
        self, row: Execution, part: str, image: Image | None, shown: Any, room: _Room, what: list[str]
    ) -> Any:
        if image is None:
            return None
        where = f"executions.{row.id}.{part}"
        driver = self._driver(row.operation)
        if driver is not None and not driver.sensitive.isdisjoint(image.fields):
            opened = self._fields(image)
            sensitive = sorted(driver.sensitive & opened.keys())
            what += [f"{where}.{name}" for name in sensitive]
            # What else is sealed has secrets from files in it, which are shown to nobody.
            shown = {**shown, **{name: opened[name] for name in sensitive}}
        if not image.blobs:
            return shown
        contents = {name: self._content(blob, room) for name, blob in image.blobs.items()}
        what += [f"{where}.{name}" for name, content in contents.items() if "omitted" not in content]
        return {**shown, "contents": contents}

    def _fields(self, image: Image) -> dict[str, Any]:
        try:
            return dict(seals.opened(self._host.secrets, image).fields)
        except SecretUnusable as why:
            raise Conflict(str(why), code="unopened") from why

    def _driver(self, operation: str) -> Driver | None:
        try:
            return self._registry.find(operation)[0]
        except UnknownOperation:
            return None

    def _content(self, blob: Blob, room: _Room) -> dict[str, Any]:
        """Give a content as text, or else in base64; or say why not."""
        about: dict[str, Any] = {"sha256": blob.sha256, "size": blob.size}
        if not room.take(blob.size):
            return {**about, "omitted": f"an answer shows {MOST >> 20} MB at most"}
        try:
            kept = self._blobs.kept(StoredBlob(blob.sha256, blob.size, blob.data))
        except StoreError as why:
            return {**about, "omitted": str(why)}
        content = self._host.secrets.legible(b"".join(kept))
        try:
            return {**about, "text": self._host.secrets.redact(content.decode())}
        except UnicodeDecodeError:
            return {**about, "base64": b64encode(content).decode()}


class _Room:
    """How much more an answer may show."""

    def __init__(self) -> None:
        self._left = MOST

    def take(self, size: int) -> bool:
        """Tell whether so many bytes fit, and count them if so."""
        if size > self._left:
            return False
        self._left -= size
        return True
