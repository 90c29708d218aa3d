"""The unit files by themselves: what systemd says of them without starting anything."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from config import paths
from config.settings import Settings, load
from tests.systemd.machine import REPOSITORY

FILES = REPOSITORY / "systemd"
OLDEST = 252  # Debian 12's

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def analyze() -> str:
    """The tool, where it is new enough."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("not installed: systemd-analyze (`make system-deps`)")
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.split()[
        1
    ]
    if int(version.partition(".")[0]) < OLDEST:
        pytest.skip(f"systemd-analyze is of version {version}, the units are for {OLDEST} and newer")
    return tool


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A folder with the units, their program put where it can be found without installing."""
    program = tmp_path / "sagad"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("sagad.service", "sagad.socket"):
        text = (FILES / name).read_text().replace("/opt/sagad/bin/sagad", str(program))
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def settings() -> Settings:
    """The settings of the machine's daemon as nobody has changed them."""
    return load(None, {"STATE_DIRECTORY": "/var/lib/sagad", "HOME": "/nonexistent"})


def _directives(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FILES / name)
    return parser


@pytest.mark.parametrize("drop_ins", [[], ["sagad-host.conf"]])
def test_verify_is_silent(analyze: str, units: Path, drop_ins: list[str]) -> None:
    """A misspelt directive is only a warning: it exits with 0 and says so on stderr."""
    (units / "sagad.service.d").mkdir()
    for name in drop_ins:
        shutil.copy(FILES / name, units / "sagad.service.d")

    said = subprocess.run(
        [analyze, "verify", units / "sagad.service", units / "sagad.socket"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.returncode, said.stderr) == (0, "")


def test_verify_would_say_what_is_wrong_in_a_drop_in(analyze: str, units: Path) -> None:
    """Else the silence above would prove nothing."""
    (units / "sagad.service.d").mkdir()
    (units / "sagad.service.d" / "wrong.conf").write_text("[Service]\nProtectHom=yes\n")

    said = subprocess.run(
        [analyze, "verify", units / "sagad.service"], capture_output=True, text=True, check=False
    )

    assert "ProtectHom" in said.stderr


def test_the_default_unit_is_exposed_at_most_by_1_5(analyze: str, units: Path) -> None:
    """SPEC §10; the threshold is ten times the exposure."""
    said = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", units / "sagad.service"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 0, said.stdout


def test_the_units_and_the_settings_name_the_same_places(settings: Settings) -> None:
    """The daemon finds its files where the unit lets it write, and clients the socket."""
    service, socket = _directives("sagad.service")["Service"], _directives("sagad.socket")["Socket"]

    assert settings.daemon.state_dir == Path("/var/lib") / service["StateDirectory"]
    assert str(settings.daemon.socket) == socket["ListenStream"]
    assert f"0{settings.daemon.socket_mode:o}" == socket["SocketMode"]
    assert service["ExecStart"].endswith(f"--config {paths.SYSTEM_SETTINGS}")
    assert "RuntimeDirectory" not in service  # a restart would remove the socket with it


def test_a_stop_has_time_for_the_steps_that_run(settings: Settings) -> None:
    """TimeoutStopSec= is not what ends a step within the grace."""
    seconds = int(_directives("sagad.service")["Service"]["TimeoutStopSec"])

    assert settings.daemon.shutdown_grace < seconds * 1000 / 2


def test_the_host_drop_in_only_changes_what_the_unit_sets() -> None:
    """It widens; a directive that the unit does not have would be a slip."""
    unit, drop_in = _directives("sagad.service")["Service"], _directives("sagad-host.conf")["Service"]

    assert [name for name in drop_in if name not in unit] == []
