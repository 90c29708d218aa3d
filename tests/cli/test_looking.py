"""The commands that read: what they ask for, and how the answer looks where no terminal is."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Sagactl
from tests.cli.standin import ID, Run, StandIn, saga_document

pytestmark = pytest.mark.slow


def test_ls_asks_for_what_it_was_told(daemon: StandIn, sagactl: Sagactl) -> None:
    """Filters are the daemon's to apply; what was not given is not sent."""
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [], "next": None}))
    sagactl("ls", "--status", "failed", "--kind", "k", "--label", "a=b c", "--label", "d=e", "--hold", "lock")
    assert daemon.last.target == "/v1/sagas?status=failed&kind=k&label=a%3Db+c&label=d%3De&hold=lock"

    sagactl("ls")
    assert daemon.last.target == "/v1/sagas"


def test_an_empty_list_is_no_error(daemon: StandIn, sagactl: Sagactl) -> None:
    """Nothing found is an answer: nothing on paper, an empty list in JSON, exit 0."""
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [], "next": None}))

    ended = sagactl("ls")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert json.loads(sagactl("ls", "-o", "json").stdout) == {"sagas": [], "next": None}


def test_ls_is_a_table_whose_columns_are_never_cut(daemon: StandIn, sagactl: Sagactl) -> None:
    """What a script reads is whole, however narrow 80 columns are."""
    long = "a reason that is rather long, " * 2
    held = saga_document(hold={"reason": "attention"}, reason=long.strip(), labels={"site": "harbour"})
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [held, saga_document(status="completed")], "next": None}))
    head, first, second = sagactl("ls").stdout.splitlines()

    assert head.split() == ["ID", "KIND", "STATUS", "STEPS", "AGE", "REASON", "LABELS"]
    assert first.startswith(f"{ID}  publish-site  running, on hold: attention  1/2")
    assert long.strip() in first
    assert first.endswith("site=harbour")
    assert second.split()[2] == "completed"


def test_ls_reads_pages_until_the_limit_is_reached(daemon: StandIn, sagactl: Sagactl) -> None:
    """The daemon may give less at a time than was asked for; the list that is printed is one."""
    pages = [{"sagas": [saga_document(id=f"saga{n}")] * 2, "next": f"after{n}"} for n in range(3)]
    daemon.on("GET", "/v1/sagas", *((200, page) for page in pages))
    ended = sagactl("ls", "-q", "--limit", "5")

    asked = [request.target.partition("?")[2] for request in daemon.requests]
    assert ended.stdout.split() == ["saga0", "saga0", "saga1", "saga1", "saga2", "saga2"]
    assert asked == ["limit=5", "cursor=after0&limit=3", "cursor=after1&limit=1"]


def test_pages_are_one_document_in_json(daemon: StandIn, sagactl: Sagactl) -> None:
    """Several pages have the shape of one."""
    one, two = saga_document(id="one"), saga_document(id="two")
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [one], "next": "c"}), (200, {"sagas": [two], "next": None}))

    assert json.loads(sagactl("ls", "-o", "json", "--limit", "9").stdout) == {
        "sagas": [one, two],
        "next": None,
    }


def test_what_ls_leaves_out_is_said(daemon: StandIn, sagactl: Sagactl) -> None:
    """A list that was cut says so, and how to read on."""
    daemon.on("GET", "/v1/sagas", (200, {"sagas": [saga_document()], "next": "c9"}))

    assert "--cursor c9" in sagactl("ls").stderr
    assert sagactl("ls", "-o", "json").stderr == ""


def test_show_is_a_tree(daemon: StandIn, sagactl: Sagactl) -> None:
    """What the saga is, each step with its mark and word, and what is left behind; plain text away from a terminal."""
    left = [{"step": "one", "resource": {"type": "local.file", "name": "/srv/x"}, "why": "kept"}]
    error = {"code": "step_failed", "message": "exit code 1", "step": "two"}
    Run(daemon, status="failed", error=error, left_behind=left, inputs={"page": "hello"})
    lines = sagactl("show", ID).stdout.splitlines()

    assert lines[0] == f"{ID}  publish-site  failed"
    assert "  inputs:    page=hello" in lines
    assert "  error:     step_failed in step two: exit code 1" in lines
    assert lines[-4:] == [
        "├─ ✓ one  test.echo  completed",
        "└─ ▸ two  test.echo  running",
        "left behind:",
        "  one  local.file /srv/x: kept",
    ]


def test_a_tree_in_an_ascii_locale_is_ascii(daemon: StandIn, sagactl: Sagactl) -> None:
    """Python writes UTF-8 in the C locale; the terminal that is in it cannot show it."""
    Run(daemon)
    out = sagactl("show", ID, LC_ALL="C").stdout

    assert out.isascii()
    assert "|- + one" in out


def test_words_that_the_locale_cannot_write_are_escaped(daemon: StandIn, sagactl: Sagactl) -> None:
    """A saga's own words must not break the command that shows them."""
    run = Run(daemon, kind="Häfen-港")
    daemon.on("GET", f"/v1/sagas/{ID}", (200, json.dumps(run.saga, ensure_ascii=False).encode()))

    assert "H\\xe4fen-\\u6e2f" in sagactl("show", ID, PYTHONIOENCODING="ascii").stdout
    assert json.loads(sagactl("show", ID, "-o", "json", PYTHONIOENCODING="ascii").stdout) == run.saga


def test_why_is_a_sentence(daemon: StandIn, sagactl: Sagactl) -> None:
    """The sentence is the daemon's; it is data."""
    Run(daemon).why = "waiting for the timer of step two"

    assert sagactl("why", ID).stdout == "waiting for the timer of step two\n"
    assert json.loads(sagactl("why", ID, "-o", "json").stdout) == {"why": "waiting for the timer of step two"}


def test_events_are_read_to_the_last_page(daemon: StandIn, sagactl: Sagactl) -> None:
    """A long history is read whole, in lines or as one document."""
    run = Run(daemon)
    for number in range(5):
        run.happens("step.started", step=f"s{number}")

    assert [line.split()[4] for line in sagactl("events", ID).stdout.splitlines()] == [
        "s0",
        "s1",
        "s2",
        "s3",
        "s4",
    ]
    assert json.loads(sagactl("events", ID, "-o", "json").stdout) == {"events": run.events}
    assert sagactl("events", ID, "--after", "3", "-q").stdout.split() == ["4", "5"]


def test_executions_are_linked_both_ways(daemon: StandIn, sagactl: Sagactl) -> None:
    """Who undid whom, and what the resource was before and after, can be read off one table."""
    digest = {
        "exists": True,
        "fields": {"mode": "0640"},
        "blobs": {"content": {"sha256": "ab" * 32, "size": 3}},
    }
    forward = {
        "id": "f",
        "step": "one",
        "nature": "forward",
        "generation": 1,
        "operation": "local.file.create",
    }
    forward |= {"before": {"exists": False}, "after": digest, "compensates": None, "compensated_by": ["r"]}
    restore = forward | {"id": "r", "nature": "restore", "before": digest, "after": {"exists": False}}
    restore |= {"compensates": "f", "compensated_by": []}
    daemon.on("GET", f"/v1/sagas/{ID}/executions", (200, {"executions": [forward, restore]}))
    _, first, second = sagactl("executions", ID).stdout.splitlines()

    assert "absent -> ababababab" in first
    assert "undone by r" in first
    assert "ababababab -> absent" in second
    assert "undoes f" in second


def test_the_execution_of_a_hook_is_told_from_that_of_its_step(daemon: StandIn, sagactl: Sagactl) -> None:
    """Both go forward."""
    own = {"id": "f", "step": "one", "direction": "forward", "nature": "forward", "status": "completed"}
    hook = own | {"id": "h", "direction": "hook"}
    daemon.on("GET", f"/v1/sagas/{ID}/executions", (200, {"executions": [own, hook]}))
    _, *lines = sagactl("executions", ID).stdout.splitlines()

    assert [line.split()[:3] for line in lines] == [["f", "one", "forward"], ["h", "one", "hook"]]


def test_executions_leave_out_the_columns_that_say_nothing(daemon: StandIn, sagactl: Sagactl) -> None:
    """A number that is 1 in every row, links and errors that there are none of."""
    one = {
        "id": "f",
        "step": "one",
        "nature": "forward",
        "generation": 1,
        "attempts": 1,
        "status": "completed",
    }
    daemon.on(
        "GET",
        f"/v1/sagas/{ID}/executions",
        (200, {"executions": [one]}),
        (200, {"executions": [one, one | {"attempts": 3}]}),
        (200, {"executions": []}),
    )

    assert sagactl("executions", ID).stdout.splitlines()[0].split() == ["ID", "STEP", "NATURE", "STATUS"]
    assert sagactl("executions", ID).stdout.splitlines()[0].split()[-1] == "TRIES"
    assert sagactl("executions", ID).stdout == ""


def test_providers_in_a_table_and_one_in_full(daemon: StandIn, sagactl: Sagactl) -> None:
    """All types at a glance; one with everything that its driver declares."""
    verb = {"summary": "Make it", "inverse": "delete", "compensable": True}
    file = {
        "type": "local.file",
        "version": "1.0",
        "summary": "A file.",
        "undo_policy": {
            "driver": "required",
            "node": "hold",
            "effective": "required",
            "asks_first": True,
        },
        "verbs": {"create": verb, "delete": verb},
    }
    daemon.on("GET", "/v1/providers", (200, {"providers": [file]}))

    assert sagactl("providers").stdout.splitlines()[1].split() == [
        "local.file",
        "1.0",
        *["required", "and", "asks", "first"],
        "create,",
        "delete",
        "A",
        "file.",
    ]
    assert "  undo     delete" in sagactl("providers", "local.file").stdout.splitlines()
    assert (
        "policy  undo required and asks first (driver: required, node: hold); a saga file can only tighten it"
        in sagactl("providers", "local.file").stdout.splitlines()
    )
    assert json.loads(sagactl("providers", "local.file", "-o", "json").stdout) == file
    assert sagactl("providers", "local", "-q").stdout.splitlines() == ["local.file"]
    assert json.loads(sagactl("providers", "local", "-o", "json").stdout) == [file]
    assert sagactl("providers", "local").stdout == sagactl("providers").stdout
    missing = sagactl("providers", "local.fil")
    assert missing.returncode == 6
    assert "did you mean `local.file`?" in missing.stderr


def test_api_sends_anything_and_prints_what_comes(daemon: StandIn, sagactl: Sagactl) -> None:
    """For what has no verb: any method, body and header; the body as it comes, the exit code by the status."""
    daemon.on("PUT", "/v1/x", (200, b'{"a": 1}'))
    ended = sagactl("api", "put", "v1/x", "-d", '{"b": 2}', "-H", "X-Y: z")
    assert (ended.returncode, ended.stdout) == (0, '{"a": 1}\n')
    assert daemon.last.document == {"b": 2}
    assert daemon.last.headers["X-Y"] == "z"

    sagactl("api", "PUT", "/v1/x", "-d", "-", stdin="[]")
    assert daemon.last.document == []
    daemon.on("GET", "/v1/y", (409, b'{"detail": "no"}'))
    refused = sagactl("api", "GET", "/v1/y")
    assert (refused.returncode, refused.stdout) == (7, '{"detail": "no"}\n')
    assert sagactl("api", "GET", "/v1/a b").returncode == 2


def test_drain_says_what_was_done(daemon: StandIn, sagactl: Sagactl) -> None:
    """It is posted."""
    daemon.on("POST", "/v1/drain", (200, {}), (200, {"detail": "it is done"}))

    assert sagactl("drain").stdout == "drained\n"
    assert sagactl("drain").stdout == "it is done\n"


def test_reload_says_what_changed_and_what_has_to_wait(daemon: StandIn, sagactl: Sagactl) -> None:
    """An operator who changed what only a start reads must not think that it holds."""
    late = {"changed": ["access", "providers"], "needs_restart": ["[daemon] socket_mode"]}
    daemon.on("POST", "/v1/reload", (200, {"changed": [], "needs_restart": []}), (200, late))
    nothing, something = sagactl("reload"), sagactl("reload")

    assert (nothing.stdout, nothing.stderr) == ("reloaded: nothing changed\n", "")
    assert something.stdout == "reloaded: [access], [providers] changed\n"
    assert something.stderr == "warning: [daemon] socket_mode counts from the next start of sagad on\n"
