"""One daemon for a file of tests: each test shows something of a run through the socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.engine.site import Site, served

SECRETS = {"token": "s3cr3t-t0k3n-value", "other": "another-s3cret\n"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that leaves memory early and has two secrets."""
    folder = tmp_path_factory.mktemp("engine")
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name, value in SECRETS.items():
        (secrets / name).write_text(value)
    settings = f'[limits]\nwait_passivate = "100ms"\n[secrets]\ndir = "{secrets}"\n'
    with Daemon(folder, settings) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A daemon and the account at DigitalOcean that it works on, of the test's own."""
    with served(tmp_path) as made:
        yield made
