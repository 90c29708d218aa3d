"""Where sagad's settings, state and socket lie when nobody says: as a service under /etc, /var/lib and /run, for a
user in the XDG folders (XDG Base Directory Specification 0.8).

The command line imports this at each start, so it loads nothing that Python has not loaded already.
"""

import os
from collections.abc import Mapping
from pathlib import Path

SYSTEM_SETTINGS = Path("/etc/sagad/sagad.toml")
SYSTEM_STATE = Path("/var/lib/sagad")
SYSTEM_SOCKET = Path("/run/sagad/sagad.sock")


def default_settings_file(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """The settings file of the daemon that this user would start."""
    if is_service(environ, uid):
        return SYSTEM_SETTINGS
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "sagad" / "sagad.toml"


def default_state_dir(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """The state folder of the daemon that this user would start; systemd's StateDirectory= where it gives one."""
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if is_service(environ, uid):
        return SYSTEM_STATE
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "sagad"


def daemon_socket(environ: Mapping[str, str], uid: int | None = None) -> Path:
    """The socket of the daemon that this user would start."""
    if is_service(environ, uid):
        return SYSTEM_SOCKET
    if runtime := _absolute(environ.get("XDG_RUNTIME_DIR")):
        return runtime / "sagad" / "sagad.sock"
    # Without a login session there is no runtime folder; the state folder is the user's own as well, and it outlives
    # reboots, which a stale socket does no harm.
    return default_state_dir(environ, uid) / "sagad.sock"


def default_socket(environ: Mapping[str, str], uid: int | None = None, system: Path = SYSTEM_SOCKET) -> Path:
    """The socket that sagactl talks to: SAGAD_SOCKET, else the user's own daemon, else the machine's.

    Where neither daemon has a socket it is the machine's if that was installed (its folder is there), so that the
    complaint names the daemon that the user most likely means.
    """
    if given := environ.get("SAGAD_SOCKET"):
        return Path(given)
    own = daemon_socket(environ, uid)
    return system if not own.exists() and system.parent.exists() else own


def is_service(environ: Mapping[str, str], uid: int | None = None) -> bool:
    """Tell whether this is the machine's daemon: root's, or one that the system's systemd has started.

    A user's systemd gives a state folder too, but always with XDG_RUNTIME_DIR (systemd.exec(5)).
    """
    by_systemd = "STATE_DIRECTORY" in environ and "XDG_RUNTIME_DIR" not in environ
    return by_systemd or (os.getuid() if uid is None else uid) == 0


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    # "All paths must be absolute … a relative path … should be considered invalid and ignored": the specification.
    return _absolute(environ.get(variable)) or Path(environ.get("HOME") or Path.home()) / below_home


def _absolute(text: str | None) -> Path | None:
    return Path(text) if text and Path(text).is_absolute() else None


def secret_folders(given: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """Give the folders that secrets are read from, the first one that has a name counts: the setting's, and systemd's."""
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    return [*([given] if given is not None else []), *([Path(credentials)] if credentials else [])]
