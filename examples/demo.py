"""Three sagas on a real daemon: one completes, one is taken back, one outlives `kill -9`. `make demo` runs this.

Everything happens in a temporary folder with the `sagad` and `sagactl` of this Python's environment, by the commands
that a person would type. What is claimed is compared by this program itself; it exits with 0 only if every claim held,
and leaves neither a process nor a folder behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 20.0
"""Seconds within which anything awaited here has to come true, on a slow machine too."""
SETTINGS = """\
[daemon]
state_dir = "{folder}/state"
socket = "{folder}/sagad.sock"

[providers.local]
roots = ["{folder}/site"]
"""
PROVEN = "one saga completed, one was taken back to the byte, one was carried on after kill -9"
ROLLED_BACK = 3
"""The exit code of sagactl for a saga that was taken back."""


class Gone(Exception):
    """What the demo waits for does not come."""


class Told:
    """What the demo says, and the claims that it makes on the way."""

    def __init__(self) -> None:
        """Nothing has been claimed yet."""
        self.claims: list[tuple[str, bool]] = []
        self._terminal = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line, in its place between the lines of the commands."""
        print(f"\x1b[{style}m{text}\x1b[0m" if style and self._terminal else text, flush=True)

    def chapter(self, number: int, title: str) -> None:
        """Begin a part."""
        line = f"── {number}. {title} "
        self.say(f"\n{line:─<100}\n", "1")

    def claim(self, what: str, held: object) -> None:
        """Say that something is so, or that it is not."""
        self.claims.append((what, bool(held)))
        self.say(f"  {'✓' if held else '✗ NOT SO:'} {what}", "32" if held else "1;31")

    def verdict(self, proven: str = PROVEN) -> int:
        """Say in the end what was proven; give the exit code."""
        broken = [what for what, held in self.claims if not held]
        if broken or not self.claims:
            self.say(f"\nNOT proven: {'; '.join(broken) or 'nothing was tried'}.", "1;31")
            return 1
        self.say(f"\nProven: {proven} ({len(self.claims)} of {len(self.claims)} claims held).", "1;32")
        return 0


class Node:
    """A daemon in a folder of its own, and the command line that talks to it."""

    def __init__(self, folder: Path, told: Told, settings: str = SETTINGS) -> None:
        """Prepare the folder; `start` starts the daemon."""
        self.site = folder / "site"
        self.site.mkdir()
        self.socket = folder / "sagad.sock"
        self.log = folder / "sagad.log"
        self._settings = folder / "sagad.toml"
        # A file of its own: what this machine's sagad may do is not the demo's business, and it needs no more than this.
        self._settings.write_text(settings.format(folder=folder))
        self._told = told
        self._process: subprocess.Popen[bytes] | None = None
        own = {name: value for name, value in os.environ.items() if not name.startswith("SAGAD_")}
        self._environ = own | {"SAGAD_SOCKET": str(self.socket)}

    def start(self) -> None:
        """Start the daemon and return when it answers. Raises Gone."""
        words = ["sagad", "--config", str(self._settings)]
        self._told.say(f"$ {shlex.join(words)} &", "1;36")
        with self.log.open("ab") as log, undisturbed():
            # A session of its own: Ctrl-C is for the demo, which then stops the daemon.
            self._process = subprocess.Popen(
                [BIN / words[0], *words[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )
        wait_until(self._answers, "the daemon answers")

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Gone("the daemon has ended")
        with socket.socket(socket.AF_UNIX) as knock:
            return knock.connect_ex(str(self.socket)) == 0

    def kill(self) -> int:
        """End the daemon as a power cut would; give what it ended with."""
        assert self._process is not None
        self._told.say(f"$ kill -9 {self._process.pid}", "1;36")
        self._process.kill()
        return self._process.wait()

    def end_orphans(self) -> None:
        """End what a killed daemon left running, where the demo was cut short before the next one could."""
        ours = os.fsencode(self.site)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ours in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                    os.killpg(
                        int(process.name), signal.SIGKILL
                    )  # sagad's children lead sessions of their own

    def stop(self) -> int:
        """Stop the daemon, if it runs; give what it ended with."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(PATIENCE)
            self._process.kill()
        return self._process.wait()

    def ctl(self, *words: str) -> int:
        """Run sagactl before everybody's eyes; give its exit code."""
        self._told.say(f"$ {shlex.join(['sagactl', *words])}", "1;36")
        command: list[str | Path] = [BIN / "sagactl", *words]
        # In a log its errors stand where they happened, not before everything else.
        return subprocess.run(
            command, env=self._environ, cwd=ROOT, stderr=subprocess.STDOUT, check=False
        ).returncode

    def ask(self, *words: str) -> Any:
        """Run sagactl for its JSON, unseen."""
        command: list[str | Path] = [BIN / "sagactl", "-o", "json", *words]
        done = subprocess.run(command, env=self._environ, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def statuses(self) -> list[str]:
        """Give the statuses of the last saga's steps."""
        return [step["status"] for step in self.ask("show", "last")["steps"]]


class Entry(NamedTuple):
    """One file or folder as it is: two are equal only if everything is, every byte of the content included."""

    mode: str
    owner: tuple[int, int]
    modified: int | None
    """Nanoseconds; not of folders, whose time says only that something in them came and went."""
    content: bytes | None


def look(folder: Path) -> dict[str, Entry]:
    """Give everything that is in a folder."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        file = stat.S_ISREG(status.st_mode)
        found[f"{path.relative_to(folder)}{'' if file else '/'}"] = Entry(
            stat.filemode(status.st_mode),
            (status.st_uid, status.st_gid),
            status.st_mtime_ns if file else None,
            path.read_bytes() if file else None,
        )
    return found


def listing(entries: dict[str, Entry]) -> Iterator[str]:
    """Write what is in a folder, a line each."""
    for name, entry in entries.items():
        digest = "" if entry.content is None else hashlib.sha256(entry.content).hexdigest()[:16]
        size = "" if entry.content is None else len(entry.content)
        yield f"    {entry.mode}  {size:>4}  {digest:<16}  {name}"


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Have signals wait: one that came while a process is started would leave it running, known to nobody."""
    came: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    handlers = [(number, signal.signal(number, lambda n, _: came.append(n))) for number in numbers]
    try:
        yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
        for missed in came:
            signal.raise_signal(missed)


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Look again and again until it is true. Raises Gone."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise Gone(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


# --- the three ------------------------------------------------------------------------------------------------------


def completes(node: Node, told: Told) -> None:
    """Put a page live."""
    told.chapter(1, "A saga that completes")
    page = "<h1>Hello</h1>"
    words = ["examples/publish-site.yaml", "-i", f"page={page}", "-i", f"dir={node.site}"]
    code = node.ctl("submit", *words, "--wait")
    node.ctl("show", "last")
    told.say()
    told.claim("sagactl waited for it and exited with 0", code == 0)
    told.claim("its three steps are completed", node.statuses() == ["completed"] * 3)
    told.claim("the page is there, to the byte", (node.site / "index.html").read_text() == page)


def is_taken_back(node: Node, told: Told) -> None:
    """Change, create and delete, then fail."""
    told.chapter(2, "A saga whose last step fails: everything is taken back")
    old = node.site / "old.txt"
    old.write_text("from the last century\n")
    old.chmod(0o604)
    os.utime(old, (946684799, 946684799))
    before = look(node.site)
    told.say("the folder before:")
    told.say("\n".join(listing(before)))
    code = node.ctl("submit", "examples/taken-back.yaml", "-i", f"dir={node.site}", "--wait")
    node.ctl("show", "last")
    after = look(node.site)
    told.say("the folder after:")
    told.say("\n".join(listing(after)))
    told.say()
    saga = node.ask("show", "last")
    executions = node.ask("executions", "last")["executions"]
    undone = [each for each in executions if each["nature"] == "forward" and each["compensated_by"]]
    told.claim(
        f"sagactl exited with {ROLLED_BACK}: rolled_back",
        (code, saga["status"]) == (ROLLED_BACK, "rolled_back"),
    )
    told.claim(
        "four steps had changed the folder, and each names what undid it",
        [each["step"] for each in undone] == ["page", "notes", "drafts", "old"],
    )
    told.claim("content, modes, owners and times of all files are as before", after == before)
    told.claim("nothing is left behind, and the saga says so", saga["left_behind"] == [])


def is_carried_on(node: Node, told: Told) -> None:
    """Kill the daemon in the middle of a command that must not run twice."""
    told.chapter(3, "A saga that outlives kill -9")
    node.ctl("submit", "examples/carried-on.yaml", "-i", f"dir={node.site}")
    wait_until(lambda: node.statuses()[2] == "running", "step two runs")
    ledger = node.site / "ledger.txt"
    middle = ledger.read_text()
    told.say("\nstep two, a command that takes three seconds, is running; now the power goes:")
    ended = node.kill()
    code = node.ctl("show", "last")
    told.say()
    told.claim("the daemon is dead and nobody answers (exit code 9)", (ended, code) == (-signal.SIGKILL, 9))
    told.claim("the ledger has one of its three lines", middle == "one\n")
    told.say()
    node.start()
    code = node.ctl("watch", "last")
    if not sys.stdout.isatty():  # where watch has not drawn it already
        node.ctl("show", "last")
    told.say()
    told.claim("the saga was carried on and completed without anybody's word", code == 0)
    told.claim(
        "each line is in the ledger once: nothing lost, nothing twice",
        ledger.read_text() == "one\ntwo\nthree\n",
    )


def tell(node: Node, told: Told) -> None:
    """Go through all of it."""
    told.say(f"A daemon in {node.site.parent}, with real files and real processes.\n")
    node.start()
    completes(node, told)
    is_taken_back(node, told)
    is_carried_on(node, told)
    told.say()
    node.ctl("ls")
    told.say()
    told.claim("told to stop, the daemon stopped cleanly", node.stop() == 0)
    told.claim("no temporary file of sagad's lies about", not list(node.site.rglob(".sagad-*")))


def run(tell: Callable[[Node, Told], None], settings: str, proven: str) -> int:
    """Run a demo in a folder of its own; give the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a log may not know every character
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    told = Told()
    folder = Path(tempfile.mkdtemp(prefix="sagad-demo-"))
    node = Node(folder, told, settings)
    try:
        tell(node, told)
    except (Gone, OSError, subprocess.CalledProcessError) as error:
        told.claim(f"the demo could go through: {error}", held=False)
        if node.log.exists():
            told.say("\n".join(node.log.read_text(errors="replace").splitlines()[-20:]))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        node.stop()
        node.end_orphans()
        shutil.rmtree(folder, ignore_errors=True)
    return told.verdict(proven)


if __name__ == "__main__":
    sys.exit(run(tell, SETTINGS, PROVEN))
