"""Operations (``TYPE.VERB``) as files name them, found among the drivers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from actors.saga.references import BadReference, Ref, find
from orchestrator.files.arguments import fields_of
from orchestrator.files.document import Report
from orchestrator.files.problems import Path, shown, suggest
from providers.contract import Driver, Verb
from providers.registry import Registry

NAMING = frozenset({"path", "id", "name"})
"""The arguments by which most drivers know their resources."""


class Operation(msgspec.Struct, frozen=True):
    """A driver's verb. ``verb`` is its declaration, refined for the step's arguments where they allow it."""

    name: str
    driver: Driver
    verb: Verb


LOADED_BY = {
    "digitalocean": "set `[providers.digitalocean] token` to the name of a secret, and start sagad anew"
}
"""What has a provider's types loaded that are not loaded without it."""


def find_operation(report: Report, path: Path, name: str, registry: Registry) -> Operation | None:
    """Find an operation by name; report why there is none."""
    type_, dot, verb = name.rpartition(".")
    driver = registry.drivers.get(type_)
    if driver is not None and verb in driver.verbs:
        return Operation(name, driver, driver.verbs[verb])
    if reasons := registry.refused.get(type_):
        what = f"the type {shown(type_)} is not available: {'; '.join(reasons)}"
        report.problem(path, what, "mend its driver or settings; `sagactl providers` shows all types")
    elif driver is not None:
        report.problem(path, f"{shown(type_)} has no verb {shown(verb)}", suggest(verb, driver.verbs))
    elif name in registry.drivers or not dot:
        verbs = (
            [f"{name}.{verb}" for verb in registry.drivers[name].verbs] if name in registry.drivers else []
        )
        known = verbs or registry.operations()
        report.problem(path, f"{shown(name)} is not an operation, which is TYPE.VERB", suggest(name, known))
    elif (provider := type_.partition(".")[0]) in LOADED_BY:
        report.problem(path, f"the types of {provider} are not loaded here", LOADED_BY[provider])
    else:
        report.problem(path, f"unknown operation {shown(name)}", suggest(name, registry.operations()))
    return None


def check_names(report: Report, path: Path, template: dict[str, Any], operation: Operation) -> None:
    """Report secrets in what says which resource is meant: that is on record as it is.

    What else a driver names its resources by is looked at when the step is prepared, as sensitive outputs are.
    """
    if type(operation.driver).resource is Driver.resource:
        return
    for name in sorted(NAMING & template.keys()):
        for where, ref in _references(template[name]):
            if ref.root == "secret":
                what = f"{shown(str(ref))} cannot be in what says which resource is meant: that is on record as it is"
                hint = f"write `{name}` without it; what is no secret can be an input"
                report.problem((*path, name, *where), what, hint)


def _references(template: Any) -> list[tuple[Path, Ref]]:
    try:
        return list(find(template))
    except BadReference:  # reported already
        return []


def refined(operation: Operation | None, template: dict[str, Any]) -> Operation | None:
    """Refine the declaration by the arguments as they are written (a GET is one, whatever its address will be).

    References stand in as the texts that they are, or where another kind is wanted as something of that kind. Where that
    does not do, the declaration stays as it is.
    """
    if operation is None:
        return None
    verb = operation.name.rpartition(".")[2]
    try:
        arguments: Any = msgspec.convert(_filled(template, operation.verb), operation.verb.arguments)
        return msgspec.structs.replace(operation, verb=operation.driver.refine(verb, arguments))
    except Exception:  # noqa: BLE001 - stand-ins may surprise a driver; this is only about outputs and warnings
        return operation


_STAND_INS: tuple[Any, ...] = (1, True, [], {})


def _filled(template: dict[str, Any], verb: Verb) -> dict[str, Any]:
    """Give the arguments with something that fits in the place of each whole reference to what is no text."""
    fields = fields_of(verb.arguments)
    return {
        name: _fitting(value, fields[name].type) if name in fields else value
        for name, value in template.items()
    }


def _fitting(value: Any, wanted: Any) -> Any:
    if not isinstance(value, str) or "${" not in value:
        return value
    for candidate in (value, *_STAND_INS):
        with suppress(msgspec.ValidationError):
            msgspec.convert(candidate, wanted)
            return candidate
    return value
