"""What it takes to set a resource back to its spec: operations that any saga could do, made from record and declarations.

A field is set by the verb that takes it beside the resource itself: ``update``, or one of its own (``resize``). Where the
spec holds only what comes of an argument (a file's digest, not its content), the argument is looked for in what was done to
the resource before, and taken if its driver says that just this comes of it. A resource that is missing is created again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from actors.drift.compare import equal, root_of
from actors.drift.judge import MISSING
from actors.saga.calls import Calls, NotReady
from actors.saga.outcomes import settled
from actors.saga.references import BadReference, escape, find, mentions
from providers.contract import Driver, Verb
from store.drift import Drift
from store.records import Resource

_DECODER = msgspec.json.Decoder(dict[str, Any])
_READING = 60.0
_WHICH = frozenset({"id", "path"})
_NEVER = frozenset({"create", "put", "delete"})


class CannotRevert(Exception):
    """No operation sets it back; the message says why."""


class Operation(NamedTuple):
    """What a step of the saga is to do."""

    verb: str
    arguments: dict[str, Any]
    """A template."""


class Case(NamedTuple):
    """A resource and what is to be set back of it."""

    record: Resource
    drifts: Sequence[Drift]
    done: Sequence[tuple[str, dict[str, Any]]]
    """Verb and arguments of what was done to it before, the latest first; templates."""

    @property
    def spec(self) -> dict[str, Any]:
        """Give the spec as a template: secrets are references, everything else stands for itself."""
        return {name: template(value) for name, value in _DECODER.decode(self.record.spec).items()}

    @property
    def known(self) -> dict[str, Any]:
        """Give what a verb may want to know of the resource beside what it sets."""
        known = {name: template(each) for name, each in _DECODER.decode(self.record.outputs).items()}
        known |= self.spec | {"path": self.record.identity, "id": self.record.id or self.record.identity}
        return known

    @property
    def is_missing(self) -> bool:
        """Tell whether the resource itself is gone."""
        return any(drift.field == MISSING for drift in self.drifts)


def template(value: Any) -> Any:
    """Make a template of what is on record, in which a secret is a reference already."""
    if isinstance(value, dict):
        return {key: template(each) for key, each in value.items()}
    if isinstance(value, list):
        return [template(each) for each in value]
    return value if _is_secret(value) else escape(value)


def _is_secret(value: Any) -> bool:
    try:
        references = [ref for _, ref in find(value)]
    except BadReference:
        return False
    return bool(references) and all(ref.root == "secret" for ref in references)


class Reverting:
    """Finds the operations."""

    def __init__(self, calls: Calls) -> None:
        """Ask these drivers; secrets are put in only for asking."""
        self._calls = calls

    async def operations(self, driver: Driver, case: Case) -> list[Operation]:
        """Give what sets the resource back, in the order in which it is to be done. Raises CannotRevert."""
        if case.is_missing:
            return [await self._creation(driver, case)]
        fields = sorted({root_of(drift.field) for drift in case.drifts})
        found: list[Operation] = []
        for verb, own in self._parted(driver, fields).items():
            found.append(await self._change(driver, case, verb, own))
        return found

    def _parted(self, driver: Driver, fields: list[str]) -> dict[str, list[str]]:
        """Share the fields out among the verbs that take them; what none takes may come of what ``update`` does."""
        verbs, own = list(_changing(driver)), dict[str, list[str]]()
        for field in fields:
            verb = next((name for name in verbs if _takes(driver.verbs[name], field)), None)
            if verb is None and "update" not in verbs:
                raise CannotRevert(_no_verb(driver, [field]))
            own.setdefault(verb or "update", []).append(field)
        return own

    async def _change(self, driver: Driver, case: Case, verb: str, fields: list[str]) -> Operation:
        declared = driver.verbs[verb]
        given = {name: case.known[name] for name in _required(declared) if name in case.known}
        given |= {name: case.known[name] for name in _WHICH & _names(declared)}
        given |= {
            field: case.spec[field] for field in fields if _takes(declared, field) and field in case.spec
        }
        others = [field for field in fields if field not in given]
        for more in self._sources(case, declared, others):
            arguments = self._fitting(driver, verb, given | more)
            if arguments is not None and await self._brings(driver, verb, arguments, case.spec, others):
                return Operation(verb, arguments)
        raise CannotRevert(_no_verb(driver, others or fields))

    async def _creation(self, driver: Driver, case: Case) -> Operation:
        """Create it as it was created, with what its spec says by now."""
        for verb in ("create", "put"):
            declared = driver.verbs.get(verb)
            if declared is None:
                continue
            names = _names(declared) - {"id"}
            given = {name: value for name, value in case.spec.items() if name in names and value is not None}
            if "path" in names:
                given["path"] = case.record.identity
            sources = self._sources(case, declared, [*case.spec])
            for more in (*(each for each in sources if each), {}):
                arguments = self._fitting(driver, verb, more | given)
                if arguments is not None and await self._brings(
                    driver, verb, arguments, case.spec, [*case.spec]
                ):
                    return Operation(verb, arguments)
        raise CannotRevert(
            f"it cannot be created again: neither its spec nor what was done to it says all that"
            f" {driver.type}.create would have to be told"
        )

    def _sources(self, case: Case, declared: Verb, fields: list[str]) -> Iterator[dict[str, Any]]:
        """Give further arguments to try: none, then those of what was done to it before."""
        yield {}
        if not fields:
            return
        names = _names(declared) - _WHICH - case.spec.keys()
        for _, arguments in case.done:
            yield {name: value for name, value in arguments.items() if name in names and value is not None}

    def _fitting(self, driver: Driver, verb: str, given: dict[str, Any]) -> dict[str, Any] | None:
        """Give the arguments as the verb takes them (an id that is a number as one), if they are all there."""
        declared = driver.verbs[verb]
        if mentions(given):
            return given if _required(declared) <= given.keys() else None
        try:
            typed = msgspec.convert(given, declared.arguments, strict=False)
        except msgspec.ValidationError:
            return None
        if driver.check(verb, typed):
            return None
        plain = msgspec.to_builtins(typed)
        return {name: plain[name] for name in given if name in plain}

    async def _brings(
        self, driver: Driver, verb: str, arguments: dict[str, Any], spec: dict[str, Any], fields: list[str]
    ) -> bool:
        """Tell whether these fields come out as the spec says, as far as the driver can tell beforehand."""
        if not fields:
            return True
        try:
            typed, _, _ = self._calls.reveal(arguments, driver.verbs[verb])
        except NotReady:
            return False
        if driver.check(verb, typed):
            return False
        wanted = await settled(lambda: driver.sets(verb, typed), _READING)
        if isinstance(wanted, BaseException):
            return False
        wanted = self._calls.secrets.redact(wanted)
        return all(
            _same(driver, field, spec.get(field), wanted) for field in fields if _is_told(driver, field, verb)
        )


def _is_told(driver: Driver, field: str, verb: str) -> bool:
    """Tell whether a field must come of the arguments. What no argument of a creation sets is not known before."""
    if verb not in _NEVER:
        return True
    return driver.spec is not None and field in driver.spec and not _is_attribute(driver, field)


def _is_attribute(driver: Driver, field: str) -> bool:
    return any(_takes(verb, field) for verb in driver.verbs.values())


def _same(driver: Driver, field: str, value: Any, wanted: dict[str, Any]) -> bool:
    if field not in wanted:
        return False
    try:
        return equal(driver.normalise(field, value), driver.normalise(field, wanted[field]))
    except Exception:  # noqa: BLE001  somebody else's code
        return equal(value, wanted[field])


def _changing(driver: Driver) -> Iterator[str]:
    """Give the verbs that change a resource that is there and is named, ``update`` first."""
    for name in sorted(driver.verbs, key=lambda name: (name != "update", len(_names(driver.verbs[name])))):
        verb = driver.verbs[name]
        if verb.changes and not verb.asks and name not in _NEVER and _WHICH & _names(verb):
            yield name


def _takes(verb: Verb, field: str) -> bool:
    return field in _names(verb)


def _names(verb: Verb) -> set[str]:
    return set(verb.arguments.__struct_fields__)


def _required(verb: Verb) -> set[str]:
    return {field.name for field in msgspec.structs.fields(verb.arguments) if field.required}


def _no_verb(driver: Driver, fields: Sequence[str]) -> str:
    which = ", ".join(f"`{field}`" for field in fields)
    return f"{driver.type} has no verb that sets {which} back, or what it would take is not on record"
