"""What references come to while a stack is planned, and how they are written into its saga."""

from __future__ import annotations

from typing import Any

import pytest

from actors.saga.references import BadReference, Ref, reveal
from actors.saga.references import record as resolve
from orchestrator.stacks.known import Known, Settled


@pytest.fixture
def known() -> Known:
    """Five resources: one as it is, one to be changed, one to be made, one with a field to come, one with dollars."""
    found = Known()
    found.settle("there", Settled({"name": "n", "size": 7}, {"id": "1", "list": [{"a": 5}], "token": "***"}))
    found.settle("changed", Settled({"size": 8}, {"id": "2"}, "changed", frozenset({"size", "id"})))
    found.settle("new", Settled({"name": "x"}, {}, "new", frozenset({"id", "name"}), fresh=True))
    found.settle(
        "late",
        Settled({}, {"data": "old", "id": "4"}, "late", frozenset({"data"}), unknown=frozenset({"data"})),
    )
    found.settle("odd", Settled({"path": "/a/${x}$"}, {"secret": "${secret.a}"}))
    return found


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("${resources.there.size}", 7),
        ("n${resources.there.size}", "n7"),
        ("${resources.there.list.0.a}", 5),
        (["${resources.there.id}"], ["1"]),
        ({"a": "${resources.changed.size}"}, {"a": 8}),
        ("${resources.changed.id}", "2"),
        ("${resources.new.name}", "x"),
        ("${secret.token}", "${secret.token}"),
        ("a ${secret.token}", "a ${secret.token}"),
        ("$${resources.there.size}", "$${resources.there.size}"),
        ("${resources.odd.path}", "/a/$${x}$"),
        ("${$}${resources.there.size}", "$7"),
    ],
)
def test_what_is_known(known: Known, template: Any, value: Any) -> None:
    """Values of what is there or will be; secrets as references; the result is a template."""
    assert known.resolved({"f": template}) == ({"f": value}, set())


@pytest.mark.parametrize(
    "template",
    ["${resources.new.id}", "a${resources.new.id}", ["${resources.new.id}"], "${resources.late.data}"],
)
def test_what_is_still_to_come(known: Known, template: Any) -> None:
    """An output of what is to be made, or a field that will be another: the rest is known."""
    assert known.resolved({"f": template, "g": "${resources.there.id}"}) == ({"g": "1"}, {"f"})


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("${resources.there.nothing}", "has no `nothing`"),
        ("${resources.there.list.3}", "there is no `3`"),
        ("${resources.there.token}", "is a secret"),
        ("${resources.odd.secret}", "is a secret"),
        ("a${resources.there.list}", "is a list"),
    ],
)
def test_what_will_never_be(known: Known, template: str, why: str) -> None:
    """Is said with the reference."""
    with pytest.raises(BadReference, match=why):
        known.resolved({"f": template})


@pytest.mark.parametrize(
    ("template", "written"),
    [
        ("plain $ {}", "plain $ {}"),
        (7, 7),
        ("${resources.there.size}", 7),
        ("n${resources.there.size}", "n7"),
        ("${resources.changed.size}", "${steps.changed.size}"),
        ("${resources.new.id}", "${steps.new.id}"),
        ("a${resources.new.id}b", "a${steps.new.id}b"),
        ("${resources.late.id}", "4"),
        ("${resources.late.data}", "${steps.late.data}"),
        ("${secret.a}", "${secret.a}"),
        ("$${x} ${resources.there.id}", "$${x} 1"),
        ("${$}${resources.new.id}", "${$}${steps.new.id}"),
        ("${$}${$}${secret.a}", "${$}${$}${secret.a}"),
        ("${resources.odd.path}", "/a/$${x}$"),
        ({"a": ["${resources.new.id}"]}, {"a": ["${steps.new.id}"]}),
    ],
)
def test_how_a_template_is_written_for_a_step(known: Known, template: Any, written: Any) -> None:
    """Outputs of other steps as references to them, what is there as it is."""
    assert known.written(template) == written


@pytest.mark.parametrize(
    "template",
    [
        "$${x}",
        "${$}${resources.new.id}",
        "${$}${$}${resources.odd.path}${resources.new.id}",
        "${resources.odd.path}${resources.new.id}",
        "${resources.odd.path}${secret.s}",
        "$$ ${resources.there.name}$${resources.new.id}",
        ["${resources.odd.path}", {"k": "${resources.new.id} $${y}"}],
    ],
)
def test_what_is_written_comes_to_what_the_file_says(known: Known, template: Any) -> None:
    """Resolved as a step resolves it, every text is what it would be had the file been resolved at once."""

    def in_steps(ref: Ref) -> Any:
        return "ID" if ref.root == "steps" else ref

    def in_file(ref: Ref) -> Any:
        return {"new": "ID", "odd": "/a/${x}$", "there": "n"}[ref.path[0]]

    def revealed(value: Any) -> Any:
        return reveal(value, lambda name: f"<{name}>")

    assert revealed(resolve(known.written(template), in_steps)) == revealed(resolve(template, in_file))
