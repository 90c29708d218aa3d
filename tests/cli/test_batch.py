"""`sagactl batch` and the real sagad together, from the files to the exit code."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.batch_page import page
from orchestrator.cli.draw import plain
from tests.cli.conftest import SCRIPT, environment
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

PAGE = """
saga: page
inputs: {dir: {type: string}, name: {type: string}}
steps:
  - {name: write, do: local.file.put, with: {path: "${inputs.dir}/${inputs.name}", content: hello}}
  - {name: say, do: test.echo, with: {message: "${steps.write.path}"}}
"""
ASKS = "{saga: asks, steps: [{name: who, do: test.fail, with: {kind: unknown}}]}"
FALLS = "{saga: falls, steps: [{name: fall, do: test.fail, with: {kind: error}}]}"
NAPS = "{saga: naps, steps: [{name: nap, do: wait.timer, with: {duration: 1h}}]}"

TypeIn = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def sagad() -> Iterator[Daemon]:
    """A daemon in a folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="sagactl-") as folder, Daemon(Path(folder)) as daemon:
        yield daemon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a saga file in `jobs` and a folder `out` to write to."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "jobs" / "page.yaml").write_text(PAGE)
    return tmp_path


@pytest.fixture
def type_in(sagad: Daemon, folder: Path) -> TypeIn:
    """Type a command in that folder."""

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, *words],
            input=stdin,
            env=environment(sagad.socket),
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


def batch_file(folder: Path, *names: str, more: str = "", head: str = "parallel: 1") -> str:
    """Write a batch file: a page for each name, then what else is given; give the file's name."""
    pages = [f"  - {{file: jobs/page.yaml, inputs: {{dir: {folder}/out, name: {name}}}}}" for name in names]
    others = [f"  - {{saga: {saga}}}" for saga in filter(None, more.splitlines())]
    text = "\n".join(["batch: nightly", head, "sagas:", *pages, *others])
    (folder / "nightly.yaml").write_text(text + "\n")
    return "nightly.yaml"


def written(folder: Path) -> list[str]:
    """Give the pages that are there."""
    return sorted(path.name for path in (folder / "out").iterdir())


def shown(type_in: TypeIn, batch: str) -> dict[str, Any]:
    """Give a batch's document."""
    return dict(json.loads(type_in("batch", "show", batch, "-o", "json").stdout))


# --- submitting -------------------------------------------------------------------------------------------------------


def test_a_batch_from_file_to_end(type_in: TypeIn, folder: Path) -> None:
    """The id is printed first; the files that it names are sent along; the exit code is its end."""
    words = ("--label", "site=x", "--reason", "every night", "--wait")
    ended = type_in("batch", "submit", batch_file(folder, "a", "b", "c"), *words)
    assert ended.returncode == 0, ended.stderr
    first, last = ended.stdout.splitlines()
    batch = first.split()[0]

    assert first.endswith("(3 sagas)")
    assert last == f"{batch}  nightly  completed (3/3 sagas)"
    assert written(folder) == ["a", "b", "c"]
    document = shown(type_in, batch[:8])
    assert (document["id"], document["reason"], document["parallel"]) == (batch, "every night", 1)
    assert [saga["labels"] for saga in document["sagas"]] == [{"site": "x"}] * 3
    assert type_in("batch", "show", "last", "-q").stdout == f"{batch}\n"
    assert type_in("batch", "ls", "-q", "--limit", "1").stdout == f"{batch}\n"
    assert type_in("ls", "-q", "--label", "site=x").stdout.split()[::-1] == [
        saga["id"] for saga in document["sagas"]
    ]


def test_stdin_names_files_from_the_current_folder(type_in: TypeIn, folder: Path) -> None:
    """And a batch file elsewhere those beside it."""
    (folder / "jobs" / "deeper.yaml").write_text(
        f"batch: deeper\nsagas: [{{file: page.yaml, inputs: {{dir: {folder}/out, name: b}}}}]\n"
    )
    name = batch_file(folder, "a")
    ended = type_in("batch", "submit", "-", "--wait", stdin=(folder / name).read_text())
    beside = type_in("batch", "submit", "jobs/deeper.yaml", "--wait")

    assert (ended.returncode, beside.returncode) == (0, 0), beside.stderr
    assert written(folder) == ["a", "b"]


@pytest.mark.parametrize(("suffix", "format"), [("json", None), ("txt", "json"), ("toml", None)])
def test_a_batch_file_may_be_json_or_toml(
    type_in: TypeIn, folder: Path, suffix: str, format: str | None
) -> None:
    """By its suffix, or by --format."""
    inputs = {"dir": f"{folder}/out", "name": "a"}
    text = (
        f'batch = "b"\n[[sagas]]\nfile = "jobs/page.yaml"\ninputs = {{dir = "{folder}/out", name = "a"}}\n'
        if suffix == "toml"
        else json.dumps({"batch": "b", "sagas": [{"file": "jobs/page.yaml", "inputs": inputs}]})
    )
    (folder / f"b.{suffix}").write_text(text)
    words = ["--format", format] if format else []

    assert type_in("batch", "submit", f"b.{suffix}", "--wait", *words).returncode == 0
    assert written(folder) == ["a"]


def test_the_same_key_is_the_same_batch(type_in: TypeIn, folder: Path) -> None:
    """It is said that nothing new was started; another batch under the key is a conflict."""
    name = batch_file(folder, "a")
    words = ("batch", "submit", name, "-q", "--idempotency-key", "night-1")
    first, again = type_in(*words), type_in(*words)
    batch_file(folder, "a", "b")
    other = type_in(*words)

    assert (first.returncode, again.returncode, other.returncode) == (0, 0, 7)
    assert again.stdout == first.stdout
    assert "nothing new was started" in again.stderr


def test_the_exit_code_is_the_batchs_end(type_in: TypeIn, folder: Path) -> None:
    """Rolled back, failed, on hold, out of time; each says where to look."""
    turned = type_in("batch", "submit", batch_file(folder, "a", more=FALLS), "--wait")
    assert (turned.returncode, written(folder)) == (3, [])
    batch = turned.stdout.split()[0]
    assert f"{batch}  nightly  rolled_back (2 sagas, 1 taken back)" in turned.stdout
    assert f"see: sagactl batch show {batch}" in turned.stderr

    alone = batch_file(folder, "a", more=FALLS, head="mode: best_effort")
    assert type_in("batch", "submit", alone, "--wait").returncode == 4
    assert written(folder) == ["a"]

    held = type_in("batch", "submit", batch_file(folder, more=FALLS, head="on_failure: hold"), "--wait")
    assert held.returncode == 5
    assert "on_failure is hold" in held.stderr

    late = type_in("batch", "submit", batch_file(folder, more=NAPS), "--wait", "300ms")
    batch = late.stdout.split()[0]
    assert late.returncode == 124
    assert f"batch {batch} goes on: `sagactl watch {batch}` follows it, `sagactl batch cancel" in late.stderr
    assert type_in("batch", "cancel", batch, "--now").returncode == 0


def test_a_wait_ends_where_a_saga_of_the_batch_needs_somebody(type_in: TypeIn, folder: Path) -> None:
    """Nothing else of it goes on by itself: 5, with what that saga asks; then the batch goes on."""
    held = type_in("batch", "submit", batch_file(folder, more=ASKS), "--wait", "20s")
    batch = held.stdout.split()[0]
    (saga,) = shown(type_in, batch)["sagas"]

    assert held.returncode == 5, held.stderr
    assert held.stdout.splitlines()[-1] == f"{batch}  nightly  running, on hold: attention (0/1 sagas)"
    assert f"saga {saga['id']}: nobody knows whether step who was done" in held.stderr
    assert type_in("watch", batch).returncode == 5
    assert type_in("resolve", saga["id"], "who", "--as", "done").returncode == 0
    assert type_in("watch", batch).returncode == 0


def test_json_is_the_apis_document_and_quiet_the_id(type_in: TypeIn, folder: Path) -> None:
    """With and without a wait."""
    name = batch_file(folder, "a")
    at_once = json.loads(type_in("batch", "submit", name, "-o", "json").stdout)
    waited = json.loads(type_in("batch", "submit", name, "-o", "json", "--wait").stdout)
    failed = type_in("batch", "submit", batch_file(folder, more=FALLS), "-q", "--wait")
    listed = json.loads(type_in("batch", "ls", "-o", "json", "--limit", "3").stdout)

    assert (at_once["batch"], at_once["warnings"]) == ("nightly", [])
    assert (waited["status"], waited["counts"]) == ("completed", {"completed": 1})
    assert [each["id"] for each in listed["batches"]][1:] == [waited["id"], at_once["id"]]
    assert (failed.returncode, failed.stdout) == (3, f"{listed['batches'][0]['id']}\n")


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_read_are_all_named(type_in: TypeIn, folder: Path) -> None:
    """With the place that names them, and where they are looked for; nothing is sent."""
    (folder / "latin.yaml").write_bytes("saga: grün\n".encode("latin-1"))
    entries = ["jobs/pag.yaml", "jobs/page.yaml", "jobs", "latin.yaml", "-"]
    text = "batch: b\nsagas:\n" + "".join(f'  - {{file: "{entry}"}}\n' for entry in entries)
    (folder / "b.yaml").write_text(text)
    ended = type_in("batch", "submit", "b.yaml", stdin=PAGE)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "error: b.yaml:3:12: sagas[0].file: cannot read jobs/pag.yaml: No such file or directory",
        "  b.yaml:5:12: sagas[2].file: cannot read jobs: Is a directory",
        "  b.yaml:6:12: sagas[3].file: latin.yaml:1:9: not UTF-8: byte 8 is 0xfc — save the file as UTF-8",
        "  b.yaml:7:12: sagas[4].file: cannot read -: No such file or directory",
        "  a saga file is looked for in the folder of b.yaml: mend its name there, or put it there",
    ]
    missing = type_in("batch", "submit", "gone.yaml")
    assert (missing.returncode, missing.stderr) == (
        2,
        "error: cannot read gone.yaml: No such file or directory\n",
    )


def test_every_problem_has_its_file_line_and_column(type_in: TypeIn, folder: Path) -> None:
    """Of the batch file as it was typed, of a saga file as the batch file names it."""
    (folder / "jobs" / "bad.yaml").write_text("saga: bad\nsteps:\n  - {name: a, do: test.ecko}\n")
    (folder / "b.yaml").write_text(
        "batch: b\nmodes: best_effort\nsagas:\n  - {file: jobs/bad.yaml}\n  - {file: jobs/page.yaml}\n"
    )
    ended = type_in("batch", "submit", "./b.yaml")

    assert (ended.returncode, ended.stdout) == (2, "")
    places = [line.split(": ")[0].strip() for line in ended.stderr.splitlines()]
    assert places == ["error", "./b.yaml:2:1", "jobs/bad.yaml:3:19", "./b.yaml:5:5", "./b.yaml:5:5"]
    assert "5 problems" not in ended.stderr
    assert "4 problems; nothing was started" in ended.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch: [", "not YAML"),
        ("", "the file is empty"),
        ("[1, 2]", "must be a mapping"),
        ("batch: b\nsagas: 3\n", "must be a list of sagas"),
        ("batch: b\nsagas: [3, {file: 3}, {file: {}}]\n", "must be text"),
        ("saga: a\nsteps: []\n", "this is a saga file, not a batch file — `sagactl submit` starts it"),
    ],
)
def test_what_is_no_batch_file_is_the_daemons_to_say(type_in: TypeIn, text: str, said: str) -> None:
    """Sagactl reads it to find the files that it names, and has no word of its own about the rest."""
    ended = type_in("batch", "submit", "-", stdin=text)

    assert ended.returncode == 2
    assert said in ended.stderr
    assert "<stdin>" in ended.stderr


def test_validate_says_of_a_batch_file_what_it_is(type_in: TypeIn, folder: Path) -> None:
    """And which command takes it."""
    ended = type_in("validate", batch_file(folder, "a"))

    assert ended.returncode == 2
    assert "nightly.yaml:1:1: this is a batch file, not a saga file — `sagactl batch submit`" in ended.stdout


# --- looking ----------------------------------------------------------------------------------------------------------


def test_show_is_one_page_that_says_where_each_saga_is(type_in: TypeIn, folder: Path) -> None:
    """The head, then a line a saga: mark, id, kind, status, steps, error, and what has taken it back."""
    name = batch_file(folder, "a", more=FALLS, head="parallel: 1\non_failure: compensate")
    type_in("batch", "submit", name, "--wait", "--reason", "every night")
    document = shown(type_in, "last")
    first, second = document["sagas"]
    lines = type_in("batch", "show", "last").stdout.splitlines()

    assert lines[0] == f"{document['id']}  nightly  rolled_back"
    facts = dict(line.strip().split(": ", 1) for line in lines[1:7])
    assert {key: value.strip() for key, value in facts.items() if key in ("mode", "sagas", "reason")} == {
        "mode": "all_or_nothing, 1 at a time, on_failure: compensate",
        "sagas": "1/2 completed (1 taken back), 1 rolled_back",
        "reason": "every night",
    }
    assert lines[-3:] == [
        f"├─ ✓ {first['id']}  page   completed    2/2  taken back by {first['rolled_back_by']}",
        f"└─ ↺ {second['id']}  falls  rolled_back  0/1",
        "       step_failed in step fall: it was asked to fail",
    ]


def test_show_says_what_somebody_is_asked(type_in: TypeIn, folder: Path) -> None:
    """Of a saga that stands, of one whose turn has not come, and of a rollback that stands."""
    batch = type_in(
        "batch", "submit", batch_file(folder, more=f"{ASKS}\n{FALLS}"), "-q", "--wait", "20s"
    ).stdout.strip()
    lines = type_in("batch", "show", batch).stdout.splitlines()
    asks, waits = (saga["id"] for saga in shown(type_in, batch)["sagas"])
    assert lines[-3].startswith(f"├─ ▸ {asks}  asks   running, on hold: attention  0/1")
    assert "nobody knows whether step who was done" in lines[-2]
    assert lines[-1].startswith(f"└─ · {waits}  falls  pending, waiting: queue")
    assert type_in("batch", "ls", "--limit", "1").stdout.splitlines()[1].split()[2:7] == [
        *["running,", "on", "hold:", "attention", "0/2"]
    ]
    type_in("resolve", asks, "who", "--as", "failed")
    assert type_in("watch", batch).returncode == 3

    done = type_in("batch", "submit", batch_file(folder, "a"), "-q", "--wait").stdout.strip()
    (folder / "out" / "a").write_text("somebody's own")
    held = type_in("batch", "rollback", done, "--wait", "20s")
    (rollback,) = shown(type_in, done)["rollbacks"]
    assert held.returncode == 5, held.stderr
    assert f"saga {rollback['id']}: step write failed (somebody else has changed its content" in held.stderr
    lines = type_in("batch", "show", done).stdout.splitlines()
    assert lines[-3:-1] == [
        "rollbacks:",
        f"  {rollback['id']}  running, on hold: attention  takes back {rollback['rollback_of']}",
    ]
    assert type_in("retry", rollback["id"], "write", "--force").returncode == 0
    assert type_in("watch", held.stdout.split()[0]).returncode == 0
    assert "rollbacks:" not in type_in("batch", "show", done).stdout


def test_a_page_fits_where_no_unicode_is() -> None:
    """Every id is whole, every status a word, also of a later release."""
    saga = {"id": "7k2m9q4x1c0d", "kind": "page", "status": "dreaming", "steps": [], "left_behind": [{}]}
    document = {"id": "0123456789ab", "batch": "b", "status": "new", "counts": {"new": 1}, "sagas": [saga]}
    lines = [plain(line) for line in page(document, unicode=False, now=0)]

    assert lines[0] == "0123456789ab  b  new"
    assert lines[-2] == "  sagas:     0/1 completed, 1 new"
    assert lines[-1] == "`-   7k2m9q4x1c0d  page  dreaming  0/0  1 thing left behind"


def test_the_list_is_a_line_a_batch(type_in: TypeIn, folder: Path) -> None:
    """The newest first, and how to see more."""
    type_in("batch", "submit", batch_file(folder, "a"), "--wait", "--reason", "why not")
    listed = type_in("batch", "ls", "--limit", "1")
    head, row = listed.stdout.splitlines()

    assert head.split() == ["ID", "NAME", "STATUS", "SAGAS", "AGE", "REASON"]
    assert row.split()[1:5] == ["nightly", "completed", "1/1", "completed"]
    assert row.endswith("why not")
    assert listed.stderr.startswith("there are more: the same with --limit 2, or --cursor ")
    cursor = listed.stderr.split()[-1]
    assert type_in("batch", "ls", "-q", "--limit", "1", "--cursor", cursor).stdout not in ("", row)


# --- steering ---------------------------------------------------------------------------------------------------------


def test_a_batch_is_cancelled_as_one(type_in: TypeIn, folder: Path) -> None:
    """What it did is told; a second time there is nothing to do; what has ended cannot be."""
    batch = type_in("batch", "submit", batch_file(folder, "a", more=NAPS), "-q").stdout.strip()
    type_in("watch", shown(type_in, batch)["sagas"][0]["id"])
    cancelled = type_in("batch", "cancel", batch, "--now", "--reason", "enough")
    assert (cancelled.returncode, type_in("watch", batch).returncode) == (0, 3)
    again = type_in("batch", "cancel", batch)
    done = type_in("batch", "submit", batch_file(folder, "a"), "-q", "--wait").stdout.strip()
    refused = type_in("batch", "cancel", done)

    assert cancelled.stdout.startswith(f"{batch}  cancel  accepted: it turns back")
    assert "nothing to do" in again.stdout
    assert shown(type_in, batch)["cancel"]["reason"] == "enough"
    assert (refused.returncode, "possible: rollback" in refused.stderr) == (7, True)
    assert type_in("batch", "show", "zzzzzzzzzzzz").returncode == 6
    assert type_in("batch", "show", "").returncode == 2


def test_a_rollback_is_seen_beforehand_and_waited_for(type_in: TypeIn, folder: Path) -> None:
    """Saga by saga with its steps, the newest first; the saga that does it is printed."""
    batch = type_in("batch", "submit", batch_file(folder, "a", "b"), "-q", "--wait").stdout.strip()
    first, second = (saga["id"] for saga in shown(type_in, batch)["sagas"])
    preview = type_in("batch", "rollback", batch, "--preview")
    assert (preview.returncode, written(folder)) == (0, ["a", "b"])
    head, *rows = (line.split() for line in preview.stdout.splitlines())
    assert head == ["SAGA", "KIND", "STEP", "WILL", "DO", "NATURE", "RESOURCE", "WHY"]
    assert [row[0] for row in rows] == [second] * 3 + [first] * 3
    assert rows[0][1:4] == ["page", "roll", "back"]
    assert ["write", "undo", "local.file.delete", "restore", f"{folder}/out/b"] in [row[1:] for row in rows]
    assert preview.stderr == "would take back 2 of 2 sagas; nothing was touched\n"
    as_json = json.loads(type_in("batch", "rollback", batch, "--preview", "-o", "json").stdout)
    assert [each["will"] for each in as_json["preview"]] == ["roll back"] * 2

    back = type_in("batch", "rollback", batch, "--wait", "--reason", "wrong night")
    assert (back.returncode, written(folder)) == (0, []), back.stderr
    taker = back.stdout.split()[0]
    assert f"rolled back by: {taker}" in type_in("batch", "show", batch).stdout
    assert "wrong night" in type_in("events", taker).stdout
    again = type_in("batch", "rollback", batch, "-q", "--wait")
    assert (again.returncode, again.stdout) == (0, f"{batch}\n")


def test_a_batch_that_stands_goes_the_way_back_itself(type_in: TypeIn, folder: Path) -> None:
    """After `on_failure: hold` a rollback is its own, and --wait follows it."""
    name = batch_file(folder, "a", more=FALLS, head="parallel: 1\non_failure: hold")
    held = type_in("batch", "submit", name, "--wait")
    batch = held.stdout.split()[0]
    assert (held.returncode, written(folder)) == (5, ["a"])
    assert "roll back" in type_in("batch", "rollback", batch, "--preview").stdout
    back = type_in("batch", "rollback", batch, "--wait")

    assert (back.returncode, written(folder)) == (3, [])
    assert back.stdout.splitlines()[0].startswith(f"{batch}  rollback  accepted: ")


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("fails", [False, True])
def test_the_example_does_as_it_says(type_in: TypeIn, folder: Path, fails: bool) -> None:
    """Three pages or none; the preview names what would go, and what was announced stays announced."""
    site = folder / "site"
    pages = [site / "harbour" / "index.html", site / "market" / "index.html", site / "index.html"]
    for page_ in pages[: 1 if fails else 3]:
        page_.parent.mkdir(parents=True, exist_ok=True)
        page_.write_text("old")
    for name in ("batch.yaml", "publish-site.yaml"):
        (folder / name).write_text((EXAMPLES / name).read_text().replace("/srv/site", str(site)))
    ended = type_in("batch", "submit", "batch.yaml", "--wait")
    contents = {path.read_text() for path in pages if path.exists()}

    assert ended.returncode == (3 if fails else 0), ended.stderr
    assert contents == ({"old"} if fails else {"<h1>Harbour</h1>", "<h1>Market</h1>", _FRONT})
    if not fails:
        told = type_in("batch", "rollback", "last", "--preview").stdout
        assert told.count("local.file.update") == 3
        assert type_in("batch", "rollback", "last", "--wait").returncode == 0
        assert {path.read_text() for path in pages} == {"old"}


_FRONT = "<a href=harbour>Harbour</a> <a href=market>Market</a>"
