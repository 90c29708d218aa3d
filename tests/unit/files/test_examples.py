"""The examples are what people copy: each compiles without a problem or a warning, with the drivers that there are."""

from pathlib import Path

import pytest

from orchestrator.files.compile import Compiler
from providers import registry
from providers.contract import Blobs

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


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
