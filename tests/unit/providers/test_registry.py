import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from providers import digitalocean, registry
from providers.contract import Call, Driver, Outcome, Planned, Succeeded, Verb
from providers.declarations import declaration_problems, type_text
from providers.registry import Registry, UnknownOperation, load
from tests.unit.providers.calls import NoBlobs

SETTINGS = {"local": {"roots": ["/"]}, "command": {"allow": ["*"]}, "http": {"allow": ["*"]}}


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    """A thing's spec."""

    name: str
    size: int = 1


class Good(Driver):
    """A driver that does everything right."""

    type = "shop.thing"
    version = "2.1"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(
            arguments=Thing,
            outputs={"id": str, "token": str},
            inverse="delete",
            repeat="find",
            finds=True,
            replaces=frozenset({"size"}),
        ),
        "delete": Verb(arguments=Thing, outputs={}, inverse="create", repeat="idempotent"),
    }
    sensitive: ClassVar[frozenset[str]] = frozenset({"token"})

    async def plan(self, call: Call) -> Planned:
        """Read."""
        return Planned()

    async def read(self, call: Call) -> None:
        """Read."""

    async def apply(self, call: Call) -> Outcome:
        """Do."""
        return Succeeded()


def with_verbs(**verbs: Any) -> type[Driver]:
    """Make a driver that is good but for its verbs."""
    return type("Changed", (Good,), {"verbs": verbs, "sensitive": frozenset()})


def changed(**fields: Any) -> Verb:
    """Make a verb that is good but for these fields."""
    plain = Verb(arguments=Thing, outputs={"id": str})
    return msgspec.structs.replace(plain, **fields)


@pytest.fixture
def full() -> Registry:
    """All built-in drivers, and one of another package."""
    return load(SETTINGS, NoBlobs(), [Good])


# --- loading --------------------------------------------------------------------------------------------------------


def test_every_built_in_driver_is_good() -> None:
    """Nothing that sagad brings along is refused."""
    built_in = load(SETTINGS, NoBlobs())

    assert built_in.refused == {}
    assert set(built_in.drivers) == set(registry.BUILT_IN)


def test_every_driver_of_a_provider_that_is_configured_is_good() -> None:
    """Nor is anything of what loads when it is asked for."""
    full = load(SETTINGS, NoBlobs(), configured=digitalocean.TYPES)

    assert full.refused == {}
    assert set(full.drivers) == set(registry.BUILT_IN) | set(digitalocean.TYPES)


def test_a_driver_gets_its_providers_settings() -> None:
    """By family: what stands before the first dot."""
    full = load({"shop": {"colour": "red"}}, NoBlobs(), [Good])

    assert full.get("shop.thing").settings == {"colour": "red"}
    assert full.get("command").settings == {}


def test_a_refused_driver_is_unavailable_and_says_why() -> None:
    """The others are there all the same."""
    old = type("Old", (Good,), {"contract": 0})
    full = load(SETTINGS, NoBlobs(), [old])

    assert full.refused == {
        "shop.thing": ["it was written for contract 0, this sagad has 1: install its release for it"]
    }
    assert "command.run" in full.operations()
    for lookup in (lambda: full.get("shop.thing"), lambda: full.split("shop.thing.create")):
        with pytest.raises(UnknownOperation, match=r"`shop\.thing` is unavailable.*contract 0"):
            lookup()


def test_a_type_belongs_to_the_first_that_has_it() -> None:
    """Another package cannot take the place of a built-in driver."""
    usurper = type("Usurper", (Good,), {"type": "command"})
    full = load(SETTINGS, NoBlobs(), [usurper])

    assert not isinstance(full.get("command"), usurper)
    assert full.refused == {
        f"{usurper.__module__}:Usurper": ["the type `command` is taken by providers.command:Command"]
    }
    assert full.split("command.run")[1] == "run"


def test_a_driver_that_raises_when_it_is_made_is_refused() -> None:
    """Bad settings of one provider are no reason not to start."""

    class Raises(Good):
        def __init__(self, settings: Mapping[str, Any], blobs: Any) -> None:
            raise KeyError("token")

    assert load(SETTINGS, NoBlobs(), [Raises]).refused == {
        "tests.unit.providers.test_registry:"
        "test_a_driver_that_raises_when_it_is_made_is_refused.<locals>.Raises": [
            "it could not be loaded: KeyError: 'token'"
        ]
    }


def install(folder: Path, entries: str, code: str) -> None:
    """Put a package there as pip would."""
    info = folder / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sagad.drivers]\n{entries}\n")
    (folder / "shop.py").write_text(code)


CODE = """
from tests.unit.providers.test_registry import Good
class Car(Good):
    type = "shop.car"
nothing = 1
"""


def test_drivers_of_other_packages_come_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that cannot be loaded are refused under the name that announced them."""
    install(
        tmp_path,
        "shop.car = shop:Car\nshop.cart = shop:Cart\nshop.gone = shop.gone:Gone\nshop.one = shop:nothing",
        CODE,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    full = load(SETTINGS, NoBlobs())
    monkeypatch.delitem(sys.modules, "shop")

    assert "shop.car.create" in full.operations()
    assert full.refused == {
        "shop.cart": ["it could not be loaded: AttributeError: module 'shop' has no attribute 'Cart'"],
        "shop.gone": [
            "it could not be loaded: ModuleNotFoundError: No module named 'shop.gone'; 'shop' is not a package"
        ],
        "shop.one": ["1 is not a class derived from providers.contract.Driver"],
    }


@pytest.mark.slow
def test_loading_is_light() -> None:
    """What is heavy is imported by the first request: the daemon starts in 0.4 s, and the rest is not the drivers'."""
    code = (
        "import sys; from providers.registry import load; load({}, None); "
        "print([name for name in ('aiohttp', 'yarl', 'asyncio.subprocess') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"


# --- looking up -----------------------------------------------------------------------------------------------------


def test_an_operation_splits_at_its_last_dot(full: Registry) -> None:
    """The type may have dots of its own."""
    driver, verb = full.split("shop.thing.create")

    assert isinstance(driver, Good)
    assert verb == "create"
    assert full.get("shop.thing") is driver


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ("shop.thing.craete", "`shop.thing` has no verb `craete` (did you mean `create`?)"),
        (
            "shop.thign.create",
            "there is no operation `shop.thign.create` (did you mean `shop.thing.create`?)",
        ),
        ("comand.run", "there is no operation `comand.run` (did you mean `command.run`?)"),
        ("command", "there is no operation `command` (did you mean `command.run`?)"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(full: Registry, operation: str, message: str) -> None:
    """Someone has mistyped it."""
    with pytest.raises(UnknownOperation) as error:
        full.split(operation)

    assert str(error.value) == message


@pytest.mark.parametrize("operation", ["", ".", "run", "command.", ".run", "command.run.now"])
def test_what_is_no_operation_is_an_error_and_no_exception_of_another_kind(
    full: Registry, operation: str
) -> None:
    """Anything may stand in a saga file."""
    with pytest.raises(UnknownOperation):
        full.split(operation)


def test_operations_are_those_of_the_spec() -> None:
    """SPEC §4's table."""
    assert load(SETTINGS, NoBlobs()).operations() == [
        "command.run",
        "http.request",
        "local.directory.create",
        "local.directory.update",
        "local.directory.delete",
        "local.file.create",
        "local.file.update",
        "local.file.put",
        "local.file.delete",
        "local.symlink.create",
        "local.symlink.update",
        "local.symlink.delete",
        "test.echo",
        "test.fail",
        "test.sleep",
        "wait.timer",
        "wait.approval",
    ]


async def test_close_closes_all_and_then_tells() -> None:
    """One driver's trouble does not keep the others open."""
    closed = []

    class Stuck(Good):
        type = "a.stuck"

        async def close(self) -> None:
            raise OSError("stuck")

    class Last(Good):
        type = "b.last"

        async def close(self) -> None:
            closed.append(self.type)

    with pytest.raises(ExceptionGroup, match="could not be closed"):
        await load(SETTINGS, NoBlobs(), [Stuck, Last]).close()

    assert closed == ["b.last"]


# --- declarations ---------------------------------------------------------------------------------------------------


def test_a_good_declaration_has_no_problems() -> None:
    """Otherwise the tests below would prove nothing."""
    assert declaration_problems(Good) == []
    assert declaration_problems(with_verbs(go=changed())) == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"arguments": dict}, "arguments: must be a msgspec Struct"),
        ({"inverse": "magic"}, "inverse: `magic` is none of delete, update, create, put_back, same, none"),
        ({"inverse": "delete"}, "inverse: `delete` needs the verb delete"),
        ({"inverse": "put_back"}, "inverse: `put_back` needs the verb create and delete and update"),
        ({"inverse": "same", "changes": False}, "inverse: `same`, but it changes nothing"),
        ({"inverse": "same", "irreversible": True}, "inverse: `same`, but it is irreversible"),
        ({"irreversible": True, "changes": False}, "irreversible: it changes nothing"),
        ({"repeat": "often"}, "repeat: `often` is none of idempotent, token, name, find, no"),
        ({"repeat": "find"}, "repeat: `find` looks for what was done, so `finds` must be set"),
        ({"repeat": "name"}, "repeat: `name` looks for what was done, so `finds` must be set"),
        ({"settle": 1}, "settle: only a verb that `finds` can wait for what it looks for"),
        ({"settle": -1, "finds": True}, "settle: must be >= 0 milliseconds: -1"),
        ({"asks": True}, "asks: there is no argument approvers and expires and message"),
        ({"timeout": 0}, "timeout: must be > 0 milliseconds, or None: 0"),
        ({"may_end": frozenset({"lost"})}, "may_end: lost: only compensated and partial need saying"),
        ({"replaces": frozenset({"colour"})}, "replaces: colour: there is no such argument"),
    ],
)
def test_each_problem_of_a_verb_is_named(fields: dict[str, Any], problem: str) -> None:
    """With the field, the rule and the value."""
    assert declaration_problems(with_verbs(go=changed(**fields))) == [f"go: {problem}"]


def test_types_that_cannot_be_checked_are_named() -> None:
    """References are checked against them beforehand."""

    class Odd(msgspec.Struct):
        here: "Nowhere"  # type: ignore[name-defined]  # noqa: F821

    problems = declaration_problems(with_verbs(go=changed(arguments=Odd, outputs={"id": lambda: 1})))

    assert [problem.partition(": no type")[0] for problem in problems] == ["go: arguments", "go: outputs: id"]


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"type": "Shop"}, "type:"),
        ({"type": None}, "type:"),
        ({"version": "one"}, "version:"),
        ({"policy": "sometimes"}, "policy: `sometimes`"),
        ({"apply": lambda _self, _call: Succeeded()}, "apply: must be an `async def`"),
        ({"verbs": {}}, "verbs: must map"),
        ({"verbs": {"Go": changed()}, "sensitive": frozenset()}, "verbs: `Go`"),
        ({"verbs": {"go": 1}, "sensitive": frozenset()}, "go: must be a providers.contract.Verb"),
        ({"sensitive": frozenset({"password"})}, "sensitive: password"),
    ],
)
def test_each_problem_of_a_driver_is_named(fields: dict[str, Any], start: str) -> None:
    """And only that."""
    (problem,) = declaration_problems(type("Changed", (Good,), fields))

    assert problem.startswith(start)


def test_what_a_driver_needs_is_what_it_declares() -> None:
    """A before-image is read by plan(), and found is what find() or read() can see."""

    class Bare(Driver):
        type = "bare"
        version = "1"
        verbs: ClassVar[Mapping[str, Verb]] = {
            "update": changed(inverse="update"),
            "look": changed(finds=True),
        }

        async def apply(self, call: Call) -> Outcome:
            return Succeeded()

    assert declaration_problems(Bare) == [
        "update: inverse: `update` puts a before-image back, but there is no plan() to read it",
        "look: finds: the driver has neither a find() nor a read() to look with",
    ]


def test_every_problem_is_named_at_once() -> None:
    """Whoever writes a driver mends it in one go."""

    class Empty(Driver):
        pass

    assert [problem.partition(":")[0] for problem in declaration_problems(Empty)] == [
        "apply",
        "type",
        "version",
        "verbs",
    ]
    assert declaration_problems(Good({}, NoBlobs()))[0].endswith(
        "is not a class derived from providers.contract.Driver"
    )


# --- description ----------------------------------------------------------------------------------------------------


def test_the_description_is_json_and_complete(full: Registry) -> None:
    """`sagactl providers` shows all that is declared."""
    described = json.loads(json.dumps(full.describe()))
    thing = next(one for one in described if one["type"] == "shop.thing")

    assert [one["type"] for one in described] == sorted(full.drivers)
    assert thing["sensitive"] == ["token"]
    assert thing["verbs"]["create"] == {
        "summary": "",
        "arguments": {
            "name": {"type": "string", "required": True},
            "size": {"type": "integer", "required": False, "default": 1},
        },
        "outputs": {"id": "string", "token": "string"},
        "open_outputs": False,
        "changes": True,
        "inverse": "delete",
        "compensable": True,
        "irreversible": False,
        "repeat": "find",
        "finds": True,
        "may_end": [],
        "replaces": ["size"],
        "only_while": None,
        "around": None,
        "settle": 0,
        "timeout": None,
        "asks": False,
    }


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (str, "string"),
        (int | None, "integer or null"),
        (list[str], "list of string"),
        (list[str | int], "list of (string or integer)"),
        (list, "list"),
        (tuple[bool, ...], "list of boolean"),
        (dict[str, float], "map of number"),
        (dict, "map"),
        (Thing, "map"),
        (Any, "any"),
    ],
)
def test_types_are_told_in_a_users_words(kind: Any, text: str) -> None:
    """Not in Python's."""
    assert type_text(kind) == text
