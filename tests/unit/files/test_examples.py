"""The examples are what people copy: each compiles without a problem or a warning, with the drivers that there are."""

from pathlib import Path

import pytest

from orchestrator.files.batch import compile_batch
from orchestrator.files.compile import Compiler
from orchestrator.files.load import load
from orchestrator.files.stack import compile_stack
from providers import registry
from providers.contract import Blobs
from providers.digitalocean import TYPES

FOLDER = Path(__file__).parents[3] / "examples"
BATCHES = [FOLDER / "batch.yaml"]
STACKS = sorted((FOLDER / "stacks").glob("*.yaml"))
EXAMPLES = sorted(set(FOLDER.glob("*.yaml")) - set(BATCHES))


def test_there_are_examples() -> None:
    """The one of the README among them."""
    assert "publish-site.yaml" in [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_compiles(path: Path, tmp_path: Path, blobs: Blobs) -> None:
    """In a folder that is allowed, and outside of it not."""
    settings = {"local": {"roots": [str(tmp_path)]}, "command": {"allow": ["*"]}}
    compiler = Compiler(registry.load(settings, blobs))
    compiled = compiler.source(path.read_bytes(), name=path.name)
    given = {
        name: value
        for name, value in {"dir": str(tmp_path), "page": "x"}.items()
        if name in (compiled.inputs or ())
    }

    assert [*map(str, compiled.problems), *map(str, compiled.warnings)] == []
    assert compiler.bind(compiled, given)[1] == []
    if "dir" in given:
        elsewhere = compiler.bind(compiled, given | {"dir": "/etc"})[1]
        assert "/etc" in elsewhere[0].problem


@pytest.mark.parametrize("path", BATCHES, ids=lambda path: path.name)
def test_an_example_of_a_batch_compiles(path: Path, tmp_path: Path, blobs: Blobs) -> None:
    """With the saga files that stand beside it."""
    settings = {"local": {"roots": [str(tmp_path)]}, "command": {"allow": ["*"]}}
    files = {each.name: each.read_text() for each in EXAMPLES}
    text = path.read_text().replace("/srv/site", str(tmp_path))
    for name in ("harbour", "market"):
        (tmp_path / name).mkdir()
    compiled = compile_batch(
        load(text, name=path.name), files, Compiler(registry.load(settings, blobs)), lambda _: True
    )

    assert [*map(str, compiled.problems), *map(str, compiled.warnings)] == []
    assert len(compiled.members) == 3


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.name)
def test_an_example_of_a_stack_compiles(path: Path, blobs: Blobs) -> None:
    """With the types of the node and of the cloud; what applying it does is tested with real daemons."""
    drivers = registry.load({"digitalocean": {}}, blobs, configured=TYPES)
    compiled = compile_stack(load(path.read_text(), name=path.name), drivers)

    assert [*map(str, compiled.problems), *map(str, compiled.warnings)] == []
    assert len(compiled.resources) > 2
    assert {path.name for path in STACKS} == {"site.yaml", "web-node.yaml"}
