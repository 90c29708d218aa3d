"""A short round of the torture, and that its laws can be broken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.torture.book import Book
from tests.torture.node import Node
from tests.torture.ordeals import Plain
from tests.torture.run import Round, Run, seed_of
from tests.torture.world import World

SECONDS = 4.0
IN_FLIGHT = 40


def _file_gone(world: World, _: Node) -> str:
    path = next(path for path in world.site.glob("w*/s*") if path.read_text().startswith("saga "))
    path.unlink()
    return f"file {path}"


def _file_there(world: World, _: Node) -> str:
    path = next(path for path in world.site.glob("w*/s*") if path.read_text().startswith("before "))
    path.write_text("somebody else's")
    return f"file {path}"


def _line_twice(world: World, _: Node) -> str:
    line = world.log.read_text().splitlines()[-1]
    with world.log.open("a") as log:
        log.write(f"{line}\n")
    return f"`{line.split()[0]}` ran 2 times"


def _line_gone(world: World, node: Node) -> str:
    every = [saga for saga in node.all("/v1/sagas", "sagas") if not saga["batch"]]
    rolled_back = {saga["rollback_of"] for saga in every}
    name = next(
        f"{saga['kind']}/{step['name']}"
        for saga in every
        for step in saga["steps"]
        if step["do"] == "command.run" and step["status"] == "completed" and saga["id"] not in rolled_back
    )
    lines = world.log.read_text().splitlines()
    world.log.write_text("".join(f"{line}\n" for line in lines if line.split()[0] != name))
    return f"line {name}"


def _object_twice(world: World, _: Node) -> str:
    cloud = world.cloud.cloud
    with cloud.lock:
        kind, found = next((kind, each) for kind in ("record", "firewall") for each in cloud.existing(kind))
        cloud.add(kind, "another", dict(found.fields))
    return f"{kind}/{found.fields['name']}"


def _left_over(world: World, _: Node) -> str:
    path = world.site / ".sagad-left"
    path.touch()
    return f"left over: {path}"


BREAKING: tuple[Callable[[World, Node], str], ...] = (
    _file_gone, _file_there, _line_gone, _line_twice, _object_twice, _left_over,
)  # fmt: skip


@pytest.mark.slow
def test_the_laws_hold_under_kills_and_each_of_them_can_be_broken(tmp_path: Path) -> None:
    """First a short round; then the world is changed behind the daemon's back, and each change is noticed."""
    book, told = Book(), Book()
    expected: list[str] = []

    def then(round_: Round) -> None:
        told.sent, told.batches, told.words = book.sent, book.batches, {"never said"}
        for breaking in BREAKING:
            with suppress(StopIteration):  # a slow machine may not have come to a saga of that sort
                expected.append(breaking(round_.world, round_.node))
        round_.judge(told)

    seed = seed_of(None)
    print(f"seed {seed}")
    Run(tmp_path, seed, book, in_flight=IN_FLIGHT).round(0, Plain, SECONDS, then)

    assert book.violations == []
    assert len(expected) > len(BREAKING) / 2
    for what in (*expected, "`never said` was accepted"):
        assert any(what in each for each in told.violations), (what, told.violations)
