"""What sagactl does on a terminal: draws, colours, asks. The terminal is a real one, a pty."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import SCRIPT, environment
from tests.cli.standin import ID, Run, StandIn, saga_document

pytestmark = pytest.mark.slow
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A terminal with sagactl on it."""

    def __init__(self, socket: Path, words: tuple[str, ...], environ: dict[str, str], columns: int) -> None:
        """Start it."""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = environment(socket, **environ)
        self.process = subprocess.Popen([SCRIPT, *words], env=env, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.seen = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            self.seen += piece.decode("utf-8", "replace")

    def until(self, text: str) -> None:
        """Wait until this is on the screen."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            time.sleep(0.01)

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(20)
        self.reader.join(5)
        return code


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(socket_path: Path) -> Iterator[Open]:
    """Open terminals, and close them in the end."""
    opened: list[Terminal] = []

    def open_one(*words: str, columns: int = 80, **environ: str) -> Terminal:
        opened.append(Terminal(socket_path, words, environ, columns))
        return opened[-1]

    yield open_one
    for each in opened:
        each.process.kill()
        each.process.wait()
        os.close(each.master)


def test_colour_is_for_terminals_that_want_it(daemon: StandIn, terminal: Open) -> None:
    """Colour on a terminal; none with NO_COLOR or --no-color, not even bold."""
    Run(daemon)
    coloured = terminal("show", ID)
    assert coloured.end() == 0
    assert COLOUR.search(coloured.seen)

    for plain in (terminal("show", ID, NO_COLOR="1"), terminal("show", ID, "--no-color")):
        assert plain.end() == 0
        assert "\x1b" not in plain.seen


def test_a_list_fits_the_terminal_and_no_id_is_cut(daemon: StandIn, terminal: Open) -> None:
    """What does not fit is folded; the id is what the next command needs."""
    sagas = [saga_document(reason="a long reason " * 9, labels={"site": "harbour" * 4})]
    daemon.on("GET", "/v1/sagas", (200, {"sagas": sagas, "next": None}))
    narrow = terminal("ls", "--no-color", columns=60)

    assert narrow.end() == 0
    assert ID in narrow.seen
    assert max(map(len, narrow.seen.splitlines())) <= 60


@pytest.mark.parametrize(
    ("columns", "whole"),
    [(60, [ID, "completed", "restore", "0" * 12]), (100, [ID, "completed", "restore", "0" * 12])],
)
def test_executions_fold_their_long_cells_first(
    daemon: StandIn, terminal: Open, columns: int, whole: list[str]
) -> None:
    """Errors and links are long; an id is never cut, and a status only where there is no room at all."""
    row = {
        "id": ID,
        "step": "one",
        "nature": "restore",
        "generation": 2,
        "attempts": 3,
        "status": "completed",
    }
    row |= {
        "operation": "local.directory.delete",
        "compensates": "0" * 12,
        "started_at": datetime.fromtimestamp(time.time() - 300, UTC).isoformat(),
    }
    row |= {
        "before": {"sha256": "a" * 64},
        "after": {"exists": False},
        "error": {"code": "e", "message": "no " * 9},
    }
    daemon.on("GET", f"/v1/sagas/{ID}/executions", (200, {"executions": [row]}))
    shown = terminal("executions", ID, "--no-color", columns=columns)

    assert shown.end() == 0
    assert max(map(len, shown.seen.splitlines())) <= columns
    assert [word for word in whole if word not in shown.seen] == []


def test_a_sagas_words_do_not_steer_the_terminal(daemon: StandIn, terminal: Open) -> None:
    """An output of a command may hold any bytes: to clear the screen, or to look like markup."""
    step = saga_document()["steps"][0] | {
        "output": {"stdout": "\x1b[2J[red]x[/red]"},
        "error": "\x1b]0;title\x07",
    }
    run = Run(daemon, steps=[step], reason="\x1b[31mred")
    run.happens("saga.completed", status="completed")
    for words in (["show", ID], ["watch", ID], ["events", ID]):
        shown = terminal(*words, NO_COLOR="1")
        assert shown.end() == 0
        assert "\x1b[2J" not in shown.seen
        assert "\x1b[31m" not in shown.seen
        assert "\x1b]0" not in shown.seen
    assert "[red]x[/red]" in terminal_text(terminal("show", ID))


def terminal_text(shown: Terminal) -> str:
    """Give what a terminal shows in the end, without its escapes."""
    shown.end()
    return ESCAPE.sub("", shown.seen)


def test_watch_draws_a_tree_that_goes_on(daemon: StandIn, terminal: Open) -> None:
    """The picture follows the saga, and what remains is how it ended."""
    run = Run(daemon)
    watching = terminal("watch", ID)
    watching.until("running")
    steps = [step | {"status": "completed"} for step in run.saga["steps"]]
    run.happens("step.unknown", step="two", steps=[steps[0], steps[1] | {"status": "unknown"}])
    watching.until("unknown")
    run.happens("saga.completed", status="completed", steps=steps)

    assert watching.end() == 0
    last = ESCAPE.sub("", watching.seen).rstrip().splitlines()[-1]
    assert last.strip().startswith("└─ ✓ two")


def test_submit_draws_on_stderr_while_it_waits(daemon: StandIn, terminal: Open, tmp_path: Path) -> None:
    """The id comes first, then the tree, then how it ended."""
    daemon.on("POST", "/v1/sagas", (201, saga_document(status="pending")))
    run = Run(daemon)
    (tmp_path / "a.yaml").write_text("saga: a")
    waiting = terminal("submit", "--wait", str(tmp_path / "a.yaml"))
    waiting.until("two")
    run.happens("saga.rolled_back", status="rolled_back")

    assert waiting.end() == 3
    assert ESCAPE.sub("", waiting.seen).startswith(f"{ID}  publish-site  pending")


def test_ctrl_c_on_a_drawn_tree_leaves_the_saga_and_the_terminal_whole(
    daemon: StandIn, terminal: Open
) -> None:
    """The cursor that was hidden is back, and the saga goes on."""
    run = Run(daemon)
    watching = terminal("watch", ID)
    watching.until("two")
    watching.process.send_signal(signal.SIGINT)

    assert watching.end() == 130
    assert "goes on" in watching.seen
    assert "Traceback" not in watching.seen
    assert watching.seen.rfind("\x1b[?25h") > watching.seen.rfind("\x1b[?25l")
    assert run.saga["status"] == "running"


@pytest.mark.parametrize("words", ["abandon x --reason r", "rollback x", "retry x --force"])
def test_what_destroys_asks_and_no_is_the_default(daemon: StandIn, terminal: Open, words: str) -> None:
    """Enter does nothing; yes does it; --yes is not asked."""
    verb = words.partition(" ")[0]
    daemon.on(
        "POST", f"/v1/sagas/x/{verb}", (200, {"did": "accepted", "detail": "", "saga": saga_document()})
    )
    daemon.on(
        "POST", f"/v1/sagas/{ID}/{verb}", (200, {"did": "accepted", "detail": "", "saga": saga_document()})
    )
    daemon.on("GET", "/v1/sagas/x", (200, saga_document()))
    refused = terminal(*words.split())
    refused.until("[y/N]")
    refused.type("\n")
    assert refused.end() == 1
    assert "nothing was done" in refused.seen
    assert [each for each in daemon.requests if each.method == "POST"] == []

    granted = terminal(*words.split())
    granted.until("[y/N]")
    granted.type("y\n")
    assert granted.end() == 0
    assert len([each for each in daemon.requests if each.method == "POST"]) == 1

    assert terminal(*words.split(), "--yes").end() == 0


def test_a_question_names_the_saga_that_is_meant(daemon: StandIn, terminal: Open) -> None:
    """`last` says nothing of which it is, and may be another one when the answer comes."""
    daemon.on("GET", "/v1/sagas/last", (200, saga_document()))
    daemon.on(
        "POST", f"/v1/sagas/{ID}/rollback", (200, {"did": "accepted", "detail": "", "saga": saga_document()})
    )
    asked = terminal("rollback", "last")
    asked.until("[y/N]")
    asked.type("y\n")

    assert asked.end() == 0
    assert f"{ID} ({saga_document()['kind']}, {saga_document()['status']})" in asked.seen


def test_a_rollback_of_a_batch_asks_too(daemon: StandIn, terminal: Open) -> None:
    """As that of a saga."""
    answer = {"did": "accepted", "detail": "", "batch": {"id": ID}, "rollback": None}
    daemon.on("POST", "/v1/batches/x/rollback", (200, answer))
    refused = terminal("batch", "rollback", "x")
    refused.until("Take back what the sagas of batch x have done? [y/N]")
    refused.type("\n")
    assert refused.end() == 1
    assert daemon.requests == []

    assert terminal("batch", "rollback", "x", "--yes").end() == 0


def test_the_page_of_a_batch_fits_the_terminal_and_no_id_is_cut(daemon: StandIn, terminal: Open) -> None:
    """Errors are folded; the id is what the next command needs."""
    saga = saga_document(error={"code": "step_failed", "step": "one", "message": "it is so " * 20})
    batch = {"id": "0123456789ab", "batch": "nightly", "status": "running", "counts": {"running": 1}}
    daemon.on("GET", "/v1/batches/x", (200, batch | {"sagas": [saga]}))
    narrow = terminal("batch", "show", "x", "--no-color", columns=60)

    assert narrow.end() == 0
    assert ID in narrow.seen
    assert max(map(len, narrow.seen.splitlines())) <= 60


def test_ctrl_c_at_a_question_does_nothing(daemon: StandIn, terminal: Open) -> None:
    """It is no yes."""
    daemon.on("GET", "/v1/sagas/x", (200, saga_document()))
    asked = terminal("abandon", "x", "--reason", "r")
    asked.until("[y/N]")
    asked.process.send_signal(signal.SIGINT)

    assert asked.end() == 130
    assert [each for each in daemon.requests if each.method == "POST"] == []


def test_a_dumb_terminal_gets_lines(daemon: StandIn, terminal: Open) -> None:
    """Where nothing can be drawn over, events come one a line, as in a pipe."""
    run = Run(daemon)
    run.happens("step.started", step="two")
    run.happens("saga.completed", status="completed")
    watching = terminal("watch", ID, TERM="dumb")

    assert watching.end() == 0
    assert "step.started" in watching.seen
    assert "\x1b" not in watching.seen


def test_json_is_indented_for_a_reader(daemon: StandIn, terminal: Open) -> None:
    """The document is the same; only a person gets line breaks."""
    daemon.on("GET", "/v1/sagas", (200, b'{"sagas":[]}'))
    shown = terminal("ls", "-o", "json")

    assert shown.end() == 0
    assert shown.seen.splitlines() == ["{", '  "sagas": []', "}"]
