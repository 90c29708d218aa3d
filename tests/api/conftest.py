"""What the tests of the API share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.standin import Running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made:
        yield Path(made)


@pytest.fixture
def api(folder: Path) -> Iterator[Running]:
    """The real server on a real socket, with the stand-in behind it."""
    running = Running(folder / "sagad.sock")
    yield running
    running.stop()
