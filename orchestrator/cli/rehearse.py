"""``rehearse``: what each failure of a saga would leave behind, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import click

from orchestrator.cli.draw import Words, print_lines, print_table
from orchestrator.cli.failures import DONE, findings
from orchestrator.cli.options import command
from orchestrator.cli.session import Session
from orchestrator.cli.source import read_source
from orchestrator.cli.submit import file_option, request_of
from orchestrator.cli.text import count
from orchestrator.cli.tree import resource_text

LEFT_BEHIND = 3  # SPEC §3

_HEADS = ("STEP", "WHAT GOES WRONG", "ENDS", "LEFT BEHIND")
_MOST_NAMED = 4
_SHORT = {
    "none": "nothing",
    "cancelled": "cancelled in its last step",
    "fails": "fails",
    "lost_done": "answer lost, done",
    "lost_not_done": "answer lost, not done",
    "undo_fails": "undo fails for good",
    "undo_lost_done": "undo's answer lost, done",
    "undo_lost_not_done": "undo's answer lost, not done",
}

Case = dict[str, Any]


@command(examples="sagactl rehearse publish.yaml -i page=hello")
@click.argument("file", metavar="FILE")
@click.option(
    "-i", "--input", "inputs", metavar="NAME=VALUE", multiple=True, help="An input; may be repeated."
)
@file_option
@click.pass_obj
def rehearse(session: Session, file: str, inputs: tuple[str, ...], format: str | None) -> int:
    """Say what a saga would leave behind, whatever goes wrong.

    Runs FILE against simulated drivers, made from what the real ones declare: each step fails in turn, and each answer
    is lost in turn, after the effect and before it; the same with each undo. Nothing is touched and nothing recorded;
    secrets need not exist; approvals are taken as given.

    Exits with 3 if anything would be left behind, or somebody would have to be asked, in any case but those in which an
    undo fails for good: these are shown, but always leave what was to be undone.
    """
    source = read_source(file, format)
    answer = session.client.post(
        "/v1/rehearse", request_of(source, inputs=inputs), file=source.name, timeout=None
    )
    document = answer.document()
    if session.json:
        session.document(answer)
    elif not session.quiet:
        _print(session, document)
        session.warn(list(findings(document.get("warnings"), source.name)))
        for note in document.get("notes") or []:
            session.note(f"note: {note}")
    return DONE if document["clean"] else LEFT_BEHIND


def _print(session: Session, document: dict[str, Any]) -> None:
    cases: list[Case] = document["cases"]
    print_table(session, _HEADS, list(_rows(cases)), styled=2)
    print_lines(session, [*_whys(cases), *_asked(cases), [], [(_verdict(document), "strong")]])


def _rows(cases: list[Case]) -> Iterator[list[str]]:
    """Give a row for each case. Where it makes no difference whether the effect was there, one for both."""
    for _, same in groupby(cases, _sameness):
        case, *more = same
        what = _SHORT.get(case["fault"]) or str(case["what"])
        if more:
            what = what.partition(",")[0]
        yield [str(case["step"] or ""), what, _ends(case), _named(case["left_behind"])]


def _sameness(case: Case) -> tuple[Any, ...]:
    fault = case["fault"].replace("lost_not_done", "lost_done")
    return case["step"], fault, case["status"], case["hold"], case["left_behind"]


def _ends(case: Case) -> str:
    return "hold" if case["hold"] else case["status"]


def _named(left: list[dict[str, Any]]) -> str:
    names = [each["step"] for each in left]
    if len(names) <= _MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"


def _whys(cases: Iterable[Case]) -> Iterator[Words]:
    """Say why things stay, once each; that a failed undo leaves something needs no saying."""
    ended = [case for case in cases if case["fault"] != "undo_fails" and not case["hold"]]
    lines = {_why(each): None for case in ended for each in case["left_behind"]}
    return _section("left behind:", lines)


def _why(left: dict[str, Any]) -> str:
    what = "  ".join(part for part in (left["step"], resource_text(left["resource"])) if part)
    return f"{what}: {left['why']}"


def _asked(cases: Iterable[Case]) -> Iterator[Words]:
    """Say what somebody would be asked, once each."""
    lines = {case["hold"]["detail"]: None for case in cases if case["hold"]}
    return _section("somebody would be asked:", lines)


def _section(head: str, lines: Iterable[str]) -> Iterator[Words]:
    for index, line in enumerate(lines):
        if index == 0:
            yield []
            yield [(head, "hold")]
        yield [(f"  {line}", "")]


def _verdict(document: dict[str, Any]) -> str:
    cases: list[Case] = [case for case in document["cases"] if case["fault"] != "undo_fails"]
    bad = sum(not case["clean"] for case in cases)
    if document["clean"]:
        verdict = f"clean: in {count(len(cases), 'case')} nothing would be left behind, and nobody asked"
    else:
        verdict = f"not clean: {bad} of {count(len(cases), 'case')} would leave something or ask somebody"
    failing = len(document["cases"]) - len(cases)
    return verdict + (f" (not counting {failing} in which an undo fails for good)" if failing else "")
