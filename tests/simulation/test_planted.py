"""Bugs planted in sagad, each a patch in `planted/`: the law that it breaks is seen to fail.

A patch says which law it breaks and names a seed that shows it. If the simulation has changed since and the seed shows it no
more, the first thousand are tried; it must be among them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.simulation.laws import LAWS
from tests.simulation.test_simulation import ROOT, simulate

PATCHES = sorted(Path(__file__).with_name("planted").glob("*.patch"), key=lambda path: path.stem)
ROOMS = ("actors", "config", "orchestrator", "providers", "store", "tests/simulation")

pytestmark = pytest.mark.slow


def planted(patch: Path, tree: Path) -> Path:
    """Give a copy of the sources with the bug in them."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "__init__.py", tree / "tests")
    # `-C1`: what is near may have changed since.
    subprocess.run(["git", "apply", "-C1", str(patch)], cwd=tree, check=True, capture_output=True)
    return tree


def header(patch: Path, name: str) -> str:
    """Give what a patch says of itself."""
    found = re.search(rf"^{name}: (\w+)$", patch.read_text(), re.MULTILINE)
    assert found is not None, f"{patch.name} does not say its {name}"
    return found[1]


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_the_law_that_a_bug_breaks_is_seen_to_fail(patch: Path, tmp_path: Path) -> None:
    """Within a thousand seeds."""
    law, tree = header(patch, "law"), planted(patch, tmp_path)
    done = simulate("--first", header(patch, "seed"), "--seeds", "1", "--until", law, root=tree)
    if f"breaks `{law}`" not in done.stdout:
        done = simulate("--seeds", "1000", "--until", law, root=tree)

    assert f"breaks `{law}`" in done.stdout, done.stderr


def test_each_law_can_fail() -> None:
    """There is a bug for every one of them."""
    assert {header(patch, "law") for patch in PATCHES} == set(LAWS)


def test_a_failing_run_is_made_small(tmp_path: Path) -> None:
    """And says how to have it again; what is left of it still breaks the law."""
    patch = next(path for path in PATCHES if path.stem == "a-link-that-is-dropped")
    done = simulate("--seed", header(patch, "seed"), root=planted(patch, tmp_path))

    whole, small = (int(steps) for steps in re.findall(r"sagas of (\d+) steps", done.stdout))
    assert done.returncode == 1
    assert f"breaks `{header(patch, 'law')}`" in done.stdout
    assert small < whole
