"""A registry of small drivers with every kind of declaration, and short ways to compile with it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import msgspec
import pytest

from orchestrator.files.compile import Compiled, compile_saga
from orchestrator.files.load import load
from providers.contract import Blobs, Call, Driver, Outcome, Succeeded, Verb
from providers.registry import Registry


class Part(msgspec.Struct):
    """Arguments inside arguments."""

    label: str
    weight: float = 1.0


class Thing(msgspec.Struct):
    """Arguments of every type."""

    path: str
    size: int = 0
    mode: Literal["slow", "fast"] = "slow"
    loud: bool = False
    owner: str | None = None
    tags: list[str] = []
    env: dict[str, int] = {}
    parts: list[Part] = []
    maybe: list[int] | None = None
    extra: Any = None


class Nothing(msgspec.Struct):
    """No arguments."""


OUTPUTS = {"path": str, "size": int, "parts": list, "info": dict, "extra": Any, "owner": str | None}


class ThingDriver(Driver):
    """Keeps things below /ok."""

    type = "demo.thing"
    version = "1.4"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Thing, outputs=OUTPUTS, inverse="delete"),
        "ask": Verb(arguments=Thing, outputs=OUTPUTS, open_outputs=True),
        "read": Verb(arguments=Nothing, changes=False),
        "burn": Verb(arguments=Nothing, irreversible=True),
    }

    def refine(self, verb: str, arguments: Any) -> Verb:
        """To ask quickly changes nothing."""
        declared = self.verbs[verb]
        if verb == "ask" and arguments.mode == "fast":
            return msgspec.structs.replace(declared, changes=False)
        return declared

    def check(self, verb: str, arguments: Any) -> list[str]:
        """Refuse what is not below /ok, in each of the ways in which drivers say so."""
        path = getattr(arguments, "path", "/ok")
        if path == "/bug":
            raise ZeroDivisionError("a bug")
        if path == "/quoted":
            return ['"path" must be better']
        if path == "/both":
            return ["this is wrong as a whole", "size: too small"]
        return [] if path.startswith("/ok") else [f"path: `{path}` is not below /ok: choose another"]

    async def apply(self, call: Call) -> Outcome:
        """Do nothing."""
        return Succeeded()


class StrictDriver(ThingDriver):
    """Requires a way back."""

    type = "strict"
    policy = "required"


class NoBlobs:
    """Nothing is kept."""

    def keep(self, chunks: Any) -> Any:
        """Keep nothing."""
        raise NotImplementedError

    def chunks(self, blob: Any) -> Any:
        """Give nothing."""
        raise NotImplementedError


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Give a place for contents that is never used."""
    return NoBlobs()


@pytest.fixture(scope="session")
def registry(blobs: Blobs) -> Registry:
    """Give the drivers."""
    drivers: dict[str, Driver] = {driver.type: driver({}, blobs) for driver in (ThingDriver, StrictDriver)}
    return Registry(drivers, {"gone": ["it was written for contract 7", "it has no version"]})


Compile = Callable[..., Compiled]


@pytest.fixture(scope="session")
def compiled(registry: Registry) -> Compile:
    """Compile a text, YAML where nothing else is said."""

    def compile_text(text: str, format: str = "yaml", name: str = "") -> Compiled:
        return compile_saga(load(text, format=format, name=name), registry)

    return compile_text


@pytest.fixture(scope="session")
def wrong(compiled: Compile) -> Callable[..., list[str]]:
    """Tell what is wrong with a text."""

    def problems_of(text: str, format: str = "yaml", name: str = "") -> list[str]:
        return [str(problem) for problem in compiled(text, format, name).problems]

    return problems_of
