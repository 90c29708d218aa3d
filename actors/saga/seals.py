"""What of an execution's payloads is sensitive, sealed on its way to the disk and opened on its way to the driver.

What a driver declares sensitive stands in outputs and images as its reference only. The rows with the values gather
here, and go along with the message that brings the payload (``Carry.sealed``), so both are one commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from providers.contract import Driver, Image
from store.errors import SecretUnusable
from store.records import Sealed
from store.sealed import name_of, reference, referred
from store.secrets import Secrets
from store.vault import strings


class Seals:
    """The sensitive values of one execution, as they come."""

    def __init__(self, secrets: Secrets, driver: Driver, execution: str) -> None:
        """Seal what this driver declares sensitive."""
        self._secrets = secrets
        self._sensitive = driver.sensitive
        self._execution = execution
        self.rows: list[Sealed] = []

    def outputs(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Give outputs as they may be written down. Raises TypeError or ValueError where a sensitive one is not JSON."""
        redacted: dict[str, Any] = self._secrets.redact(self._sealed(outputs, ""))
        return redacted

    def image(self, image: Image, part: str) -> Image:
        """Give an image as it may be written down; ``part`` of its execution: ``before`` or ``after``.

        A field in which a secret is, in whatever form, is sealed whole: an image is put back just as it was. So is one that
        only looks like a reference, so that what somebody else has written into the world opens nothing.
        """
        fields = self._sealed(image.fields, f"{part}.")
        redacted = self._secrets.redact(fields)
        if redacted == fields and not any(map(_looks_referred, image.fields.values())):
            return msgspec.structs.replace(image, fields=fields)
        return msgspec.structs.replace(image, fields=dict(self._whole(image, fields, redacted, f"{part}.")))

    def _whole(
        self, image: Image, fields: dict[str, Any], redacted: dict[str, Any], prefix: str
    ) -> Iterator[tuple[str, Any]]:
        for name, value in image.fields.items():
            plain = redacted[name] == value and not _looks_referred(value)
            if name in self._sensitive or plain:
                yield name, fields[name]
                continue
            shown = set(strings(redacted[name]))
            self.rows.append(self._secrets.seal(self._execution, prefix + name, value, shown))
            yield name, reference(self._execution, prefix + name)

    def _sealed(self, values: dict[str, Any], prefix: str) -> dict[str, Any]:
        """Seal all that is sensitive before anything is redacted: one may be part of another's text."""
        if self._sensitive.isdisjoint(values):
            return values
        shown = {
            text for name, value in values.items() if name not in self._sensitive for text in strings(value)
        }
        return dict(self._each(values, prefix, shown))

    def _each(self, values: dict[str, Any], prefix: str, shown: set[str]) -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            if name not in self._sensitive or value is None:
                yield name, value
                continue
            output = prefix + name
            self.rows.append(self._secrets.seal(self._execution, output, value, shown))
            yield name, reference(self._execution, output)


def opened(secrets: Secrets, image: Image) -> Image:
    """Give an image with what is sealed of it as it was. Raises SecretUnusable where one cannot be opened."""
    fields = {
        name: value if (sealed := referred(value)) is None else secrets.value(sealed)
        for name, value in image.fields.items()
    }
    return msgspec.structs.replace(image, fields=fields)


def _looks_referred(value: Any) -> bool:
    """Tell whether a value from the world has in it what stands for a secret where secrets are written down."""
    return any("${secret." in text for text in strings(value))


def legible(secrets: Secrets, execution: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """Give an execution's outputs as its driver put them out, less those that cannot be opened.

    What a driver is told of them are ids mostly: a value that is lost must not keep what it belongs to from being taken
    back.
    """
    return dict(_legible(secrets, execution, outputs))


def _legible(secrets: Secrets, execution: str, outputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in outputs.items():
        if referred(value) != name_of(execution, name):
            yield name, value
            continue
        with suppress(SecretUnusable):
            yield name, secrets.value(name_of(execution, name))
