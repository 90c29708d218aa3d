import subprocess
import sys
from pathlib import Path

from config.paths import daemon_socket, default_settings_file, default_socket, default_state_dir

ROOT = 0
USER = 1000
HOME = {"HOME": "/home/ann"}
SESSION = HOME | {"XDG_RUNTIME_DIR": "/run/user/1000"}


def places(environ: dict[str, str], uid: int) -> list[str]:
    """Where settings, state and socket of this user's daemon lie."""
    return [str(find(environ, uid)) for find in (default_settings_file, default_state_dir, daemon_socket)]


def test_the_machines_daemon_lives_in_etc_var_and_run() -> None:
    """Root's daemon is the machine's."""
    actual = places(HOME, ROOT)

    assert actual == ["/etc/sagad/sagad.toml", "/var/lib/sagad", "/run/sagad/sagad.sock"]


def test_a_service_of_another_user_is_the_machines_daemon_too() -> None:
    """The unit runs as the user sagad; systemd's state folder tells that it is no user's own daemon."""
    actual = places({"STATE_DIRECTORY": "/srv/state:/srv/more"}, USER)

    assert actual == ["/etc/sagad/sagad.toml", "/srv/state", "/run/sagad/sagad.sock"]


def test_a_users_own_systemd_service_is_not_the_machines_daemon() -> None:
    """`systemd --user` gives a state folder as well, but the socket stays in the user's runtime folder."""
    actual = places(SESSION | {"STATE_DIRECTORY": "/home/ann/.config/sagad"}, USER)

    assert actual == [
        "/home/ann/.config/sagad/sagad.toml",
        "/home/ann/.config/sagad",
        "/run/user/1000/sagad/sagad.sock",
    ]


def test_a_users_daemon_lives_in_the_xdg_folders() -> None:
    """The variables of the XDG specification are followed where they are set."""
    environ = SESSION | {"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}

    actual = places(environ, USER)

    assert actual == ["/c/sagad/sagad.toml", "/s/sagad", "/run/user/1000/sagad/sagad.sock"]


def test_a_users_daemon_does_without_xdg_variables() -> None:
    """Without a login session (cron, su) the folders below the home are used, for the socket as well."""
    actual = places(HOME, USER)

    assert actual == [
        "/home/ann/.config/sagad/sagad.toml",
        "/home/ann/.local/state/sagad",
        "/home/ann/.local/state/sagad/sagad.sock",
    ]


def test_a_relative_xdg_folder_is_ignored() -> None:
    """As the XDG specification demands."""
    actual = default_state_dir(HOME | {"XDG_STATE_HOME": "state"}, USER)

    assert actual == Path("/home/ann/.local/state/sagad")


def test_sagactl_talks_to_the_socket_that_it_is_told() -> None:
    """SAGAD_SOCKET goes before everything that is found."""
    actual = default_socket(SESSION | {"SAGAD_SOCKET": "/tmp/other.sock"}, USER)

    assert actual == Path("/tmp/other.sock")


def test_sagactl_prefers_the_users_own_daemon(tmp_path: Path) -> None:
    """Who runs a daemon of their own means that one, also where the machine has one."""
    own = tmp_path / "run" / "sagad" / "sagad.sock"
    own.parent.mkdir(parents=True)
    own.touch()

    actual = default_socket({"XDG_RUNTIME_DIR": str(tmp_path / "run")}, USER, system=tmp_path / "sagad.sock")

    assert actual == own


def test_sagactl_falls_back_to_the_machines_daemon(tmp_path: Path) -> None:
    """A user without a daemon means the machine's, also while that is down: its folder is there."""
    system = tmp_path / "sagad.sock"

    actual = default_socket({"XDG_RUNTIME_DIR": str(tmp_path / "run")}, USER, system=system)

    assert actual == system


def test_sagactl_names_the_users_own_socket_where_no_daemon_is_installed(tmp_path: Path) -> None:
    """On a machine without the service the user's own daemon is the one that is missing."""
    actual = default_socket({"XDG_RUNTIME_DIR": str(tmp_path)}, USER, system=tmp_path / "none" / "sagad.sock")

    assert actual == tmp_path / "sagad" / "sagad.sock"


def test_finding_the_socket_loads_no_library() -> None:
    """The command line pays for each import at every start, so this room's door is light."""
    program = "import sys, config.paths; print(*sorted({'msgspec', 'tomllib', 'typing'} & set(sys.modules)))"

    loaded = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    ).stdout

    assert loaded.strip() == ""
