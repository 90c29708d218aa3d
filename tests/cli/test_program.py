"""sagactl as a program: its help, what it loads, and how it ends when its streams do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import VERSION
from orchestrator.cli.app import COMMANDS
from tests.cli.conftest import SCRIPT, Sagactl, environment
from tests.cli.standin import Run, StandIn, saga_document

pytestmark = pytest.mark.slow
HEAVY = {
    "rich",
    "ssl",
    "aiohttp",
    "asyncio",
    "msgspec",
    "yaml",
    "anyio",
    "importlib.metadata",
    "http.client",
    "json",
}


def loaded(socket: Path, *words: str) -> set[str]:
    """Give the names of the modules that a call of sagactl loads."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", SCRIPT, *words],
        env=environment(socket),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return set(re.findall(r"^import time:.*\| +(\S+)$", ended.stderr, re.MULTILINE))


def test_help_loads_nothing_that_it_does_not_need(socket_path: Path) -> None:
    """Its time is a figure of SPEC §11. One heavy import costs more than everything else together."""
    modules = loaded(socket_path, "--help")

    assert "click" in modules
    assert modules & HEAVY == set()
    assert {name for name in modules if name.startswith("orchestrator.cli.")} <= {
        f"orchestrator.cli.{name}" for name in ("entry", "failures", "app", "options", "session", "text")
    }


def test_a_request_loads_neither_tls_nor_what_draws(daemon: StandIn, socket_path: Path) -> None:
    """Away from a terminal nothing is drawn, and a unix socket needs no OpenSSL."""
    run = Run(daemon)
    modules = loaded(socket_path, "show", run.saga["id"])

    assert "http.client" in modules
    assert (
        modules & {"rich", "_ssl", "aiohttp", "asyncio", "msgspec", "yaml", "anyio", "importlib.metadata"}
        == set()
    )


def test_help_names_every_command_and_exit_code(sagactl: Sagactl) -> None:
    """A newcomer finds all that there is, and an example to begin with."""
    ended = sagactl("--help")

    assert ended.returncode == 0
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", ended.stdout, re.MULTILINE)
    for text in ("sagactl submit publish.yaml", "rolled back", "124 wait timed out", "--socket"):
        assert text in ended.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(sagactl: Sagactl, name: str) -> None:
    """It says the same as the program's help, then more, and shows the options that work everywhere."""
    ended = sagactl(name, "-h")

    assert ended.returncode == 0
    assert COMMANDS[name].summary in " ".join(ended.stdout.split())
    assert "-o [table|json]" in ended.stdout


def test_common_options_work_in_every_position(daemon: StandIn, sagactl: Sagactl, socket_path: Path) -> None:
    """Before the command, after it, between its words."""
    daemon.on("GET", "/v1/sagas/x", (200, b'{"id":"full"}'))
    socket = str(socket_path)
    for words in (
        ["-o", "json", "--socket", socket, "show", "x"],
        ["--socket", socket, "show", "-o", "json", "x"],
        ["show", "x", "-o", "json", "--socket", socket],
        ["-o", "table", "show", "x", "--no-color", "-ojson", f"--socket={socket}"],
    ):
        assert sagactl(*words, SAGAD_SOCKET="/nowhere").stdout == '{"id":"full"}\n'
    assert sagactl("-q", "show", "x").stdout == "full\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["submti"], "Did you mean 'submit'?"),
        (["ls", "--limt", "3"], "--limit"),
        (["ls", "--limit", "0"], "x>=1"),
        (["show"], "Missing argument 'ID'"),
        (["-o", "yaml", "ls"], "'yaml' is not one of"),
    ],
)
def test_misuse_exits_2_and_says_what_was_meant(sagactl: Sagactl, words: list[str], said: str) -> None:
    """On stderr, in the same words as every other error, with where to look."""
    ended = sagactl(*words)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert said in ended.stderr
    assert "--help" in ended.stderr


def test_without_a_command_the_help_is_an_error(sagactl: Sagactl) -> None:
    """A script whose variable was empty must not think that it has done something."""
    ended = sagactl()

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Usage:" in ended.stderr


def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of(daemon: StandIn, socket_path: Path) -> None:
    """`sagactl ls | head -1` prints its line and no complaint."""
    sagas = [saga_document(reason="x" * 50) for _ in range(3000)]
    daemon.on("GET", "/v1/sagas", (200, {"sagas": sagas, "next": None}))
    piped = subprocess.Popen(
        [SCRIPT, "ls"], env=environment(socket_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert piped.stdout is not None
    assert piped.stdout.readline()
    piped.stdout.close()
    assert piped.stderr is not None
    with piped.stderr as errors:
        assert errors.read() == b""

    assert piped.wait(20) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error(daemon: StandIn, socket_path: Path) -> None:
    """Whoever redirects to a file must not take half an answer for a whole one."""
    Run(daemon)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [SCRIPT, "show", "x", "-o", "json"],
            env=environment(socket_path),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
        shown = subprocess.run(
            [SCRIPT, "--help"], env=environment(socket_path), stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert (
        ended.returncode == 6
    )  # the stand-in knows no saga x: the error is told on stderr, which is not full
    assert shown.returncode == 1
    assert b"No space left" in shown.stderr
    assert b"Traceback" not in shown.stderr


def test_an_answer_that_nobody_foresaw_is_a_bug_in_one_line(daemon: StandIn, sagactl: Sagactl) -> None:
    """No traceback, unless it was asked for."""
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [1]}))
    ended = sagactl("ls")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: this is a bug in sagactl: AttributeError")
    assert "Traceback" not in ended.stderr

    assert "Traceback" in sagactl("ls", SAGACTL_DEBUG="1").stderr


def test_the_shell_completes_commands_options_and_ids(daemon: StandIn, sagactl: Sagactl) -> None:
    """What the printed script will ask for is answered; without a daemon there are simply no ids."""
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [saga_document()]}))
    daemon.on("GET", "/v1/batches", (200, {"batches": [{"id": "0123456789ab", "batch": "b"}]}))

    def complete(*words: str) -> str:
        typed = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        return sagactl(_SAGACTL_COMPLETE="bash_complete", **typed).stdout

    for shell in ("bash", "zsh", "fish"):
        assert "_SAGACTL_COMPLETE" in sagactl("completion", shell).stdout
    assert "plain,submit" in complete("sagactl", "sub")
    assert "plain,--wait" in complete("sagactl", "submit", "--w")
    assert "plain,last\nplain,7k2m9q4x1c0d" in complete("sagactl", "show", "")
    assert "plain,last\nplain,0123456789ab" in complete("sagactl", "batch", "show", "")
    daemon.stop()
    assert complete("sagactl", "show", "7").strip() == ""


def test_it_does_not_matter_where_it_is_called_from(sagactl: Sagactl, tmp_path: Path) -> None:
    """Modules that lie about in the user's folder are not sagactl's."""
    (tmp_path / "json.py").write_text("raise SystemExit('loaded')")
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert sagactl("ls").returncode == 9
    finally:
        os.chdir(here)


@pytest.mark.parametrize(("program", "name"), [("sagactl", "sagactl"), ("sagad", "sagad")])
def test_the_version_is_what_most_programs_say(program: str, name: str) -> None:
    """`--version` is what fingers type first."""
    ended = subprocess.run(
        [SCRIPT.with_name(program), "--version"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )

    assert ended.stdout == f"{name} {VERSION}\n"
