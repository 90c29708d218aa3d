"""How a driver is asked about a resource that is known by what is on record of it, outside of any operation.

No driver says how it is to be asked, but its verbs say what they want to know of a resource that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from providers.contract import Call, Driver, Image


class Refused(Exception):
    """What the driver's ``check`` says against looking at this resource, in ``problems``."""

    def __init__(self, problems: list[str]) -> None:
        """Take what it says."""
        super().__init__("; ".join(problems))
        self.problems = problems


def reading(driver: Driver, known: Mapping[str, Any], *, key: str) -> Call:
    """Make a call for ``read`` from what is known of a resource (``id``, ``path``, ``name`` and other arguments).

    Of the verb that wants to know least. Where none can be called so, it is one without a resource. Raises Refused.
    """
    for verb, arguments in arguments_of(driver, known):
        problems = driver.check(verb, arguments)
        if problems:
            raise Refused(problems)
        resource = driver.resource(verb, arguments)
        if resource is not None:
            return Call(verb=verb, arguments=arguments, key=key, name=key, resource=resource)
    return Call(verb="", arguments=None, key=key, name=key)


def arguments_of(driver: Driver, known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the verbs that change a resource and whose arguments are known, those that want least first."""
    verbs: Iterable[Any] = sorted(
        ((name, verb) for name, verb in driver.verbs.items() if verb.changes),
        key=lambda each: len(each[1].arguments.__struct_fields__),
    )
    for name, verb in verbs:
        fields = verb.arguments.__struct_fields__
        if not {"path", "name", "id"} & {*fields}:
            continue
        given = {key: known[key] for key in fields if key in known}
        try:
            # Ids come from the command line, and as text from the registry, also where they are numbers.
            yield name, msgspec.convert(given, verb.arguments, strict=False)
        except msgspec.ValidationError:
            continue


def spec_fields(driver: Driver) -> frozenset[str]:
    """Give the fields that a record of this type may hold: those that the driver names, else all that its verbs take."""
    if driver.spec is not None:
        return driver.spec
    verbs = [verb for verb in driver.verbs.values() if verb.changes]
    return frozenset(field for verb in verbs for field in verb.arguments.__struct_fields__) - {"id", "path"}


def output_names(driver: Driver) -> list[str]:
    """Give the outputs of all verbs of a type, each once."""
    return list(dict.fromkeys(name for verb in driver.verbs.values() for name in verb.outputs))


def there(driver: Driver, image: Image) -> bool:
    """Tell whether an image shows a resource of this type; another kind of thing in its place is none."""
    kind = getattr(driver, "kind", None)
    return image.exists and (kind is None or image.fields.get("kind") in (None, kind))
