"""sagactl and the real sagad together: what a user types, from the file to the exit code."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import SCRIPT, environment
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

COMPLETES = """
saga: good
inputs: {n: {type: integer}, list: {type: list, default: []}}
steps:
  - {name: one, do: test.echo, with: {message: "n is ${inputs.n}"}}
  - {name: two, do: test.echo, with: {message: "${steps.one.message}"}}
"""
TURNS_BACK = """
saga: bad
steps:
  - {name: one, do: test.echo, with: {message: hello}}
  - {name: two, do: test.fail, with: {kind: error}}
"""
SLEEPS = """
saga: slow
steps:
  - {name: one, do: test.echo, with: {message: hello}}
  - {name: nap, do: wait.timer, with: {duration: 2s}}
  - {name: two, do: test.echo, with: {message: done}}
"""


@pytest.fixture(scope="module")
def sagad() -> Iterator[Daemon]:
    """A daemon in a folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sagactl-") as folder, Daemon(Path(folder)) as daemon:
        yield daemon


@pytest.fixture
def type_in(sagad: Daemon) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Type a command; the file is its stdin."""

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *words],
            input=stdin,
            env=environment(sagad.socket),
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


TypeIn = Callable[..., subprocess.CompletedProcess[str]]


def started(sagad: Daemon, *words: str) -> subprocess.Popen[str]:
    """Type a command and do not wait for its end."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [SCRIPT, *words], env=environment(sagad.socket), stdout=pipe, stderr=pipe, encoding="utf-8"
    )


def test_a_saga_from_file_to_end(type_in: TypeIn) -> None:
    """Inputs typed as words have their declared types; the id opens every other command."""
    ended = type_in(
        "submit", "-", "-i", "n=3", "-i", "list=[1]", "--label", "site=x", "--wait", stdin=COMPLETES
    )
    assert ended.returncode == 0, ended.stderr
    saga = ended.stdout.split()[0]

    document = json.loads(type_in("show", saga, "-o", "json").stdout)
    assert document["inputs"] == {"n": 3, "list": [1]}
    assert document["steps"][1]["output"] == {"message": "n is 3"}
    assert type_in("show", "-q", "last").stdout == f"{saga}\n"
    assert type_in("ls", "-q", "--label", "site=x").stdout == f"{saga}\n"
    assert "saga.completed" in type_in("events", saga[:6]).stdout
    assert len(type_in("executions", saga, "-q").stdout.split()) == 2
    assert saga in type_in("why", saga).stdout


def test_the_exit_code_is_the_sagas_end(type_in: TypeIn) -> None:
    """Rolled back, failed, on hold, and out of time, each with what there is to know on stderr."""
    turned = type_in("submit", "-", "--wait", stdin=TURNS_BACK)
    assert turned.returncode == 3
    assert "two" in turned.stderr

    assert type_in("submit", "-", "--wait", stdin=TURNS_BACK + "on_failure: stop\n").returncode == 4
    held = type_in("submit", "-", "--wait", stdin=TURNS_BACK + "on_failure: hold\n")
    assert held.returncode == 5
    assert type_in("watch", "last").returncode == 5
    assert type_in("cancel", "last").returncode == 0
    assert type_in("watch", "last").returncode == 3

    late = type_in("submit", "-", "--wait", "200ms", stdin=SLEEPS)
    assert late.returncode == 124
    assert type_in("cancel", late.stdout.split()[0]).returncode == 0


def test_what_is_wrong_is_named_by_validate_and_submit_alike(type_in: TypeIn) -> None:
    """Every problem, with its place; exit 2; nothing started."""
    bad = "saga: bad\nstep: []\nsteps:\n  - {name: a, do: test.ecko, with: {}}\n"
    checked, submitted = type_in("validate", "-", stdin=bad), type_in("submit", "-", stdin=bad)

    assert checked.returncode == submitted.returncode == 2
    assert checked.stdout.startswith("<stdin>:2:1: step: ")
    assert "<stdin>:4:19: steps[0].do: " in checked.stdout
    assert all(line in submitted.stderr for line in checked.stdout.splitlines())
    assert type_in("ls", "--kind", "bad", "--since", "2999-01-01T00:00:00Z").stdout == ""


KEEPS = """
saga: keeps
inputs: {dir: {type: string}}
steps:
  - {name: page, do: local.file.put, with: {path: "${inputs.dir}/page", content: "${secret.none}"}}
  - {name: count, do: command.run, with: {argv: [seq, 3]}, undo: none, idempotent: true}
  - {name: ring, do: command.run, with: {argv: [ring, "${steps.page.path}"]}, undo: none}
"""


def test_a_rehearsal_says_what_would_be_left_behind(sagad: Daemon, type_in: TypeIn, tmp_path: Path) -> None:
    """A row for each case, why something stays, what would be asked; exit 3. The store and the world stay as they are."""
    head = sagad.ask("GET", "/v1/health")[1]["head"]
    kept = _kept(sagad)
    told = type_in("rehearse", "-", "-i", f"dir={tmp_path}", stdin=KEEPS)

    assert told.returncode == 3
    rows = [line.split("  ") for line in told.stdout.split("\n\n")[0].splitlines()]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["STEP", "WHAT GOES WRONG", "ENDS", "LEFT BEHIND"],
        ["nothing", "completed"],
        ["page", "fails", "rolled_back"],
        ["page", "answer lost", "completed"],
        ["count", "fails", "rolled_back"],
        ["count", "answer lost", "completed"],
        ["ring", "fails", "rolled_back", "count"],
        ["ring", "answer lost, done", "hold", "page, count, ring"],
        ["ring", "answer lost, not done", "hold", "page, count"],
        ["cancelled in its last step", "rolled_back", "count, ring"],
        ["page", "undo fails for good", "failed", "page, count, ring"],
        ["page", "undo's answer lost", "rolled_back", "count, ring"],
    ]
    assert "left behind:\n  count: it has no way back (undo: none)\n  ring: " in told.stdout
    assert "somebody would be asked:\n  nobody knows whether step ring was done (" in told.stdout
    assert told.stdout.endswith(
        "not clean: 6 of 13 cases would leave something or ask somebody "
        "(not counting 1 in which an undo fails for good)\n"
    )
    assert sagad.ask("GET", "/v1/health")[1]["head"] == head
    assert _kept(sagad) == kept
    assert list(tmp_path.iterdir()) == []


def _kept(sagad: Daemon) -> dict[str, int]:
    """Every file of the state folder with its size."""
    return {str(path): path.stat().st_size for path in sagad.state.rglob("*") if path.is_file()}


def test_a_clean_rehearsal_exits_with_0(type_in: TypeIn, tmp_path: Path) -> None:
    """As a table, as a document, and in silence; what a submission would refuse is refused."""
    clean = KEEPS.partition("  - {name: count")[0]
    words = ("rehearse", "-", "-i", f"dir={tmp_path}")
    told = type_in(*words, stdin=clean)

    assert told.returncode == 0
    assert told.stdout.splitlines()[-1] == (
        "clean: in 7 cases nothing would be left behind, and nobody asked "
        "(not counting 1 in which an undo fails for good)"
    )
    assert json.loads(type_in(*words, "-o", "json", stdin=clean).stdout)["clean"] is True
    assert type_in(*words, "-q", stdin=clean).stdout == ""
    missing = type_in("rehearse", "-", stdin=clean)
    assert missing.returncode == 2
    assert "inputs.dir: the input is missing" in missing.stderr


def test_verbs_say_what_they_did(type_in: TypeIn) -> None:
    """Done, nothing to do, not possible now, not known."""
    saga = type_in("submit", "-q", "-", stdin=SLEEPS).stdout.strip()

    assert "accepted" in type_in("pause", saga, "--reason", "lunch").stdout
    assert "nothing to do" in type_in("pause", saga).stdout
    assert type_in("watch", saga).returncode == 5
    assert type_in("resume", saga).returncode == 0
    assert type_in("resolve", saga, "one", "--as", "done").returncode == 7
    assert type_in("cancel", saga).returncode == 0
    assert type_in("watch", saga).returncode == 3
    assert type_in("abandon", saga, "--yes", "--reason", "x").returncode == 7
    assert type_in("pause", "zzzzzzzzzzzz").returncode == 6


@pytest.mark.parametrize("words", [["watch"], ["events", "-f"]])
def test_a_follower_outlives_a_daemon_that_is_killed(
    sagad: Daemon, type_in: TypeIn, words: list[str]
) -> None:
    """SIGKILL in the middle, and every event is still seen once and in order."""
    saga = type_in("submit", "-q", "-", stdin=SLEEPS).stdout.strip()
    with started(sagad, *words, saga, "-o", "json") as following:
        assert following.stdout is not None
        first = following.stdout.readline()
        sagad.kill()
        sagad.start()
        rest = following.stdout.read().splitlines()

    assert following.returncode == 0
    assert [json.loads(line) for line in [first, *rest]] == sagad.events(saga)


def test_more_than_a_page_is_read_in_pages(type_in: TypeIn) -> None:
    """The API gives a thousand at a time; who asks for more gets more."""
    assert type_in("ls", "--limit", "2500").returncode == 0
    assert len(type_in("ls", "-q", "--limit", "2").stdout.split()) == 2


def test_the_node_answers(type_in: TypeIn) -> None:
    """Providers, versions, reload and the API as it is."""
    assert "local.file" in type_in("providers").stdout
    assert "\nput  " in type_in("providers", "local.file").stdout
    assert type_in("providers", "nothing").returncode == 6
    assert len({line.split()[1] for line in type_in("version").stdout.splitlines()}) == 1
    assert type_in("reload").returncode == 0
    assert json.loads(type_in("api", "GET", "/v1/health").stdout)["ready"] is True
    assert type_in("api", "GET", "/v1/nothing").returncode == 6


def test_what_was_done_is_taken_back_and_put_in_place_again(type_in: TypeIn, tmp_path: Path) -> None:
    """Seen beforehand, waited for, on record both ways."""
    page, file = tmp_path / "page", tmp_path / "page.yaml"
    file.write_text(
        f"saga: page\nsteps: [{{name: page, do: local.file.put, with: {{path: {page}, content: x}}}}]\n"
    )
    saga = type_in("-q", "submit", str(file), "--wait").stdout.strip()
    preview = type_in("rollback", saga, "--preview")
    assert (preview.returncode, page.exists()) == (0, True)
    assert "local.file.delete" in preview.stdout
    assert "nothing was touched" in preview.stderr

    back = type_in("rollback", saga, "--wait", "--reason", "too early")
    assert (back.returncode, page.exists()) == (0, False), back.stderr
    rollback = back.stdout.split()[0]
    assert f"rolled back by: {rollback}" in type_in("show", saga).stdout
    assert f"rollback of: {saga}" in type_in("show", rollback).stdout
    assert "undoes" in type_in("executions", rollback).stdout
    assert "too early" in type_in("events", rollback).stdout

    assert type_in("rollback", rollback, "--wait").returncode == 0
    assert page.read_text() == "x"
    file.write_text(file.read_text().replace("content: x", "content: y"))
    mended = type_in("correct", saga, str(file), "--wait")
    assert (mended.returncode, page.read_text()) == (0, "y"), mended.stderr
    assert ["corrects:", saga] in [line.split() for line in type_in("show", "last").stdout.splitlines()]
    assert type_in("rollback", saga, "--preview").stdout.splitlines()[1].split()[1] == "conflict"


def in_shell(sagad: Daemon, line: str) -> subprocess.CompletedProcess[str]:
    """Type a line for the shell: its redirections are what this is about."""
    return subprocess.run(
        ["bash", "-c", line.replace("sagactl", str(SCRIPT))],
        input=COMPLETES,
        env=environment(sagad.socket),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_an_answer_that_cannot_be_written_does_not_hide_what_was_done(sagad: Daemon) -> None:
    """Who is told of an error only would submit it again."""
    before = len(sagad.ask("GET", "/v1/sagas?limit=1000")[1]["sagas"])
    ended = in_shell(sagad, "sagactl submit - --format yaml -i n=1 >/dev/full")
    after = sagad.ask("GET", "/v1/sagas?limit=1000")[1]["sagas"]

    assert (ended.returncode, len(after)) == (1, before + 1)
    assert "cannot write the answer: No space left on device" in ended.stderr
    assert f"it was done all the same (POST /v1/sagas made /v1/sagas/{after[0]['id']})" in ended.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("sagactl ls >&-", 0),
        ("sagactl submit - --format yaml -i n=1 >&-", 0),
        ("sagactl submit - --format yaml <&-", 2),
        ("sagactl show nope 2>&-", 6),
        ("sagactl show nope 2>/dev/full", 6),
    ],
)
def test_a_stream_that_is_closed_or_full_is_no_bug(sagad: Daemon, line: str, code: int) -> None:
    """The exit code says how it ended."""
    ended = in_shell(sagad, line)

    assert (ended.returncode, "bug" in ended.stderr) == (code, False), ended
