"""sagad with a service that gives out keys, whose tokens are secret: `python -m tests.engine.keyshop [leaky] …`.

What it has given is in the file that `$SHOP` names, what was done with it in `$SHOP.used`: the service's side, where a
token may be seen. Where `$SHOP.die` names a verb, the process dies after the next effect of that, before its outcome.
`leaky` is the mistake that the tests must find: the driver forgets to say what is sensitive.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from providers.contract import (
    ABSENT,
    Call,
    Done,
    Driver,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Partial,
    Planned,
    Resource,
    Succeeded,
    Unclear,
    Unknown,
    Verb,
)


class Made(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key to make. `half`: it ends partial."""

    name: str
    half: bool = False


class Gone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key to remove."""

    name: str


class Used(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with a token, and how to say so."""

    token: Any
    say: str = "done"


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account, and what its password is to be."""

    name: str
    password: str


class Key(Driver):
    """A key of the service."""

    type = "shop.key"
    version = "1.0"
    sensitive: ClassVar[frozenset[str]] = frozenset({"token", "pair"})
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(
            arguments=Made,
            outputs={"id": str, "token": str, "pair": dict, "note": str},
            inverse="delete",
            repeat="name",
            finds=True,
            may_end=frozenset({"partial"}),
        ),
        "delete": Verb(arguments=Gone, irreversible=True, repeat="idempotent"),
        "use": Verb(arguments=Used, outputs={"said": str, "length": int}, changes=False, repeat="idempotent"),
    }

    def resource(self, verb: str, arguments: Any) -> Resource | None:
        """Name the key that is made."""
        return None if verb == "use" else Resource(self.type, arguments.name)

    async def plan(self, call: Call) -> Planned:
        """A key is new, or nothing changes."""
        if call.verb == "use":
            return Planned()
        if call.verb == "delete":
            return Planned(await self.read(call), ABSENT)
        return Planned(ABSENT, Image(fields={"name": call.arguments.name}), ("name",))

    async def read(self, call: Call) -> Image:
        """Give the key without its token: that is shown once."""
        key = shop().get(call.arguments.name)
        return ABSENT if key is None else Image(fields={"name": call.arguments.name})

    async def apply(self, call: Call) -> Outcome:
        """Make it, remove it, or do something with a token."""
        if call.verb == "use":
            return _use(call)
        name, there = call.arguments.name, shop()
        if call.restore is not None or call.verb == "delete":
            used(f"delete {there.pop(name, {}).get('id')} knowing {call.outputs.get('token')}")
            write(there, "delete")
            return Succeeded()
        number = there["made"] = there.get("made", 0) + 1
        there[name] = {"id": f"key-{number}", "token": f"shop_v1_{number}_t0k&n/{os.urandom(9).hex()}"}
        write(there, "create")
        if name.startswith("odd"):
            return Unknown("odd", "who knows")
        outputs = _outputs(there[name])
        return (
            Partial("half", f"no more than {outputs['token']}", outputs)
            if call.arguments.half
            else Succeeded(outputs)
        )

    async def find(self, call: Call) -> Finding:
        """Look it up by its name; an odd one cannot be."""
        if call.arguments.name.startswith("odd"):
            return Unclear("nobody can tell")
        key = shop().get(call.arguments.name)
        return NotDone() if key is None else Done(_outputs(key))


def _outputs(key: dict[str, str]) -> dict[str, Any]:
    pair = {"id": key["id"], "secrets": [key["token"][::-1]]}
    return {**key, "pair": pair, "note": f"keep {key['token']} and {key['token'][::-1]}"}


def _use(call: Call) -> Outcome:
    token, say = call.arguments.token, call.arguments.say
    used(f"{say} {token}")
    if say == "error" or (say == "late" and call.attempt == 1):
        return Failed("refused", f"{token} is not welcome", transient=say == "late")
    if say == "raise":
        raise ValueError(f"cannot go on with {token!r}")
    return Succeeded({"said": f"used {token}", "length": len(str(token))})


class Login(Driver):
    """An account, of whose password a before-image is kept."""

    type = "shop.login"
    version = "1.0"
    sensitive: ClassVar[frozenset[str]] = frozenset({"password"})
    verbs: ClassVar[Mapping[str, Verb]] = {
        "set": Verb(
            arguments=Account, outputs={"name": str, "password": str}, inverse="same", repeat="idempotent"
        ),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name the account."""
        return Resource(self.type, arguments.name)

    async def plan(self, call: Call) -> Planned:
        """Look at it, and say what is set."""
        fields = {"name": call.arguments.name, "password": call.arguments.password}
        return Planned(await self.read(call), Image(fields=fields), ("password",))

    async def read(self, call: Call) -> Image:
        """Give it with its password."""
        name = call.arguments.name
        return Image(fields={"name": name, "password": shop()[name]}) if name in shop() else ABSENT

    async def apply(self, call: Call) -> Outcome:
        """Set the password, or put the earlier one back."""
        there, image = shop(), call.restore or call.after
        assert image is not None
        if image.exists:
            there[call.arguments.name] = image.fields["password"]
        else:
            there.pop(call.arguments.name, None)
        write(there, "set")
        return Succeeded(dict(image.fields), after=image)


def shop() -> dict[str, Any]:
    """Give what the service has."""
    path = Path(os.environ["SHOP"])
    return dict(json.loads(path.read_text())) if path.exists() else {}


def used(line: str) -> None:
    """Have the service note what was done there."""
    with Path(os.environ["SHOP"] + ".used").open("a") as file:
        file.write(f"{line}\n")


def write(there: dict[str, Any], verb: str) -> None:
    """Keep it, and die where that is asked for."""
    new = Path(os.environ["SHOP"] + ".new")
    new.write_text(json.dumps(there))
    new.replace(os.environ["SHOP"])  # whoever looks meanwhile finds the one or the other
    die = Path(os.environ["SHOP"] + ".die")
    if die.exists() and die.read_text() == verb:
        die.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from providers import registry

    arguments = sys.argv[1:]
    # Under the module's own name: what is loaded is not what runs here.
    from tests.engine import keyshop

    if arguments[0] == "leaky":
        keyshop.Key.sensitive = frozenset()
        arguments = arguments[1:]
    registry.BUILT_IN["shop.key"] = "tests.engine.keyshop:Key"
    registry.BUILT_IN["shop.login"] = "tests.engine.keyshop:Login"
    from orchestrator.daemon import main

    main(arguments)
