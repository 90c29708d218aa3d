"""Words for values: times, shortened outputs, states."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import sagas, text
from orchestrator.cli.draw import columns, plain
from orchestrator.cli.events import event_line
from orchestrator.cli.executions import image_text
from orchestrator.cli.failures import finding
from orchestrator.cli.providers import declaration, outline
from orchestrator.cli.tree import tree


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0ms"),
        (0.0123, "12ms"),
        (1.25, "1.2s"),
        (10.4, "10s"),
        (59.9, "60s"),
        (60, "1m"),
        (3_599, "59m59s"),
        (3_600, "1h"),
        (11_520, "3h12m"),
        (200_000, "2d7h"),
    ],
)
def test_a_span_is_written_in_its_two_largest_units(seconds: float, expected: str) -> None:
    """Short enough for a column, exact enough to compare."""
    actual = text.span(seconds)

    assert actual == expected


def test_what_began_and_has_not_ended_has_been_taking_until_now() -> None:
    """A running step shows for how long; one that has not begun shows nothing."""
    assert text.took("1970-01-01T00:00:00Z", None, now=5.0) == "5.0s"
    assert text.took("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z") == "1m"
    assert text.took(None, None, now=5.0) == ""
    assert text.age("no time at all") == ""


@given(st.text(alphabet=st.characters(blacklist_categories=())))
def test_clean_text_cannot_steer_a_terminal(words: str) -> None:
    """Whatever a saga says, only printable characters, line breaks and tabs reach the terminal."""
    cleaned = text.clean(words)

    assert all(char.isprintable() or char in "\n\t" for char in cleaned)


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists), st.integers(2, 80))
def test_brief_is_one_line_of_at_most_so_much(value: Any, longest: int) -> None:
    """One printable line, whatever the value; only escapes may make it longer."""
    shown = text.brief(value, longest)

    assert "\n" not in shown.replace("\t", "")
    assert len(shown) <= longest * 10


def test_brief_says_that_it_has_cut() -> None:
    """What was left out shows as an ellipsis."""
    assert text.brief("x" * 10, 5) == "xxxx…"
    assert text.brief("x" * 5, 5) == "xxxxx"
    assert text.pairs({"a": 1, "b": "two\nlines"}) == "a=1 b=two\\nlines"


@pytest.mark.parametrize(
    ("saga", "code"),
    [
        ({"status": "completed"}, 0),
        ({"status": "rolled_back"}, 3),
        ({"status": "failed", "hold": None}, 4),
        ({"status": "running", "hold": None}, None),
        ({"status": "compensating", "hold": {"reason": "attention"}}, 5),
        ({"status": "running", "hold": {"reason": "lock"}}, None),
        ({"status": "running", "waiting": {"for": "timer"}}, None),
        ({"status": "a later version's"}, None),
    ],
)
def test_a_saga_is_settled_when_it_will_not_go_on_by_itself(saga: dict[str, Any], code: int | None) -> None:
    """The exit codes of SPEC §9, by status and hold."""
    actual = sagas.settled(saga)

    assert actual == code


def test_a_sagas_state_says_what_it_stands_for() -> None:
    """A hold comes before a wait, and neither is shown of a saga that has ended."""
    held = {"status": "running", "hold": {"reason": "paused"}, "waiting": {"for": "timer"}}

    assert sagas.state(held) == "running, on hold: paused"
    assert sagas.state(held | {"hold": None}) == "running, waiting: timer"
    assert sagas.state(held | {"status": "failed"}) == "failed"


def test_progress_counts_the_steps_that_stand() -> None:
    """Done and not undone; a list without steps shows none."""
    statuses = ["completed", "kept", "compensated", "pending", "skipped"]

    assert sagas.progress({"steps": [{"status": status} for status in statuses]}) == "2/5"
    assert sagas.progress({}) == ""


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("running", "s  k  running (1/3 steps)"),
        ("rolled_back", "s  k  rolled_back (3 steps, 2 taken back)"),
        ("failed", "s  k  failed (3 steps, 2 taken back)"),
    ],
)
def test_a_saga_that_turned_back_says_how_many_steps_were_taken_back(status: str, expected: str) -> None:
    """`0/5 steps` would read as if nothing had ever run."""
    statuses = ["compensated", "kept", "compensated"]

    saga = {"id": "s", "kind": "k", "status": status, "steps": [{"status": status} for status in statuses]}
    assert sagas.ending(saga) == expected


def test_a_saga_of_which_nothing_was_taken_back_says_so() -> None:
    """``on_failure: stop``."""
    assert (
        sagas.steps_text({"status": "failed", "steps": [{"status": "failed"}]}) == "1 step, none taken back"
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "step_failed", "message": "it broke", "step": "x"}, "step_failed in step x: it broke"),
        ({"code": "cancelled", "message": "cancelled by root: no", "step": None}, "cancelled by root: no"),
        ({"code": "lost", "message": ""}, "lost"),
        (None, ""),
    ],
)
def test_an_error_says_its_code_once(error: Any, expected: str) -> None:
    """A message that begins with the code is enough."""
    assert sagas.error_text(error) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"error": {"code": "exit_code", "message": "x" * 50}, "spent": 1}, f"spent=1 exit_code: {'x' * 50}"),
        ({"resource": {"type": "local.file", "name": "n", "path": "/srv/n"}}, "resource=/srv/n"),
        ({"resource": {"type": "digitalocean.domain", "name": "n"}}, "resource=digitalocean.domain n"),
        ({"due": 1_795_261_512_426, "payload": "ab" * 32}, "due=2026-11-21T11:45:12Z"),
        ({"deadline": 10**18, "plan": "ab" * 32, "inputs": "cd" * 32}, f"deadline={10**18}"),
        ({"direction": "undo", "step": 2, "generation": 1}, "generation=1"),
        ({"reason": "attention", "detail": "y" * 120}, f"reason=attention detail={'y' * 99}…"),
    ],
)
def test_an_events_line_is_for_reading(data: Any, expected: str) -> None:
    """No JSON, no milliseconds since 1970, no digests: those are in -o json."""
    line = plain(event_line({"seq": 1, "at": None, "type": "undo.started", "step": None, "data": data}))

    assert line.partition("undo.started")[2].strip() == expected


def test_a_tree_leaves_out_what_says_nothing() -> None:
    """Outputs that are empty, and the name of a resource that there is none of."""
    output = {"exit_code": 0, "stdout": "", "stderr": ""}
    step = {"name": "r", "do": "command.run", "status": "kept", "output": output}
    left = [{"step": "r", "resource": None, "why": "undo: none"}]

    lines = [plain(line) for line in tree({"steps": [step], "left_behind": left}, unicode=False)]
    assert lines[-4:] == [
        "`- = r  command.run  kept",
        "       exit_code=0",
        "left behind:",
        "  r: undo: none",
    ]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"where": "4:3: steps[0]", "problem": "p", "hint": "h"}, "a.yaml:4:3: steps[0]: p — h"),
        ({"where": "7", "problem": "p"}, "a.yaml:7: p"),
        ({"where": "inputs.page", "problem": "p", "hint": ""}, "inputs.page: p"),
        ({"where": "a.yaml:4:3: x", "problem": "p"}, "a.yaml:4:3: x: p"),
        ({"problem": "p"}, "p"),
        ("only words", "only words"),
    ],
)
def test_a_place_in_the_file_gets_the_files_name(found: Any, expected: str) -> None:
    """The daemon never learns it; sagactl knows, and editors jump to it."""
    actual = finding(found, "a.yaml")

    assert actual == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (None, "?"),
        ({"exists": False}, "absent"),
        ({"exists": True, "fields": {"mode": "0640"}}, "present"),
        ({"digest": "0123456789abcdef"}, "0123456789"),
        ({"blobs": {"content": {"sha256": "f" * 64}}}, "f" * 10),
    ],
)
def test_an_image_is_named_by_its_digest(image: Any, expected: str) -> None:
    """Enough to see whether two are the same."""
    assert image_text(image) == expected


def test_columns_are_aligned_and_end_where_their_words_do() -> None:
    """Two spaces between, none at the end."""
    assert columns([["A", "B"], ["long", ""], ["x", "yy"]]) == ["A     B", "long", "x     yy"]


def test_a_declaration_is_a_few_lines_for_each_verb() -> None:
    """What it takes and gives, how it is undone, and what happens when the daemon dies in the middle of it."""
    verb = {
        "summary": "Make it",
        "arguments": {
            "path": {"type": "string", "required": True},
            "mode": {"type": "string or null", "required": False},
            "cwd": {"type": "string", "required": False, "default": "/"},
        },
        "outputs": {"path": "string", "size": "integer"},
        "changes": True,
        "inverse": "put_back",
        "compensable": True,
        "repeat": "find",
        "finds": True,
        "settle": 0,
        "may_end": ["partial"],
    }
    timer = {"summary": "Wait", "changes": False, "inverse": "none", "open_outputs": True, "timeout": 1_500}
    about = {
        "type": "t",
        "version": "1.0",
        "summary": "A t",
        "verbs": {"make": verb, "wait": timer},
        "new": 7,
    }

    assert [plain(line) for line in declaration(about)] == [
        "t  1.0  A t",
        "",
        "make  Make it",
        "  with     path: string, [mode: string], [cwd: string = /]",
        "  gives    path: string, size: integer",
        "  undo     put back",
        "  crash    found out",
        "  may_end  partial",
        "",
        "wait  Wait",
        "  gives    and what is asked for",
        "  undo     nothing to undo",
        "  crash    safe to repeat",
        "  timeout  1.5s",
        "",
        "new: 7",
    ]


@pytest.mark.parametrize(
    ("verb", "undo", "crash"),
    [
        ({"repeat": "no"}, "what the step's own `undo` says", "you are asked, unless the step says"),
        ({"irreversible": True, "repeat": "token"}, "none: it is irreversible", "safe to repeat"),
    ],
)
def test_a_verb_without_a_way_back_says_so(verb: dict[str, Any], undo: str, crash: str) -> None:
    """``inverse: none``, ``finds: no`` would have to be looked up."""
    lines = [plain(line) for line in declaration({"type": "t", "verbs": {"v": {"changes": True, **verb}}})]

    assert lines[-2] == f"  undo     {undo}"
    assert lines[-1].startswith(f"  crash    {crash}")


def test_an_outline_shows_what_it_does_not_know() -> None:
    """A later driver may declare more; what is empty is left out."""
    declared = {"type": "t", "verbs": {"v": {"changes": True, "timeout": None, "may_end": ["partial"]}}}

    lines = ["".join(words for words, _ in line) for line in outline(declared)]
    assert lines == ["type: t", "verbs:", "  v:", "    changes: yes", "    may_end:", "      - partial"]
