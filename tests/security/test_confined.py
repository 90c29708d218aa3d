"""What a saga file asks for reaches nothing that the settings do not allow, whatever way it is put."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.folder import FAIL, saga

pytestmark = pytest.mark.slow

ECHO: dict[str, Any] = {"name": "echo", "do": "test.echo", "with": {"message": "hello"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a root, something outside of it, and a way from the one to the other."""
    made = tmp_path_factory.mktemp("confined")
    (made / "site").mkdir()
    (made / "outside").mkdir()
    (made / "outside" / "precious").write_text("precious")
    (made / "site" / "door").symlink_to(made / "outside")
    (made / "site" / "window").symlink_to(made / "outside" / "precious")
    return made


@pytest.fixture(scope="module")
def daemon(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A confined daemon."""
    settings = (
        f'[providers.local]\nroots = ["{folder / "site"}"]\n[providers.command]\nallow = ["/bin/echo"]\n'
        '[providers.http]\nallow = ["http://127.0.0.1:9/ok/"]\n'
    )
    with Daemon(tmp_path_factory.mktemp("daemon"), settings) as started:
        yield started


def outside(folder: Path) -> dict[str, str]:
    """Give what is outside."""
    return {path.name: path.read_text() for path in (folder / "outside").iterdir()}


def put(path: str, **more: Any) -> dict[str, Any]:
    """A step that writes there."""
    return {"name": "put", "do": "local.file.put", "with": {"path": path, "content": "taken", **more}}


PATHS = (
    "{0}/outside/precious", "{0}/site/../outside/precious", "{0}/site/door/precious", "{0}/site/door/new",
    "{0}/site/./door/../outside/precious", "{0}/sitex/new", "{0}", "{0}/site/..", "/etc/passwd", "relative",
    "{0}/site//..//outside/precious", "{0}/site/\0/new",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "how", ["said", "by an input", "by an output", "as a source", "as an undo", "as a hook"]
)
def test_no_path_leads_outside_the_roots(daemon: Daemon, folder: Path, path: str, how: str) -> None:
    """Refused beforehand where it can be known, else when it is resolved; and nothing outside has changed or leaked."""
    path = path.format(folder)
    before = outside(folder)
    inputs = {"path": path} if how == "by an input" else {}
    steps: list[dict[str, Any]] = {
        "said": [put(path)],
        "by an input": [put("${inputs.path}")],
        "by an output": [{**ECHO, "with": {"message": path}}, put("${steps.echo.message}")],
        "as a source": [
            {"name": "put", "do": "local.file.put", "with": {"path": f"{folder}/site/copy", "source": path}}
        ],
        "as an undo": [
            {**ECHO, "undo": {"do": "local.file.put", "with": {"path": path, "content": "x"}}},
            FAIL,
        ],
        "as a hook": [
            {
                **put(f"{folder}/site/page"),
                "hooks": {"applied": {"do": "local.file.put", "with": {"path": path, "content": "x"}}},
            }
        ],
    }[how]
    document = saga("leads-out", steps, **({"inputs": {"path": {"type": "string"}}} if inputs else {}))
    status, said = daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": document, "inputs": inputs})

    assert status == 422 or said["status"] in ("rolled_back", "failed"), said
    assert outside(folder) == before
    assert not (folder / "site" / "copy").exists()


def test_a_symlink_at_the_end_is_replaced_and_never_followed(daemon: Daemon, folder: Path) -> None:
    """What it points to is as it was."""
    window = folder / "site" / "window"
    for step in (
        put(str(window)),
        {
            "name": "put",
            "do": "local.file.put",
            "with": {"path": f"{folder}/site/copy", "source": str(window)},
        },
    ):
        daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": saga("through", [step])})

    assert outside(folder) == {"precious": "precious"}
    assert not (folder / "site" / "copy").exists() or (folder / "site" / "copy").read_text() != "precious"


def test_a_door_that_is_opened_and_shut_all_the_time_lets_nothing_through(
    daemon: Daemon, folder: Path
) -> None:
    """Between the look at a path and the write to it the folder is swapped for a symlink that leads outside."""
    real, link, gate = (folder / "site" / name for name in ("real", "link", "gate"))
    real.mkdir()
    link.symlink_to(folder / "outside")
    gate.mkdir()
    stop = threading.Event()

    def swap() -> None:
        """Give the name to the one and to the other, in turn."""
        while not stop.is_set():
            for each in (link, real):
                aside = gate.with_name("aside")
                gate.rename(aside)
                each.rename(gate)
                aside.rename(each)

    swapping = threading.Thread(target=swap)
    swapping.start()
    ends: list[int] = []
    try:
        for number in range(60):
            body = {"saga": saga("race", [put(f"{gate}/file{number}")])}
            ends.append(daemon.ask("POST", "/v1/sagas?wait=20s", body)[0])
    finally:
        stop.set()
        swapping.join()

    assert set(ends) == {201, 422}  # else the door was never open, or never shut
    assert outside(folder) == {"precious": "precious"}


def test_sagads_own_folders_are_no_sagas_whatever_the_roots(tmp_path: Path) -> None:
    """The key, the record and the secrets: neither read, nor written, nor removed along with what is around them."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "token").write_text("hush-hush")
    with Daemon(tmp_path, f'[secrets]\ndir = "{secrets}"\n') as daemon:
        (tmp_path / "link").symlink_to(daemon.state)
        copy = str(tmp_path / "copy")
        tries = [
            put(str(daemon.state / "node.key")),
            put(str(daemon.state / "sagad.db")),
            put(str(daemon.state / "new")),
            put(str(tmp_path / "link" / "node.key")),
            {
                "name": "put",
                "do": "local.file.put",
                "with": {"path": copy, "source": str(daemon.state / "node.key")},
            },
            {"name": "put", "do": "local.file.put", "with": {"path": copy, "source": str(secrets / "token")}},
            {"name": "rm", "do": "local.file.delete", "with": {"path": str(secrets / "token")}},
            {
                "name": "rm",
                "do": "local.directory.delete",
                "with": {"path": str(daemon.state), "recursive": True},
            },
            {
                "name": "rm",
                "do": "local.directory.delete",
                "with": {"path": str(tmp_path), "recursive": True},
            },
        ]
        said = [daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": saga("own", [step])}) for step in tries]
        key = (daemon.state / "node.key").stat()
        fine = daemon.submit(saga("beside", [put(copy)]))["status"]

    assert [status for status, _ in said] == [422] * len(tries)
    assert all("sagad's own" in answer["errors"][0]["problem"] for _, answer in said)
    assert (key.st_size, fine) == (32, "completed")


RUN = {"argv": ["/bin/sh", "-c", "touch {0}"]}


@pytest.mark.parametrize(
    "step",
    [
        {"do": "command.run", "with": RUN},
        {"do": "command.run", "with": {"argv": ["sh", "-c", "touch {0}"]}},
        {"do": "command.run", "with": {"argv": ["/bin/../bin/sh", "-c", "touch {0}"]}},
        {"do": "command.run", "with": {"argv": ["bin/sh", "-c", "touch {0}"]}},
        {"do": "command.run", "with": {"argv": ["${inputs.program}", "-c", "touch {0}"]}},
        {"do": "command.run", "with": {"argv": ["${steps.echo.message}", "-c", "touch {0}"]}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "hello"], "check": RUN["argv"]}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "hello"]}, "undo": {"do": "command.run", "with": RUN}},
        {"do": "test.echo", "with": {"message": "x"}, "undo": {"do": "command.run", "with": RUN}},
        {"do": "local.file.put", "with": {"path": "{1}/page", "content": "x"}, "hooks": {"applied": {"do": "command.run", "with": RUN}}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "x"], "env": {"LD_PRELOAD": "{1}/evil.so"}}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "x"], "env": {"PATH": "{1}"}}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "x"], "env": {"BASH_ENV": "{1}/evil"}}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "x"], "env": {"HOME": "{1}"}}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "x"], "env": {"PYTHONUSERBASE": "{1}"}}},
        {"do": "command.run", "with": {"argv": ["/bin/echo", "x"], "env": {"BROWSER": "/bin/sh -c {1}/evil"}}},
        {"do": "command.run", "with": {"argv": ["{1}/echo"]}},
    ],
)  # fmt: skip
def test_no_program_is_run_that_is_not_allowed(
    daemon: Daemon, folder: Path, tmp_path: Path, step: dict[str, Any]
) -> None:
    """By whatever name, in whatever place of the file, however it is resolved; an allowed one runs no other code."""
    shown, made = str(folder / "site"), tmp_path / "made"
    link = folder / "site" / "echo"
    if not link.is_symlink():
        link.symlink_to("/bin/sh")

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return value.replace("{0}", str(made)).replace("{1}", shown) if isinstance(value, str) else value

    echo = {**ECHO, "with": {"message": "/bin/sh"}}
    document = saga(
        "runs", [echo, {"name": "run", **filled(step)}, FAIL], inputs={"program": {"type": "string"}}
    )
    status, said = daemon.ask(
        "POST", "/v1/sagas?wait=20s", {"saga": document, "inputs": {"program": "/bin/sh"}}
    )

    assert status == 422 or said["error"]["step"] == "run", said
    assert not made.exists()


def test_an_allowed_program_is_run(daemon: Daemon) -> None:
    """Else the test above would prove nothing."""
    shown = daemon.submit(
        saga(
            "runs",
            [
                {
                    "name": "run",
                    "do": "command.run",
                    "with": {"argv": ["echo", "hello"], "env": {"LC_ALL": "C"}},
                }
            ],
        )
    )

    assert (shown["status"], shown["steps"][0]["output"]["stdout"]) == ("completed", "hello\n")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/", "http://127.0.0.1:9/ok/../admin", "http://127.0.0.1:9/ok/%2e%2e/admin",
        "http://127.0.0.1:9@example.net/ok/", "http://127.0.0.1:9.example.net/ok/", "http://[::1]:9/ok/",
        "https://127.0.0.1:9/ok/", "file:///etc/passwd", "http://127.0.0.1:9/okay",
    ],
)  # fmt: skip
def test_no_address_is_asked_that_is_not_allowed(daemon: Daemon, url: str) -> None:
    """However it is written."""
    step = {"name": "ask", "do": "http.request", "with": {"method": "GET", "url": url}}
    status, _ = daemon.ask("POST", "/v1/sagas?wait=20s", {"saga": saga("asks", [step])})

    assert status == 422
