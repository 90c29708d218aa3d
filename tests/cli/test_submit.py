"""`submit` and `validate`: what is sent, what is printed where, and what is refused before it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Sagactl
from tests.cli.standin import ID, StandIn, problem, saga_document

pytestmark = pytest.mark.slow
SAGA = "saga: publish-site\nsteps: []\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A saga file."""
    path = tmp_path / "publish.yaml"
    path.write_text(SAGA)
    return path


@pytest.fixture
def takes(daemon: StandIn) -> StandIn:
    """Takes every saga."""
    daemon.on("POST", "/v1/sagas", (201, saga_document(status="pending", warnings=[])))
    return daemon


def test_the_request_holds_all_that_was_given(takes: StandIn, sagactl: Sagactl, file: Path) -> None:
    """The API is asked for exactly what the user typed; only the daemon knows which type an input has."""
    words = ["-i", "page=a=b", "-i", "n=3", "--label", "site=harbour", "--reason", "new page"]
    ended = sagactl("submit", str(file), *words, "--idempotency-key", "k-1")

    assert ended.returncode == 0
    assert takes.last.headers["Idempotency-Key"] == "k-1"
    assert takes.last.document == {
        "source": SAGA,
        "format": "yaml",
        "inputs": {"page": "a=b", "n": "3"},
        "inputs_as_text": True,
        "labels": {"site": "harbour"},
        "reason": "new page",
    }


def test_nothing_is_sent_that_was_not_given(takes: StandIn, sagactl: Sagactl, file: Path) -> None:
    """An option that was not given leaves no empty field behind that would mean something."""
    sagactl("submit", str(file))

    assert takes.last.document == {"source": SAGA, "format": "yaml"}
    assert "Idempotency-Key" not in takes.last.headers


@pytest.mark.parametrize(
    ("name", "format"), [("a.yml", "yaml"), ("a.TOML", "toml"), ("a.json", "json"), ("a", "yaml")]
)
def test_the_suffix_says_the_format(
    takes: StandIn, sagactl: Sagactl, tmp_path: Path, name: str, format: str
) -> None:
    """A file's name says how it is written; --format says it better."""
    (tmp_path / name).write_text("x")

    sagactl("submit", str(tmp_path / name))
    assert takes.last.document["format"] == format

    sagactl("submit", str(tmp_path / name), "--format", "toml")
    assert takes.last.document["format"] == "toml"


def test_stdin_is_yaml_unless_said_otherwise(takes: StandIn, sagactl: Sagactl) -> None:
    """`-` is stdin, which has no suffix."""
    sagactl("submit", "-", stdin=SAGA)
    assert takes.last.document == {"source": SAGA, "format": "yaml"}

    sagactl("submit", "-", "--format", "json", stdin="{}")
    assert takes.last.document == {"source": "{}", "format": "json"}


def test_the_id_is_first_and_with_q_alone(takes: StandIn, sagactl: Sagactl, file: Path) -> None:
    """Scripts take the first word, or with -q all of stdout, as the saga's id."""
    assert sagactl("submit", str(file)).stdout.split()[0] == ID
    assert sagactl("submit", "-q", str(file)).stdout == f"{ID}\n"


def test_json_is_the_answer_to_the_byte(daemon: StandIn, sagactl: Sagactl, file: Path) -> None:
    """-o json prints the API's own document, whatever a later version adds to it."""
    body = b'{"id":  "7k2m9q4x1c0d", "status":"pending", "later": 1.0e2}'
    daemon.on("POST", "/v1/sagas", (201, body))

    assert sagactl("submit", str(file), "-o", "json").stdout.encode() == body + b"\n"


def test_warnings_go_to_stderr_with_their_place(daemon: StandIn, sagactl: Sagactl, file: Path) -> None:
    """A warning is no data: it is said beside the id, with the file's name that only sagactl knows."""
    warning = {"where": "4:3: steps[0]", "problem": "has no way back", "hint": "give it an `undo`"}
    daemon.on("POST", "/v1/sagas", (201, saga_document(warnings=[warning])))
    ended = sagactl("submit", "-q", str(file))

    assert ended.stdout == f"{ID}\n"
    assert ended.stderr == f"warning: {file}:4:3: steps[0]: has no way back — give it an `undo`\n"


def test_a_repeated_key_is_said(daemon: StandIn, sagactl: Sagactl, file: Path) -> None:
    """A repeat is done already, so it is no error, but nobody shall think that a second saga runs."""
    daemon.on("POST", "/v1/sagas", (200, saga_document()))
    ended = sagactl("submit", str(file), "--idempotency-key", "k")

    assert ended.returncode == 0
    assert "nothing new was started" in ended.stderr


def test_every_problem_is_named_with_file_line_and_column(
    daemon: StandIn, sagactl: Sagactl, file: Path
) -> None:
    """All problems at once; a place in the file gets its name, one beside the file does not."""
    errors = [
        {"where": "4:3: steps[0].with.path", "problem": "unknown key `pth`", "hint": "did you mean `path`?"},
        {"where": "inputs.page", "problem": "a value is missing"},
        {"where": "the whole file", "problem": "no steps"},
    ]
    daemon.on("POST", "/v1/sagas", (422, problem(422, "3 problems", *errors)))
    ended = sagactl("submit", str(file))

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "error: 3 problems",
        f"  {file}:4:3: steps[0].with.path: unknown key `pth` — did you mean `path`?",
        "  inputs.page: a value is missing",
        f"  {file}: the whole file: no steps",
    ]


def test_validate_prints_problems_as_data(daemon: StandIn, sagactl: Sagactl, file: Path) -> None:
    """What is wrong is what validate was asked for; editors read it from stdout."""
    found = {"where": "1:1: saga", "problem": "wrong", "hint": "do right"}
    daemon.on("POST", "/v1/validate", (200, {"problems": [found, found], "warnings": [found]}))
    ended = sagactl("validate", str(file))

    line = f"{file}:1:1: saga: wrong — do right"
    assert ended.returncode == 2
    assert ended.stdout.splitlines() == [line, line, f"warning: {line}"]
    assert ended.stderr == "invalid: 2 problems\n"


def test_validate_of_a_good_file(daemon: StandIn, sagactl: Sagactl, file: Path) -> None:
    """A good file is said to be good, is silent with -q, and is a document with -o json."""
    daemon.on("POST", "/v1/validate", (200, {"problems": [], "warnings": []}))

    assert sagactl("validate", str(file)).stdout == f"valid: {file}\n"
    assert sagactl("validate", str(file), "-q").stdout == ""
    assert json.loads(sagactl("validate", str(file), "-o", "json").stdout) == {"problems": [], "warnings": []}


def test_what_is_not_utf_8_is_refused_with_its_place(
    daemon: StandIn, sagactl: Sagactl, tmp_path: Path
) -> None:
    """Text that is not UTF-8 cannot be sent as JSON; the byte is named where it stands."""
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"saga: x\nname: caf\xe9\n")
    ended = sagactl("submit", str(path))

    assert ended.returncode == 2
    assert f"{path}:2:10: not UTF-8: byte 17 is 0xe9" in ended.stderr
    assert daemon.requests == []


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_what_cannot_be_read_is_refused(daemon: StandIn, sagactl: Sagactl, tmp_path: Path, name: str) -> None:
    """A file that is not there, or is a folder, is named."""
    ended = sagactl("validate", str(tmp_path / name))

    assert ended.returncode == 2
    assert f"cannot read {tmp_path / name}" in ended.stderr


def test_what_is_far_too_large_is_not_sent(daemon: StandIn, sagactl: Sagactl, tmp_path: Path) -> None:
    """A disk image given by mistake is neither read whole nor sent."""
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(10 * 1024**3)
    ended = sagactl("submit", str(path))

    assert ended.returncode == 2
    assert "larger than a saga file may be" in ended.stderr
    assert daemon.requests == []


def test_a_daemon_that_refuses_before_it_has_read_all_is_heard(
    daemon: StandIn, sagactl: Sagactl, tmp_path: Path
) -> None:
    """It hangs up on a request of 50 MB; the answer that it gave first is not lost in the broken pipe."""
    daemon.on("POST", "/v1/sagas", (413, problem(413, "the file is larger than it may be")))
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * 50_000_000)
    ended = sagactl("submit", str(path))

    assert ended.returncode == 2
    assert ended.stderr == "error: the file is larger than it may be\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-i", "page"], "write NAME=VALUE"),
        (["-i", "a=1", "-i", "a=2"], "given twice"),
        (["--idempotency-key", "a\nb"], "printable ASCII"),
        (["--wait=30"], "is not a duration"),
        (["--wait", "3x"], "is not a duration"),
        (["--frmat", "toml"], "No such option"),
    ],
)
def test_misuse_is_said_before_anything_is_sent(
    daemon: StandIn, sagactl: Sagactl, file: Path, words: list[str], said: str
) -> None:
    """A mistyped option starts nothing."""
    ended = sagactl("submit", str(file), *words)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert daemon.requests == []
