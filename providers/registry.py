"""Which drivers there are: the built-in ones and those that other packages announce (entry points `sagad.drivers`).

A driver is taken at its declaration, so the declaration is looked through when it is loaded. One that is incomplete
or written for another contract is refused with every problem named: its type is unavailable, the daemon starts, and
`health` says why (SPEC §4).
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from config.problems import suggest
from providers.contract import Blobs, Driver
from providers.declarations import declaration_problems, describe

ENTRY_POINTS = "sagad.drivers"

BUILT_IN = {
    "local.file": "providers.local:LocalFile",
    "local.directory": "providers.local:LocalDirectory",
    "local.symlink": "providers.local:LocalSymlink",
    "command": "providers.command:Command",
    "http": "providers.http:Http",
    "wait": "providers.wait:Wait",
    "test": "providers.test:Test",
}


class UnknownOperation(LookupError):
    """There is no such type or verb; the message names the nearest, or why the type is unavailable."""


class Registry:
    """The drivers of one daemon, by type. `refused` holds the others and everything that is wrong with each."""

    def __init__(self, drivers: Mapping[str, Driver], refused: Mapping[str, list[str]]) -> None:
        self.drivers = dict(sorted(drivers.items()))
        self.refused = dict(sorted(refused.items()))
        self.own: dict[str, Driver] = {}
        """The engine's own, which no file can name: `described` and `split` do not know them."""

    def find(self, operation: str) -> tuple[Driver, str]:
        """Split `TYPE.VERB` as `split` does, the engine's own among them."""
        type_, _, verb = operation.rpartition(".")
        return (self.own[type_], verb) if type_ in self.own else self.split(operation)

    def get(self, type_: str) -> Driver:
        """Give a type's driver, or raise UnknownOperation."""
        if driver := self.drivers.get(type_):
            return driver
        if problems := self.refused.get(type_):
            raise UnknownOperation(f"`{type_}` is unavailable, its driver was refused: {'; '.join(problems)}")
        raise UnknownOperation(f"there is no type `{type_}` ({suggest(type_, self.drivers)})")

    def split(self, operation: str) -> tuple[Driver, str]:
        """Split `TYPE.VERB` into the type's driver and the verb, or raise UnknownOperation."""
        type_, _, verb = operation.rpartition(".")
        if type_ in self.refused:
            self.get(type_)
        if type_ not in self.drivers:
            raise UnknownOperation(
                f"there is no operation `{operation}` ({suggest(operation, self.operations())})"
            )
        driver = self.drivers[type_]
        if verb not in driver.verbs:
            raise UnknownOperation(f"`{type_}` has no verb `{verb}` ({suggest(verb, driver.verbs)})")
        return driver, verb

    def operations(self) -> list[str]:
        """List every operation that a step may name."""
        return [f"{type_}.{verb}" for type_, driver in self.drivers.items() for verb in driver.verbs]

    def services(self) -> list[str]:
        """Name the services that drivers ask over a network."""
        return sorted({driver.service for driver in self.drivers.values() if driver.service})

    def describe(self) -> list[dict[str, Any]]:
        """Tell all that the drivers declare, as JSON (`sagactl providers`)."""
        return [describe(driver) for driver in self.drivers.values()]

    async def close(self) -> None:
        """Close every driver; what some of them raise comes after all are closed, in one group."""
        errors: list[Exception] = []
        for driver in self.drivers.values():
            try:
                await driver.close()
            except Exception as error:  # noqa: BLE001 - one driver's trouble must not keep the others open
                errors.append(error)
        if errors:
            raise ExceptionGroup("drivers could not be closed", errors)


# --- loading --------------------------------------------------------------------------------------------------------


def load(
    settings: Mapping[str, Mapping[str, Any]],
    blobs: Blobs,
    extra: Iterable[type[Driver]] = (),
    configured: Mapping[str, str] = MappingProxyType({}),
) -> Registry:
    """Make the built-in drivers, those that the settings ask for, the extra ones and those of other packages.

    ``configured``: like BUILT_IN, of the providers that load only when they are configured.

    Settings are by provider: `local.file` gets `settings["local"]`. Raises nothing for a driver that cannot be used;
    it is in the registry's `refused`, under its type or, where it has none, the name it was announced by.
    """
    drivers: dict[str, Driver] = {}
    refused: dict[str, list[str]] = {}
    for name, give in _announced(extra, configured):
        try:
            driver = give()
            problems = declaration_problems(driver)
            type_ = _type_of(driver, name)
            if type_ in drivers:
                problems.append(f"the type `{type_}` is taken by {_named(type(drivers[type_]))}")
            if not problems:
                drivers[type_] = driver(settings.get(type_.partition(".")[0], {}), blobs)
        except Exception as error:  # noqa: BLE001 - somebody else's code; it must not stop the daemon
            type_, problems = name, [f"it could not be loaded: {type(error).__name__}: {error}"]
        if problems:
            refused.setdefault(name if type_ in drivers else type_, []).extend(problems)
    return Registry(drivers, refused)


def _type_of(driver: Any, otherwise: str) -> str:
    found = getattr(driver, "type", None)
    return found if isinstance(found, str) else otherwise


def _announced(
    extra: Iterable[type[Driver]], configured: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Give the name of each driver and how to come by its class."""
    for name, place in (*BUILT_IN.items(), *configured.items()):
        yield name, partial(_import, place)
    for driver in extra:
        yield _named(driver), partial(_itself, driver)
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS):
        yield entry.name, entry.load


def _itself(driver: type[Driver]) -> type[Driver]:
    return driver


def _import(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _named(driver: type) -> str:
    return f"{driver.__module__}:{driver.__qualname__}"
