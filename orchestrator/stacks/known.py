"""What the references of a stack file come to while it is planned: a value that is known, or one that is still to come.

Resources are gone through each behind those that it needs, so what a reference names has been decided on already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.resources import HIDDEN
from actors.saga import references
from actors.saga.references import BadReference, Ref
from store.sealed import referred


class NotKnownYet(Exception):
    """A reference names an output that an action of this plan will bring about."""


class Settled(msgspec.Struct):
    """What is known of a resource for those that need it."""

    spec: dict[str, Any]
    """As far as it is known: what an output of the same name will be, or is."""
    outputs: dict[str, Any]
    """Of what is there; none of what is to be made."""
    step: str | None = None
    """The step whose outputs stand for it."""
    puts_out: frozenset[str] = frozenset()
    """What that step puts out."""
    fresh: bool = False
    """It is to be made, or made anew."""
    unknown: frozenset[str] = frozenset()
    """Fields that an action of this plan will bring about."""


class Known:
    """The resources that were decided on so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._settled: dict[str, Settled] = {}

    def settle(self, name: str, settled: Settled) -> None:
        """Decide on a resource."""
        self._settled[name] = settled

    def resolved(self, spec: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """Give a spec with the values of its references, secrets as references still, and the fields not known yet.

        Raises BadReference where something will never be there.
        """
        known: dict[str, Any] = {}
        unknown: set[str] = set()
        for field, template in spec.items():
            try:
                known[field] = references.record(template, self._value)
            except NotKnownYet:
                unknown.add(field)
        return known, unknown

    def _value(self, ref: Ref) -> Any:
        there, (field, *below) = self._settled[ref.path[0]], ref.path[1:]
        if field in there.unknown:
            raise NotKnownYet
        values = there.spec if field in there.spec else there.outputs
        if field not in values:
            if there.fresh:
                raise NotKnownYet
            name = ref.path[0]
            msg = f"{ref}: what is on record of {name} has no `{field}`; `sagactl resources import` reads it anew"
            raise BadReference(msg)
        value = references.dig(values[field], tuple(below), ref)
        if (sealed := referred(value)) is not None:
            return Ref("secret", (sealed,))
        if _is_secret(values[field]):
            msg = f"{ref} is a secret, which a plan cannot hold: refer to the secret itself"
            raise BadReference(msg)
        return value

    def written(self, template: Any) -> Any:
        """Give a template as a step of the plan has it: outputs of other steps as references, all else as it is."""
        if isinstance(template, str):
            return self._text(template) if "${" in template else template
        if isinstance(template, dict):
            return {key: self.written(value) for key, value in template.items()}
        if isinstance(template, list):
            return [self.written(value) for value in template]
        return template

    def _text(self, text: str) -> Any:
        parts = references.parse(text)
        if len(parts) == 1 and isinstance(parts[0], Ref):
            kept = self._kept(parts[0])
            return references.escape(self._value(parts[0])) if kept is None else str(kept)
        found, literal = "", ""
        for part in parts:
            kept = self._kept(part) if isinstance(part, Ref) else None
            if kept is not None:
                found += references.before_reference(references.escape(literal)) + str(kept)
                literal = ""
            else:
                literal += references.as_text(part, self._value(part)) if isinstance(part, Ref) else part
        return found + references.escape(literal)

    def _kept(self, ref: Ref) -> Ref | None:
        """Give what a reference is in a step, where it stays one: to another step's output, or as it is."""
        if ref.root != "resources":
            return ref
        there = self._settled[ref.path[0]]
        if there.step is not None and (there.fresh or ref.path[1] in there.puts_out):
            return Ref("steps", (there.step, *ref.path[1:]))
        return None


def _is_secret(value: Any) -> bool:
    """Tell whether a recorded value is what stands where a secret would."""
    return value == HIDDEN or (isinstance(value, str) and "${secret." in value)
