"""A process that is really killed, at a random moment, in the middle of one operation after the other."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from providers.contract import Call, Done, Image, NotDone
from providers.local import DRIVERS
from providers.local.driver import LocalDriver
from tests.conformance import MemoryBlobs
from tests.unit.providers.local.folder import Folder

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[4]
OPERATIONS = [
    ("local.file", "create", {"path": "{here}/page", "content": "x" * 100_000}),
    ("local.file", "update", {"path": "{here}/page", "content": "y" * 100_000, "mode": "0600"}),
    ("local.file", "update", {"path": "{here}/page", "mode": "0644"}),
    ("local.file", "delete", {"path": "{here}/page"}),
    ("local.directory", "create", {"path": "{here}/dir", "mode": "0700"}),
    ("local.file", "put", {"path": "{here}/dir/page", "content": "z"}),
    ("local.symlink", "create", {"path": "{here}/dir/link", "target": "page"}),
    ("local.directory", "delete", {"path": "{here}/dir", "recursive": True}),
]

PROGRAM = """
import asyncio, sys
sys.path.insert(0, {repository!r})
from tests.unit.providers.local.test_killed import run_for_ever
asyncio.run(run_for_ever({here!r}))
"""


class Intent(msgspec.Struct):
    """What is on disk before an operation starts."""

    number: int
    before: Image
    after: Image
    fields: tuple[str, ...]


def _driver(number: int, here: Path) -> tuple[LocalDriver, Call]:
    name, verb, given = OPERATIONS[number % len(OPERATIONS)]
    (made,) = [driver for driver in DRIVERS if driver.type == name]
    driver: LocalDriver = made({"roots": [str(here)]}, MemoryBlobs())
    filled = msgspec.json.decode(msgspec.json.encode(given).replace(b"{here}", str(here).encode()))
    arguments = msgspec.convert(filled, driver.verbs[verb].arguments)
    key = f"k-{number}"
    return driver, Call(
        verb=verb, arguments=arguments, key=key, name=key, resource=driver.resource(verb, arguments)
    )


async def run_for_ever(folder: str) -> None:
    """Do the operations round and round; each intent is written before its operation starts."""
    here, number = Path(folder), 0
    while True:
        driver, call = _driver(number, here)
        planned = await driver.plan(call)
        assert planned.before is not None
        assert planned.after is not None
        intent = Intent(number, planned.before, planned.after, planned.fields)
        here.with_name("intent.new").write_bytes(msgspec.json.encode(intent))
        here.with_name("intent.new").rename(here.with_name("intent"))
        await driver.apply(
            msgspec.structs.replace(call, before=intent.before, after=intent.after, fields=intent.fields)
        )
        number += 1


@pytest.mark.parametrize("seed", range(12))
async def test_find_tells_the_truth_after_sigkill(tmp_path: Path, seed: int) -> None:
    """And nothing of sagad's own is left."""
    world = Folder(tmp_path)
    intent_file = tmp_path / "intent"
    program = PROGRAM.format(repository=str(REPOSITORY), here=str(world.here))
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as child:
        while not intent_file.exists():
            assert child.poll() is None, child.stderr and child.stderr.read()
            time.sleep(0.001)
        time.sleep(random.Random(seed).random() * 0.2)
        child.kill()
    intent = msgspec.json.decode(intent_file.read_bytes(), type=Intent)
    driver, call = _driver(intent.number, world.here)
    call = msgspec.structs.replace(call, before=intent.before, after=intent.after, fields=intent.fields)

    finding = await driver.find(call)
    live = await driver.read(call)

    assert isinstance(finding, Done | NotDone), finding
    truth = intent.after if isinstance(finding, Done) else intent.before
    assert driver.same(intent.fields, truth, live)
    assert [name for name in world.state() if ".sagad-" in name] == []
