"""One daemon for a file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon import Daemon


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon without settings worth a word."""
    with Daemon(tmp_path_factory.mktemp("acceptance")) as made:
        yield made
