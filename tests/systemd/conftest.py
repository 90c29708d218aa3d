"""Machines with sagad installed."""

from collections.abc import Iterator

import pytest

from tests.systemd.machine import CannotBootError, Machine, booted, install


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which sagad is installed but not started; olga is in group sagad, nina is not."""
    try:
        with booted(tmp_path_factory.mktemp("machine")) as machine:
            install(machine)
            machine.run("useradd", "--no-create-home", "--groups=sagad", "olga")
            machine.run("useradd", "--no-create-home", "nina")
            yield machine
    except CannotBootError as reason:
        pytest.skip(str(reason))
