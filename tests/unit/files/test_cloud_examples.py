"""The examples for DigitalOcean compile without a problem or a warning, and leave nothing behind wherever they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.saga.rehearsal import rehearse
from actors.saga.simulated import Simulated
from orchestrator.files.compile import Compiled, Compiler
from providers import registry
from providers.contract import Blobs
from providers.digitalocean import TYPES

FOLDER = Path(__file__).parents[3] / "examples" / "digitalocean"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
SETTINGS: dict[str, Any] = {
    "local": {"roots": ["/srv"]},
    "http": {"allow": ["https://www.example.net/"]},
    "digitalocean": {"token": "do"},
}
GIVEN: dict[str, Any] = {
    "droplet": 3164444,
    "record": 28448429,
    "url": "https://www.example.net/",
    "file": "/srv/backup/credentials",
}
LAST = {"rotate-key.yaml": "old", "replace-app.yaml": "old", "offboard.yaml": "volume"}
"""The step after which there is no way back: the last one, in each that has one."""


class Loaded:
    """An example, and the drivers that it is for."""

    def __init__(self, path: Path, blobs: Blobs) -> None:
        self.drivers = registry.load(SETTINGS, blobs, configured=TYPES)
        compiler = Compiler(self.drivers)
        self.compiled: Compiled = compiler.source(path.read_bytes(), name=path.name)
        inputs = {name: GIVEN.get(name, "x") for name in self.compiled.inputs or ()}
        defaults = {"region", "size", "image", "gigabytes", "admins"}
        given = {name: value for name, value in inputs.items() if name not in defaults or name in GIVEN}
        if path.name == "resize.yaml":
            given["size"] = "s-2vcpu-4gb"
        self.values, self.problems = compiler.bind(self.compiled, given)


example_by_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)


@example_by_example
def test_an_example_compiles(path: Path, blobs: Blobs) -> None:
    """With nothing to warn of either."""
    loaded = Loaded(path, blobs)

    assert [*map(str, loaded.compiled.problems), *map(str, loaded.compiled.warnings)] == []
    assert loaded.problems == []


@example_by_example
def test_an_example_leaves_nothing_behind(path: Path, blobs: Blobs) -> None:
    """Each step failing, each answer lost, before and after its effect, by its rehearsal.

    And cancelled at the end, but for those whose last step is the one that nothing brings back: it is done by then.
    """
    loaded = Loaded(path, blobs)
    assert loaded.compiled.plan is not None
    drivers = Simulated(loaded.drivers, loaded.compiled.plan, loaded.values)
    cases = list(rehearse(drivers.plan, drivers.prepare))
    unclean = {
        (case.step, case.direction, case.fault)
        for case in cases
        if not case.ending.clean and not (case.direction == "undo" and case.fault == "fails")
    }

    assert unclean == ({(None, "undo", "cancelled")} if path.name in LAST else set())
    assert len(cases) > 4 * len(loaded.compiled.plan.steps)


@pytest.mark.parametrize("path", [FOLDER / name for name in LAST], ids=lambda path: path.name)
def test_what_cannot_be_taken_back_stands_last_and_asks(path: Path, blobs: Blobs) -> None:
    """So everything up to it can be, also by whoever is asked."""
    loaded = Loaded(path, blobs)
    plan = loaded.compiled.plan
    assert plan is not None
    declared = [loaded.drivers.find(step.operation) for step in plan.steps]
    final = [
        step.name
        for step, (driver, verb) in zip(plan.steps, declared, strict=True)
        if driver.verbs[verb].irreversible and step.name != "droplet"
    ]

    assert final == [plan.steps[-1].name] == [LAST[path.name]]
    assert plan.steps[-1].asks == "irreversible"


@pytest.mark.parametrize(
    ("arguments", "final"),
    [
        ("resize, with: {id: '${inputs.droplet}', size: s-2vcpu-4gb, disk: true}", True),
        ("resize, with: {id: '${inputs.droplet}', size: s-2vcpu-4gb}", False),
        ("delete, with: {id: '${inputs.droplet}'}", True),
        ("delete, with: {id: '${inputs.droplet}', snapshot_first: true}", False),
    ],
)
def test_what_a_step_cannot_take_back_is_seen_before_its_droplet_is_known(
    arguments: str, final: bool, blobs: Blobs
) -> None:
    """An id that is a reference yet hides nothing of the other arguments."""
    text = f"""
saga: grow
inputs: {{droplet: {{type: integer}}}}
steps:
  - {{name: grow, do: digitalocean.droplet.{arguments}}}
  - {{name: later, do: test.echo, with: {{message: done}}}}
"""
    compiled = Compiler(registry.load(SETTINGS, blobs, configured=TYPES)).source(text, format="yaml")

    assert compiled.problems == ()
    assert any("irreversible" in str(warning) for warning in compiled.warnings) is final
