"""A machine for the tests: a real systemd in a container, on this machine's files under a layer that is thrown away.

sagad is installed in it as systemd/README.md says, except that its environment in /opt/sagad is put together from the
one that runs the tests (the container has no network). The mounts are made in a namespace of the container's own, so
that they end with it, however it ends; so does the container when the tests are killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROOMS = ("orchestrator", "actors", "providers", "store", "config")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
ENVIRONMENT = Path("opt/sagad")
PACKAGES = ENVIRONMENT / "lib" / PYTHON / "site-packages"

LIBRARIES = "/opt/python/lib"

BOOT = """
set -eu
room=$1; skeleton=$2; name=$3; shift 3
mount -t tmpfs -o mode=755 tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay -o "lowerdir=/,upperdir=$room/upper,workdir=$room/work" overlay "$room/root"
cd "$room/root"
# None of this machine's own services, disks and identity.
rm -rf etc/systemd/system/* opt/sagad var/lib/sagad etc/sagad var/log/journal
: > etc/fstab
: > etc/machine-id
cp -a "$skeleton/." .
# A control group of its own, where no systemd out here will give it one: containers that share one end each other.
if ! [ -d /run/systemd/system ]; then
    for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -w "$tree/cgroup.procs" ]; then
            mkdir "$tree/$name"
            echo $$ > "$tree/$name/cgroup.procs"
        fi
    done
    set -- --keep-unit "$@"
fi
exec systemd-nspawn --quiet --machine="$name" --directory=. --boot --register=no --private-network --console=pipe "$@"
"""

TARGET = """
[Unit]
Description=All that the tests need
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""

BOOT_SECONDS = 20
GROUP_SECONDS = 5
LOOK_AGAIN = 0.02
TOOLS = ("systemd-nspawn", "nsenter", "setpriv", "unshare")


class CannotBootError(Exception):
    """There can be no container here; the message says why."""


class Machine:
    """A running container."""

    def __init__(self, leader: int) -> None:
        """Take the container's first process."""
        self.leader = leader

    def path(self, inside: str) -> Path:
        """Give the path by which this process reaches a file of the machine."""
        return Path(f"/proc/{self.leader}/root") / inside.lstrip("/")

    def run(
        self, *argv: str, user: str | None = None, check: bool = True, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the machine, as root or as a user of it; its output is captured."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        done = subprocess.run(
            ["nsenter", f"--target={self.leader}", "--all", "--", *become, *argv],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": "/opt/sagad/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": LIBRARIES},
        )
        assert not check or done.returncode == 0, (
            argv,
            done.returncode,
            done.stdout,
            done.stderr,
            self.log(),
        )
        return done

    def log(self, unit: str = "sagad.service") -> str:
        """Give the end of a unit's log."""
        return self.run("journalctl", "--no-pager", "-n", "60", "-o", "cat", "-u", unit, check=False).stdout

    def show(self, name: str, unit: str = "sagad.service") -> str:
        """Give one property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def drop_in(self, name: str, text: str, unit: str = "sagad.service") -> None:
        """Add settings to a unit."""
        _write(self.path(f"/etc/systemd/system/{unit}.d/{name}"), text)
        self.run("systemctl", "daemon-reload")


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for what another process will do."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"not within {seconds} s: {condition}"
        time.sleep(LOOK_AGAIN)


def install(machine: Machine) -> None:
    """Do what systemd/README.md tells the administrator to do, up to starting it."""
    units = {
        "sagad.service": "/etc/systemd/system/",
        "sagad.socket": "/etc/systemd/system/",
        "sagad.sysusers.conf": "/etc/sysusers.d/sagad.conf",
    }
    for name, where in units.items():
        to = f"{where}{name}" if where.endswith("/") else where
        _write(machine.path(to), (REPOSITORY / "systemd" / name).read_text())
    _write(machine.path("/etc/sagad/sagad.toml"), (REPOSITORY / "config" / "sagad.toml").read_text())
    machine.run("systemd-sysusers")
    machine.run("systemctl", "daemon-reload")


@contextmanager
def booted(room: Path) -> Iterator[Machine]:
    """Boot a machine with `room`, a new folder, to work in. Raises CannotBootError."""
    if reason := _why_not():
        raise CannotBootError(reason)
    (room / "mount").mkdir(parents=True)
    _lay_out(room / "skeleton")
    with (room / "console").open("wb") as console, _container(room, console.fileno()) as container:
        yield Machine(_wait_running(container, room / "console"))


def _why_not() -> str | None:
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)} (`make system-deps`)" if missing else None


def _lay_out(skeleton: Path) -> None:
    """Make what is different in the container: the target to boot, and sagad's environment."""
    _write(skeleton / "etc/systemd/system/tests.target", TARGET)
    packages = skeleton / PACKAGES
    for name in ROOMS:
        shutil.copytree(REPOSITORY / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    # A Python with a shared library looks for it where it was built, which may be a home that the unit hides.
    _write(
        skeleton / "etc/systemd/system/sagad.service.d/python.conf",
        f"[Service]\nEnvironment=LD_LIBRARY_PATH={LIBRARIES}\n",
    )
    # The .venv's packages, without what it knows of the repository.
    (packages / "others.pth").write_text("/opt/packages\n")
    environment = skeleton / ENVIRONMENT
    _write(environment / "pyvenv.cfg", "home = /opt/python/bin\ninclude-system-site-packages = false\n")
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(f"/opt/python/bin/{PYTHON}")
    for name in ("sagad", "sagactl"):
        _, _, script = (Path(sys.prefix) / "bin" / name).read_text().partition("\n")
        (environment / "bin" / name).write_text(f"#!/{ENVIRONMENT}/bin/python\n{script}")
        (environment / "bin" / name).chmod(0o755)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@contextmanager
def _container(room: Path, console: int) -> Iterator[subprocess.Popen[bytes]]:
    name = f"sagad-tests-{os.getpid()}"
    binds = {
        sys.base_prefix: "/opt/python",
        str(Path(sys.prefix, "lib", PYTHON, "site-packages")): "/opt/packages",
    }
    argv = [
        *("setpriv", "--pdeathsig=TERM", "unshare", "--mount", "--propagation=private"),
        *("sh", "-c", BOOT, "boot", str(room / "mount"), str(room / "skeleton"), name),
        *(f"--bind-ro={outside}:{inside}" for outside, inside in binds.items()),
        *("--", "systemd.unit=tests.target"),
    ]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=console, stderr=console) as container:
        try:
            yield container
        finally:
            _pull_the_plug(container)
            for group in Path("/sys/fs/cgroup").glob(f"**/{name}"):
                _remove_group(group)


def _pull_the_plug(container: subprocess.Popen[bytes]) -> None:
    """End the container at once. nspawn ends with its first process, but not the other way about."""
    leader = _leader(container.pid)
    if leader:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGKILL)
    else:
        container.kill()
    container.wait()


def _remove_group(group: Path) -> None:
    """Remove a control group and those in it, as soon as what was in them has ended."""
    limit = time.monotonic() + GROUP_SECONDS
    while group.is_dir() and time.monotonic() < limit:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _wait_running(container: subprocess.Popen[bytes], console: Path) -> int:
    limit = time.monotonic() + BOOT_SECONDS
    while container.poll() is None and time.monotonic() < limit:
        leader = _leader(container.pid)
        if leader and _state(leader) in {"running", "degraded"}:
            return leader
        time.sleep(LOOK_AGAIN)
    words = console.read_text(errors="replace").strip().splitlines()[-3:]
    raise CannotBootError(f"systemd-nspawn did not come up: {' / '.join(words) or 'without a word'}")


def _leader(nspawn: int) -> int | None:
    """Find the container's first process: nspawn's child in a PID namespace of its own."""
    try:
        children = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()
        ours = Path(f"/proc/{nspawn}/ns/pid").readlink()
        return next((int(pid) for pid in children if Path(f"/proc/{pid}/ns/pid").readlink() != ours), None)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _state(leader: int) -> str:
    asked = ["nsenter", f"--target={leader}", "--all", "--", "systemctl", "is-system-running"]
    return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=10).stdout.strip()
