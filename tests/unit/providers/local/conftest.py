"""A folder that is the only root, and what keeps contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.local import LocalDirectory, LocalFile, LocalSymlink
from tests.conformance import MemoryBlobs


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The only root."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def blobs() -> MemoryBlobs:
    """What keeps contents."""
    return MemoryBlobs()


@pytest.fixture
def files(here: Path, blobs: MemoryBlobs) -> LocalFile:
    """The driver of files."""
    return LocalFile({"roots": [str(here)]}, blobs)


@pytest.fixture
def directories(here: Path, blobs: MemoryBlobs) -> LocalDirectory:
    """The driver of folders."""
    return LocalDirectory({"roots": [str(here)]}, blobs)


@pytest.fixture
def symlinks(here: Path, blobs: MemoryBlobs) -> LocalSymlink:
    """The driver of symlinks."""
    return LocalSymlink({"roots": [str(here)]}, blobs)
