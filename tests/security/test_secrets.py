"""What is secret is nowhere in clear: not in the state folder, the log, an answer, a backup or a core."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.folder import FAIL, saga
from tests.faults.test_backup import sagactl

pytestmark = pytest.mark.slow

VALUE = "k7Rz-93hfQ_vWm2!xLp"
STARTERS = "whoever-started-it-had-this-in-the-environment"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a secret, started from an environment with another."""
    tmp_path = tmp_path_factory.mktemp("secret")
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "token").write_text(VALUE)
    (secrets / "token").chmod(0o600)
    with Daemon(tmp_path, f'[secrets]\ndir = "{secrets}"\n', {"SOMEBODYS_TOKEN": STARTERS}) as daemon:
        yield daemon


def run(name: str, *argv: str, **more: Any) -> dict[str, Any]:
    """A step that runs a command."""
    return {"name": name, "do": "command.run", "with": {"argv": list(argv), **more}}


def leaks(folder: Path) -> list[str]:
    """Name the files below a folder in which the secret stands, as it is or as it commonly travels."""
    forms = [VALUE.encode(), base64.b64encode(VALUE.encode()), json.dumps(VALUE).encode()[1:-1]]
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]
    return sorted(path.name for path in found)


def test_a_secret_is_nowhere_in_clear(daemon: Daemon) -> None:
    """It is an argument, an environment, a content, an output, an error and, in a large file, an image: it is in none."""
    tmp_path = daemon.folder
    page, big = tmp_path / "page", tmp_path / "big"
    big.write_text(f"{'x' * 40_000}{VALUE}{'y' * 40_000}")
    reference = "${secret.token}"
    steps = [
        run("said", "echo", "-n", reference),
        run("encoded", "sh", "-c", 'printf %s "$T" | base64', env={"T": reference}),
        {
            "name": "page",
            "do": "local.file.put",
            "with": {"path": str(page), "content": f"token={reference}"},
        },
        {"name": "again", "do": "test.echo", "with": {"message": "${steps.said.stdout}"}},
        {"name": "big", "do": "local.file.delete", "with": {"path": str(big)}},
        run("fails", "sh", "-c", f"echo {reference} >&2; exit 3"),
    ]
    shown = daemon.submit(saga("secretive", steps, on_failure="stop"))
    told = [
        json.dumps(daemon.ask("GET", path)[1])
        for path in (
            f"/v1/sagas/{shown['id']}", f"/v1/sagas/{shown['id']}/executions", f"/v1/sagas/{shown['id']}/events",
            f"/v1/sagas/{shown['id']}/why", "/v1/events", "/v1/health", "/v1/doctor", "/v1/resources", "/v1/audit/events",
        )
    ]  # fmt: skip
    content = page.read_text()
    page.unlink()
    assert sagactl(daemon, "backup", tmp_path / "backup.tar").returncode == 0
    rolled = daemon.say(shown["id"], "rollback")[1]["saga"]["id"]
    daemon.wait_ended(rolled)

    assert content == f"token={VALUE}"
    assert [text for text in told if VALUE in text] == []
    assert "${secret.token}" in told[0]
    assert big.read_text().count(VALUE) == 1
    big.unlink()
    assert leaks(tmp_path) == ["token"]


@pytest.mark.parametrize("do", ["local.file.put", "local.directory.create", "local.symlink.create"])
def test_no_resource_is_named_by_a_secret(daemon: Daemon, do: str) -> None:
    """What names it is on record as it is, so the file is refused, at its place."""
    more = {"local.file.put": {"content": "x"}, "local.symlink.create": {"target": "/srv"}}.get(do, {})
    step = {"name": "one", "do": do, "with": {"path": f"{daemon.folder}/x-${{secret.token}}", **more}}
    status, said = daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": saga("named", [step])})

    assert status == 422, said
    assert said["errors"][0]["where"] == "steps[0].with.path"
    assert "`${secret.token}` cannot be in what says which resource is meant" in said["errors"][0]["problem"]


def test_a_secret_that_a_text_was_cut_through_is_not_even_there_in_part(daemon: Daemon) -> None:
    """Of a long output the middle is left out, of an error's text the beginning."""
    reference, part = "${secret.token}", len(VALUE) - 1
    print_ = f"import sys; dots = '.' * (32 * 1024 - {part}); t = sys.argv[1]"
    said = f"{print_}; print(dots + t + dots + t + dots, end='')"
    fails = f"{print_}; sys.stderr.write(t + '.' * (2000 - {part})); sys.exit(3)"
    steps = [run("said", "python3", "-c", said, reference), run("fails", "python3", "-c", fails, reference)]
    shown = daemon.submit(saga("cut", steps, on_failure="stop"))
    out, error = shown["steps"][0]["output"]["stdout"], shown["error"]["message"]

    assert "sagad cut" in out
    assert "sagad cut" in error
    assert [text for text in (out, error) if VALUE[:4] in text or VALUE[-4:] in text] == []


@pytest.mark.parametrize(
    "name",
    ["other", "../state/node.key", "../secrets/token", "token/..", "/etc/passwd", "token\0", ".hidden", ""],
)
def test_a_secret_that_was_not_given_cannot_be_read(daemon: Daemon, name: str) -> None:
    """A name is no path; what is not in the folder is nowhere."""
    (daemon.folder / "secrets" / ".hidden").write_text("hidden-value")
    step = run("said", "echo", f"${{secret.{name}}}")
    status, said = daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": saga("curious", [step])})

    assert status == 422 or said["status"] == "rolled_back", said
    assert "hidden-value" not in json.dumps(said)


@pytest.mark.parametrize("reference", ["${env.HOME}", "${secret}", "${inputs.__class__}", "${saga.__init__}"])
def test_no_reference_leads_into_the_daemon(daemon: Daemon, reference: str) -> None:
    """There are inputs, steps, self, saga and secret, and nothing of the program's own."""
    step = {"name": "say", "do": "test.echo", "with": {"message": reference}}
    status, said = daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": saga("curious", [step])})

    assert status == 422, said


def test_a_command_does_not_see_the_environment_of_whoever_started_the_daemon(daemon: Daemon) -> None:
    """It has a small one of its own."""
    shown = daemon.submit(saga("looks", [run("env", "env")]))
    seen = dict(line.partition("=")[::2] for line in shown["steps"][0]["output"]["stdout"].splitlines())

    assert STARTERS not in json.dumps(shown)
    assert {
        name for name in seen if not re.fullmatch(r"PATH|LANG|HOME|SAGAD_EXECUTION|_|PWD|SHLVL", name)
    } == set()


def test_a_crash_leaves_nothing_of_the_memory_on_the_disk(daemon: Daemon) -> None:
    """No core, whatever whoever started it allows; and where a program is handed the core, nothing is in it."""
    assert daemon.process is not None
    process = Path(f"/proc/{daemon.process.pid}")
    limit = next(
        line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core file")
    )

    assert limit.split()[4] == "0"
    assert int((process / "coredump_filter").read_text(), 16) == 0
    assert (
        daemon.submit(saga("other", [run("said", "echo", "${secret.token}"), FAIL]))["status"]
        == "rolled_back"
    )
    assert daemon.state.stat().st_mode & 0o077 == 0
