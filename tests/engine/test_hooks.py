"""Hooks, through the socket: a key that is handed over, an app that is replaced, and what becomes of both if that fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.engine.test_run import echo, fail, put, sleep, statuses, why
from tests.faults.folder import saga


class Site:
    """A service that gives out keys, and an app that is told which one to use, and is well or not."""

    def __init__(self) -> None:
        self.keys = {"1": "old"}
        self.used = "1"
        self.status = 200
        """What the app answers with."""
        self.asked: list[tuple[str, str, str]] = []
        """Method, path and idempotency key of each request."""
        self.open = threading.Event()
        """While it is not set, the app does not answer."""
        self.open.set()
        self.address = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        """Do what is asked."""
        if path.startswith("/keys"):
            return self._answer_keys(method, path.rpartition("/")[2])
        self.open.wait(20)
        if self.status == 200 and method in ("PUT", "POST"):
            self.used = body["key"]
        return self.status, {"used": self.used}

    def _answer_keys(self, method: str, key: str) -> tuple[int, dict[str, Any]]:
        if method == "DELETE":
            return (200 if self.keys.pop(key, None) else 404), {}
        key = str(len(self.keys) + 1)
        self.keys[key] = "new"
        return 201, {"id": key}

    @property
    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [f"{method} {path}" for method, path, _ in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Asks the site."""

    site: Site

    def handle_any(self) -> None:
        """Note the request and answer it."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        self.site.asked.append((self.command, self.path, self.headers.get("Idempotency-Key", "")))
        status, answer = self.site.answer(self.command, self.path, body)
        encoded = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        with suppress(BrokenPipeError):  # whoever asked was killed
            self.wfile.write(encoded)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a site, and end it."""
    made = Site()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": made})) as server:
        made.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.open.set()
        server.shutdown()
        thread.join()


def request(site: Site, method: str, path: str, **more: Any) -> dict[str, Any]:
    """A request, as the operation of a step, a hook or an undo."""
    return {"do": "http.request", "with": {"method": method, "url": f"{site.address}{path}", **more}}


def rotation(site: Site, method: str = "PUT") -> list[dict[str, Any]]:
    """Make a new key, hand it over, delete the old one."""
    new = {
        "name": "new",
        **request(site, "POST", "/keys", capture={"id": "id"}),
        "hooks": {"applied": request(site, method, "/app", json={"key": "${self.id}"})},
        "undo": request(site, "DELETE", "/keys/${self.id}"),
    }
    return [new, {"name": "old", **request(site, "DELETE", "/keys/1"), "undo": "none"}]


def types(daemon: Daemon, id: str) -> list[str]:
    """The types of its events, those of holds aside."""
    found = [event["type"] for event in daemon.events(id)]
    return [type_ for type_ in found if type_ not in ("saga.held", "saga.released")]


def test_a_key_is_handed_over_before_the_old_one_is_deleted(daemon: Daemon, site: Site) -> None:
    """The hook is an execution of its own, and no step."""
    document = daemon.submit(saga("rotate", rotation(site)))
    executions = daemon.executions(document["id"])

    assert (document["status"], statuses(document)) == ("completed", ["completed", "completed"])
    assert site.methods == ["POST /keys", "PUT /app", "DELETE /keys/1"]
    assert (site.keys, site.used) == ({"2": "new"}, "2")
    assert [(each["step"], each["direction"], each["nature"]) for each in executions] == [
        ("new", "forward", "forward"),
        ("new", "hook", "forward"),
        ("old", "forward", "forward"),
    ]
    assert len({key for _, _, key in site.asked}) == 3
    assert types(daemon, document["id"])[:6] == [
        "saga.submitted", "step.started", "step.succeeded", "hook.started", "hook.succeeded", "step.started",
    ]  # fmt: skip


def test_a_key_that_cannot_be_handed_over_is_deleted_again_and_the_old_one_is_still_there(
    daemon: Daemon, site: Site
) -> None:
    """At once: the saga turns only then."""
    site.status = 409
    document = daemon.submit(saga("rotate", [echo("first"), *rotation(site)]))

    assert (document["status"], statuses(document)) == (
        "rolled_back",
        ["compensated", "compensated", "skipped"],
    )
    assert document["error"]["code"] == "hook_failed"
    assert document["error"]["step"] == "new"
    assert document["error"]["message"].startswith("the hook http.request of step new failed: ")
    assert document["steps"][1]["error"]["code"] == "hook_failed"
    assert document["left_behind"] == []
    assert (site.keys, site.used) == ({"1": "old"}, "1")
    assert site.methods == ["POST /keys", "PUT /app", "DELETE /keys/2"]
    assert types(daemon, document["id"])[-7:] == [
        "hook.failed", "undo.started", "undo.succeeded", "saga.turned_back",
        "undo.started", "undo.succeeded", "saga.rolled_back",
    ]  # fmt: skip


def files(site: Site, folder: Path) -> dict[str, Any]:
    """The same with keys in files, and a hook of the whole file."""
    (folder / "old.key").write_text("old")
    steps = [
        put("new", folder / "new.key", "new"),
        {"name": "old", "do": "local.file.delete", "with": {"path": str(folder / "old.key")}},
    ]
    hook = request(site, "PUT", "/app", json={"key": "${self.path}"})
    return saga("rotate-file", steps, hooks={"applied": hook})


def test_the_files_hook_is_for_what_was_made_and_not_for_what_was_deleted(
    daemon: Daemon, site: Site, tmp_path: Path
) -> None:
    """`applied` is not `deleted`."""
    document = daemon.submit(files(site, tmp_path))

    assert document["status"] == "completed"
    assert (site.methods, site.used) == (["PUT /app"], str(tmp_path / "new.key"))
    assert [path.name for path in tmp_path.iterdir()] == ["new.key"]


@pytest.mark.parametrize("on_failure", ["compensate", "stop"])
def test_a_file_whose_hook_fails_is_gone_again(
    daemon: Daemon, site: Site, tmp_path: Path, on_failure: str
) -> None:
    """Whatever `on_failure` says of the rest."""
    site.status = 403
    document = daemon.submit({**files(site, tmp_path), "on_failure": on_failure})

    assert document["status"] == ("rolled_back" if on_failure == "compensate" else "failed")
    assert document["error"]["code"] == "hook_failed"
    assert statuses(document) == ["compensated", "skipped"]
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.key", "old")]


def releases(folder: Path) -> Path:
    """Two releases, and a link to the first."""
    for name in ("1", "2"):
        (folder / name).mkdir()
    (folder / "current").symlink_to(folder / "1")
    return folder / "current"


def release(site: Site, link: Path, **more: Any) -> dict[str, Any]:
    """Have the link point to the second release, if the app is well then."""
    step = {
        "name": "app",
        "do": "local.symlink.update",
        "with": {"path": str(link), "target": str(link.parent / "2")},
        "retry": {"attempts": 2, "delay": "10ms"},
        "hooks": {"applied": request(site, "GET", "/health", expect=[200])},
    }
    return saga("release", [step, echo("announce", "${steps.app.path}")], **more)


def test_an_app_that_is_not_well_has_its_former_release_back(
    daemon: Daemon, site: Site, tmp_path: Path
) -> None:
    """The health check has the step's attempts; the announcement is not made."""
    link = releases(tmp_path)
    site.status = 503
    document = daemon.submit(release(site, link))

    assert (document["status"], statuses(document)) == ("rolled_back", ["compensated", "skipped"])
    assert document["error"]["code"] == "hook_failed"
    assert link.readlink() == tmp_path / "1"
    assert site.methods == ["GET /health"] * 2


def test_an_app_that_is_not_well_is_asked_about_and_released_anew(
    daemon: Daemon, site: Site, tmp_path: Path
) -> None:
    """`on_failure: hold`: it is put back all the same, and `retry` begins with the step."""
    link = releases(tmp_path)
    site.status = 503
    held = daemon.submit(release(site, link, on_failure="hold"))
    assert (held["hold"]["reason"], statuses(held)[0], link.readlink()) == (
        "attention",
        "compensated",
        tmp_path / "1",
    )
    site.status = 200
    daemon.say(held["id"], "retry")
    document = daemon.wait_ended(held["id"])
    generations = [
        each["generation"] for each in daemon.executions(held["id"]) if each["operation"] == "http.request"
    ]

    assert (document["status"], link.readlink()) == ("completed", tmp_path / "2")
    assert generations == [1, 2]


def test_what_the_hook_is_at_is_shown_and_said(daemon: Daemon, site: Site, tmp_path: Path) -> None:
    """The step is running with its output; what needs it has not started."""
    site.open.clear()
    document = daemon.submit(release(site, releases(tmp_path)), wait=None)
    daemon.wait_until(lambda: bool(site.asked), 5, "the app is asked")
    document = daemon.saga(document["id"])
    sentence = why(daemon, document)
    site.open.set()

    assert statuses(document) == ["running", "pending"]
    assert document["steps"][0]["output"]["path"] == str(tmp_path / "current")
    assert "the hook of step app is running since" in sentence
    assert daemon.wait_ended(document["id"])["status"] == "completed"


def test_an_unknown_hook_is_asked_about_and_resolved(daemon: Daemon, site: Site) -> None:
    """A POST whose answer is an error of the server: perhaps it was handed over, perhaps not."""
    site.status = 500
    held = daemon.submit(saga("rotate", rotation(site, "POST")))
    sentence = why(daemon, held)
    status, answer = daemon.say(held["id"], "resolve", step="new", output={"status": "204"}, **{"as": "done"})
    document = daemon.wait_ended(held["id"])

    assert (held["hold"]["reason"], statuses(held)[0]) == ("attention", "unknown")
    assert "nobody knows whether the hook of step new was done" in sentence
    assert (status, answer["detail"]) == (200, "the hook of step new is resolved as done")
    assert document["status"] == "completed"
    assert document["steps"][0]["output"]["id"] == "2", "the step's own, and not the hook's"


def test_a_cancel_while_the_step_runs_has_no_hook_started(daemon: Daemon, site: Site) -> None:
    """The step's result counts, and is taken back."""
    step = sleep("one", "300ms")
    made = {
        **echo("two"),
        "hooks": {"applied": request(site, "PUT", "/app", json={"key": "2"})},
        "needs": [],
    }
    document = daemon.submit(saga("cancelled", [step, {**made, "needs": ["one"]}]), wait=None)
    daemon.say(document["id"], "cancel")
    document = daemon.wait_ended(document["id"])

    assert (document["status"], site.asked) == ("rolled_back", [])


def test_a_hook_killed_with_the_daemon_is_repeated_with_its_key(tmp_path: Path, site: Site) -> None:
    """The step itself is not; and its end is the one that it would have had."""
    site.open.clear()
    with Daemon(tmp_path) as daemon:
        id_ = daemon.submit(saga("rotate", rotation(site)), wait=None)["id"]
        daemon.wait_until(lambda: "PUT /app" in site.methods, 5, "the app is told")
        daemon.kill()
        site.open.set()
        daemon.start()
        document = daemon.wait_ended(id_)
        told = [key for method, _, key in site.asked if method == "PUT"]

    assert (document["status"], site.keys, site.used) == ("completed", {"2": "new"}, "2")
    assert site.methods == ["POST /keys", "PUT /app", "PUT /app", "DELETE /keys/1"]
    assert len(set(told)) == 1


def test_a_repeated_hook_that_fails_is_asked_about_before_its_step_is_undone(
    tmp_path: Path, site: Site
) -> None:
    """The one that was killed may have handed the key over, whatever the next one says."""
    site.open.clear()
    with Daemon(tmp_path) as daemon:
        id_ = daemon.submit(saga("rotate", rotation(site)), wait=None)["id"]
        daemon.wait_until(lambda: "PUT /app" in site.methods, 5, "the app is told")
        daemon.kill()
        site.status = 409
        site.open.set()
        daemon.start()
        held = daemon.wait_ended(id_)
        sentence = why(daemon, held)
        daemon.say(id_, "resolve", step="new", **{"as": "failed"})
        document = daemon.wait_ended(id_)

    assert (statuses(held), held["hold"]["reason"]) == (["unknown", "pending"], "attention")
    assert "nobody knows whether the hook of step new was done" in sentence
    assert (document["status"], document["error"]["code"]) == ("rolled_back", "hook_failed")
    assert (site.keys, site.used) == ({"1": "old"}, "1")


def test_a_health_check_killed_with_the_daemon_is_made_again_and_its_answer_counts(
    tmp_path: Path, site: Site
) -> None:
    """It changes nothing, so nobody has to be asked; the release is put back."""
    link = releases(tmp_path)
    site.open.clear()
    with Daemon(tmp_path) as daemon:
        id_ = daemon.submit(release(site, link), wait=None)["id"]
        daemon.wait_until(lambda: bool(site.asked), 5, "the app is asked")
        there = link.readlink()
        daemon.kill()
        site.status = 404
        site.open.set()
        daemon.start()
        document = daemon.wait_ended(id_)

    assert there == tmp_path / "2"
    assert (document["status"], document["error"]["code"]) == ("rolled_back", "hook_failed")
    assert link.readlink() == tmp_path / "1"


def test_what_is_approved_is_the_step_with_its_hook(daemon: Daemon) -> None:
    """Another hook is another hash."""
    hooks = [{"applied": {"do": "test.echo", "with": {"message": message}}} for message in ("a", "b")]
    hashes = []
    for hook in hooks:
        document = daemon.submit(
            {"saga": "careful", "policy": {"approve": "each"}, "steps": [{**echo("one"), "hooks": hook}]}
        )
        (asked,) = [event for event in daemon.events(document["id"]) if event["type"] == "approval.asked"]
        hashes.append(asked["data"]["hash"])
        daemon.say(document["id"], "reject")

    assert hashes[0] != hashes[1]


def test_a_hook_that_only_fails_is_named_with_its_reason(daemon: Daemon) -> None:
    """In one sentence."""
    failing = {"do": "test.fail", "with": {"kind": "error", "message": "not today"}}
    document = daemon.submit(saga("plain", [{**echo("one"), "hooks": {"applied": failing}}, fail("two")]))

    assert why(daemon, document).endswith("because the hook test.fail of step one failed: not today.")


EXAMPLE = Path(__file__).parents[2] / "examples" / "hooks.yaml"


@pytest.mark.parametrize(
    ("page", "status", "there"),
    [("<p>new</p></html>", "completed", "<p>new</p></html>"), ("<p>ne", "rolled_back", "old")],
)
def test_the_example_does_as_it_says(
    daemon: Daemon, tmp_path: Path, page: str, status: str, there: str
) -> None:
    """A page that is not whole is not there for longer than it takes to look."""
    (tmp_path / "index.html").write_text("old")
    body = {"source": EXAMPLE.read_text(), "format": "yaml", "inputs": {"dir": str(tmp_path), "page": page}}
    _, document = daemon.ask("POST", "/v1/sagas?wait=30s", body)

    assert document["status"] == status, document
    assert (tmp_path / "index.html").read_text() == there
    assert (tmp_path / "released.txt").exists() == (status == "completed")


def test_a_new_start_that_comes_to_nothing_leaves_the_earlier_one_as_it_was_on_record(
    daemon: Daemon, tmp_path: Path
) -> None:
    """It was done, and taken back: that the step cannot be prepared now is another matter."""
    file = tmp_path / "again"
    make = {"name": "one", "do": "local.file.create", "with": {"path": str(file), "content": "x"}}
    hooks = {"applied": {"do": "test.fail", "with": {}}}
    document = daemon.submit(saga("again", [{**make, "hooks": hooks}], on_failure="hold"))
    before = daemon.executions(document["id"])
    file.write_text("somebody else's")
    daemon.say(document["id"], "retry")
    daemon.wait_until(lambda: daemon.saga(document["id"])["hold"] is not None, 5, "it failed again")
    assert daemon.saga(document["id"])["steps"][0]["error"]["code"] == "exists"

    assert [each["status"] for each in before] == ["completed", "failed", "completed"]
    assert daemon.executions(document["id"]) == before
