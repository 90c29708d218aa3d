"""`make demo`: what it says is so, it would say if it were not, and it leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.fixture
def demo() -> ModuleType:
    """Give the demo as a module."""
    spec = importlib.util.spec_from_file_location("demo", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        yield Path(folder)


def begin(place: Path) -> subprocess.Popen[str]:
    """Start the demo as `make demo` does; its temporary files go to this folder."""
    return subprocess.Popen(
        [sys.executable, PROGRAM],
        env={**os.environ, "TMPDIR": str(place), "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def running(place: Path) -> list[str]:
    """Give the command lines of all processes that name this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if os.fsencode(place) in words:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.mark.slow
def test_the_demo_proves_what_it_says_and_cleans_up(place: Path) -> None:
    """Exit code 0, a last line that sums it up, well within 30 s, and neither process nor folder stays."""
    began = time.monotonic()
    process = begin(place)
    text, _ = process.communicate(timeout=60)

    assert process.returncode == 0, text
    assert text.splitlines()[-1].startswith("Proven: ")
    assert "NOT SO" not in text
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line.startswith("$ kill -9")]
    assert time.monotonic() - began < 30
    assert running(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["$ sagad ", "$ kill -9 "])
def test_a_demo_that_is_cut_short_cleans_up_too(place: Path, number: int, moment: str) -> None:
    """While its daemon starts, and while the daemon is dead and a command of its still runs."""
    process = begin(place)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(moment):
            break
    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert running(place) == []
    assert list(place.iterdir()) == []


def test_a_claim_that_does_not_hold_fails_the_demo(
    demo: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many others hold; and a demo that claimed nothing has proven nothing."""
    assert demo.Told().verdict() == 1

    told = demo.Told()
    told.claim("water is wet", held=True)
    assert told.verdict() == 0

    told.claim("fire is cold", held=False)
    assert told.verdict() == 1
    assert "NOT proven: fire is cold." in capsys.readouterr().out


def change_a_byte(folder: Path) -> None:
    """Change what the file holds, and nothing else."""
    status = (folder / "file").stat()
    (folder / "file").write_text("C")
    os.utime(folder / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        change_a_byte,
        lambda folder: (folder / "file").chmod(0o600),
        lambda folder: os.utime(folder / "file", (1, 1)),
        lambda folder: (folder / "file").unlink(),
        lambda folder: (folder / "more").touch(),
        lambda folder: (folder / "more").mkdir(),
        lambda folder: (folder / "link").symlink_to("nowhere"),
        lambda folder: (folder / "sub").chmod(0o700),
    ],
    ids=["byte", "mode", "time", "file gone", "new file", "new folder", "new link", "mode of a folder"],
)
def test_the_demo_sees_every_difference(
    demo: ModuleType, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """What it compares before and after would differ, whatever were different."""
    (tmp_path / "sub").mkdir(mode=0o755)
    (tmp_path / "file").write_text("c")
    (tmp_path / "file").chmod(0o644)
    before = demo.look(tmp_path)
    assert demo.look(tmp_path) == before

    change(tmp_path)

    assert demo.look(tmp_path) != before
