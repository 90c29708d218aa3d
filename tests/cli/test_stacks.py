"""`sagactl plan` and `apply` and the real sagad together, from the stack file to the exit code."""

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

TypeIn = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[..., str]


@pytest.fixture(scope="module")
def sagad() -> Iterator[Daemon]:
    """A daemon in a folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sagactl-") as folder, Daemon(Path(folder)) as daemon:
        yield daemon


@pytest.fixture
def type_in(sagad: Daemon, tmp_path: Path) -> TypeIn:
    """Type a command in the test's folder."""

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *words],
            input=stdin,
            env=environment(sagad.socket),
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the stack file: a folder and a page in it; give its name."""

    def written(content: str = "hello", dir: str = "site", more: str = "") -> str:
        text = (
            f"stack: {tmp_path.name.lower().replace('_', '-')}\n{more}resources:\n"
            f"  - {{type: local.directory, name: dir, spec: {{path: {tmp_path}/{dir}}}}}\n"
            '  - {type: local.file, name: page, spec: {path: "${resources.dir.path}/index.html", '
            f"content: {content}}}}}\n"
        )
        (tmp_path / "web.yaml").write_text(text)
        return "web.yaml"

    return written


def test_from_plan_to_destroyed(type_in: TypeIn, write: Write, tmp_path: Path) -> None:
    """What would be done, done, nothing to do, changed, and what deletes only with --yes."""
    plan = type_in("plan", write())
    assert plan.returncode == 0, plan.stderr
    assert "create" in plan.stdout
    assert "2 actions: 2 create" in plan.stderr
    assert not (tmp_path / "site").exists()

    made = type_in("apply", "web.yaml", "--reason", "first")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "site" / "index.html").read_text() == "hello"
    assert "completed" in made.stdout.splitlines()[-1]
    assert "OUTCOME" not in made.stdout

    again = type_in("apply", "web.yaml")
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert "nothing to do" in type_in("plan", "web.yaml").stdout

    assert (
        type_in("apply", write("changed"), "-q").stdout.strip()
        == type_in("show", "last", "-q").stdout.strip()
    )
    moved = type_in("apply", write("changed", "place"))
    assert (moved.returncode, "--yes" in moved.stderr) == (2, True)
    assert (tmp_path / "site" / "index.html").read_text() == "changed"
    assert type_in("apply", "web.yaml", "--yes").returncode == 0
    refused = type_in("apply", "web.yaml", "--destroy")
    assert (refused.returncode, (tmp_path / "place").exists()) == (2, True)
    gone = type_in("apply", "web.yaml", "--destroy", "--yes")
    assert (gone.returncode, (tmp_path / "place").exists()) == (0, False)


def test_the_document_is_the_apis(type_in: TypeIn, write: Write) -> None:
    """With -o json; -q gives names, then the id alone."""
    plan = json.loads(type_in("plan", write(), "-o", "json").stdout)
    assert [(each["index"], each["action"], each["type"], each["name"]) for each in plan["actions"]] == [
        (0, "create", "local.directory", "dir"),
        (1, "create", "local.file", "page"),
    ]
    assert plan["hash"]
    assert type_in("plan", "web.yaml", "-q").stdout.split() == ["dir", "page"]

    saga = json.loads(type_in("apply", "web.yaml", "-o", "json").stdout)
    assert [each["status"] for each in saga["outcomes"]] == ["success", "success"]
    nothing = json.loads(type_in("apply", "web.yaml", "-o", "json").stdout)
    assert (nothing["did"], nothing["saga"], nothing["outcomes"]) == ("nothing", None, [])
    assert type_in("apply", "web.yaml", "-q").stdout == ""
    assert json.loads(type_in("plan", "web.yaml", "-o", "json").stdout)["actions"] == []


def test_a_saved_plan(type_in: TypeIn, write: Write, tmp_path: Path) -> None:
    """Applied as it is; refused where the file, or what is there, has moved."""
    assert type_in("plan", write(), "--out", "first.plan").returncode == 0
    assert (tmp_path / "first.plan").stat().st_mode & 0o777 == 0o600
    assert type_in("apply", "--plan", "first.plan").returncode == 0
    late = type_in("apply", "--plan", "first.plan")
    assert (late.returncode, "stale" in late.stderr) == (7, True)

    type_in("plan", write("second"), "--out", "second.plan")
    write("third")
    moved = type_in("apply", "--plan", "second.plan")
    assert (moved.returncode, "web.yaml has changed" in moved.stderr) == (7, True)
    write("second")
    (tmp_path / "site" / "index.html").write_text("theirs")
    assert type_in("apply", "--plan", "second.plan").returncode == 7
    (tmp_path / "site" / "index.html").write_text("hello")
    assert type_in("apply", "--plan", "second.plan").returncode == 0
    assert (tmp_path / "site" / "index.html").read_text() == "second"


def test_what_is_no_plan(type_in: TypeIn, write: Write, tmp_path: Path) -> None:
    """Is a misuse, with how to write one."""
    (tmp_path / "no.plan").write_text("{}")
    (tmp_path / "worse.plan").write_text("stack: x")
    answers = [
        type_in("apply", "--plan", "no.plan"),
        type_in("apply", "--plan", "worse.plan"),
        type_in("apply"),
        type_in("apply", write(), "--plan", "no.plan"),
        type_in("plan", "nowhere.yaml"),
    ]

    assert [each.returncode for each in answers] == [2] * 5
    assert "sagactl plan FILE --out PLAN" in answers[0].stderr
    assert not any("Traceback" in each.stderr for each in answers)


def test_a_failed_apply_says_what_became_of_each_action(
    type_in: TypeIn, write: Write, tmp_path: Path
) -> None:
    """A table of outcomes, and the exit code of how the saga ended."""
    page = f"  - {{type: local.file, name: lost, spec: {{path: {tmp_path}/no/where, content: x}}, needs: [page]}}\n"
    (tmp_path / write()).write_text((tmp_path / write()).read_text() + page)
    failed = type_in("apply", "web.yaml")
    assert failed.returncode == 3, failed.stderr
    table = [line.split()[:4] for line in failed.stdout.splitlines() if "local." in line]
    assert ["create", "local.directory", "dir", "compensated"] in table
    assert ["create", "local.file", "lost", "error"] in table
    assert not (tmp_path / "site").exists()

    (tmp_path / write(more="on_failure: stop\n")).write_text((tmp_path / "web.yaml").read_text() + page)
    stopped = type_in("apply", "web.yaml")
    assert stopped.returncode == 4
    assert (tmp_path / "site" / "index.html").exists()
    assert [line.split()[0] for line in type_in("plan", "web.yaml").stdout.splitlines()[1:]] == ["create"]


def test_a_file_that_is_wrong(type_in: TypeIn, tmp_path: Path) -> None:
    """Exit 2, with file, line and column: of plan, of apply, and of validate and rehearse."""
    (tmp_path / "bad.yaml").write_text(
        "stack: bad\nresources:\n  - {type: local.fil, name: a, spec: {}}\n  - {type: local.file, name: a, spec: {}}\n"
    )
    for command in ("plan", "apply", "validate", "rehearse"):
        ended = type_in(command, "bad.yaml")
        assert ended.returncode == 2, (command, ended)
        said = ended.stdout + ended.stderr
        assert "bad.yaml:3:12" in said, said
        assert "bad.yaml:4:30" in said


def test_what_is_in_the_way_has_its_place(type_in: TypeIn, write: Write, tmp_path: Path) -> None:
    """What only planning finds is said with the line of its resource."""
    (tmp_path / "site").mkdir()
    ended = type_in("plan", write())

    assert ended.returncode == 2
    assert "web.yaml:3:5" in ended.stderr
    assert f"sagactl resources import local.directory {tmp_path / 'site'}" in ended.stderr


def test_the_same_key_is_the_same_apply(type_in: TypeIn, write: Write) -> None:
    """Though by the second time there is nothing left to do; a file from stdin will do too."""
    text = write()
    first = type_in("apply", text, "--idempotency-key", "stack-key", "-q")
    again = type_in("apply", text, "--idempotency-key", "stack-key", "-q")
    other = type_in("apply", write("other"), "--idempotency-key", "stack-key")

    assert (first.returncode, again.returncode, other.returncode) == (0, 0, 7)
    assert first.stdout == again.stdout != ""


def test_a_stack_file_is_validated_and_rehearsed(type_in: TypeIn, write: Write, tmp_path: Path) -> None:
    """As a saga file is; nothing is touched. And from stdin it is planned."""
    assert type_in("validate", write()).returncode == 0
    assert type_in("rehearse", "web.yaml").returncode == 0
    assert type_in("plan", "-", stdin=(tmp_path / "web.yaml").read_text()).returncode == 0
    assert not (tmp_path / "site").exists()
    type_in("apply", "web.yaml")
    settled = type_in("rehearse", "web.yaml")

    assert settled.returncode == 0, settled
    assert "would do nothing" in settled.stdout + settled.stderr
