"""The table of commands, the options that may stand anywhere, and the stream's format."""

from __future__ import annotations

from importlib.metadata import version

import click
import pytest

from orchestrator import VERSION
from orchestrator.cli.app import COMMANDS, program
from orchestrator.cli.follow import messages
from orchestrator.cli.tree import MARKS
from orchestrator.cli.waiting import bound_wait


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_says_of_each_command_what_the_command_says_of_itself(name: str) -> None:
    """The help does not load the commands, so their lines stand in two places."""
    command = program.get_command(click.Context(program), name)

    assert command is not None
    assert command.name == name
    assert (command.help or "").splitlines()[0] == COMMANDS[name].summary


def test_the_version_is_the_packages() -> None:
    """It is written out because looking it up takes longer than a request."""
    assert version("sagad") == VERSION


@pytest.mark.parametrize(
    ("typed", "bound"),
    [
        ("FILE --wait", "FILE --wait=forever"),
        ("--wait FILE", "--wait=forever FILE"),
        ("--wait 30s FILE", "--wait=30s FILE"),
        ("--wait=30s FILE", "--wait=30s FILE"),
        ("--wait --reason x FILE", "--wait=forever --reason x FILE"),
        ("--wait 30x FILE", "--wait=30x FILE"),
        ("--wait -- 30s", "--wait=forever -- 30s"),
        ("-- --wait 30s", "-- --wait 30s"),
        ("FILE", "FILE"),
    ],
)
def test_wait_takes_a_duration_and_nothing_else(typed: str, bound: str) -> None:
    """`--wait FILE` is what people type, and FILE is no duration."""
    actual = bound_wait(typed.split())

    assert actual == bound.split()


def test_a_stream_is_read_by_the_standards_rules() -> None:
    """Comments and unknown fields are passed over, several data lines are one, what is no event of ours is left out."""
    stream = [
        b": hello\n",
        b"\n",
        b"id: 1\r\n",
        b"event: step.started\r\n",
        b'data: {"seq": 1,\r\n',
        b'data:"type": "a"}\r\n',
        b"\r\n",
        b"event: dropped\n",
        b'data: {"detail": "too slow"}\n',
        b"\n",
        b"data: no json\n",
        b"\n",
        b'data: {"seq": 2}\n',
    ]

    assert list(messages(stream)) == [{"seq": 1, "type": "a"}]


def test_every_status_has_marks_of_its_own() -> None:
    """With and without Unicode: two statuses never look the same."""
    for position in (0, 1):
        marks = [mark[position] for mark in MARKS.values()]
        assert len(set(marks)) == len(marks)
    assert all(mark[1].isascii() for mark in MARKS.values())
