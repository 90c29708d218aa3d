"""Inputs of a submission: given, defaulted, converted, refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.files.inputs import Input, bind_inputs

DECLARED = {
    "page": Input("string"),
    "count": Input("integer", 5),
    "share": Input("number", 0.5),
    "loud": Input("boolean", default=False),
    "many": Input("list", []),
    "more": Input("object", {}),
    "extra": Input("any", None),
}
DEFAULTS = {"count": 5, "share": 0.5, "loud": False, "many": [], "more": {}, "extra": None}


def test_defaults_stand_in_for_what_is_not_given() -> None:
    """In the order of the declaration."""
    values, problems = bind_inputs(DECLARED, {"extra": [1], "page": "x"})

    assert problems == []
    assert list(values.items()) == [("page", "x"), *(DEFAULTS | {"extra": [1]}).items()]


@pytest.mark.parametrize(
    ("given_values", "problems"),
    [
        ({}, ["inputs.page: the input is missing (give it a string; it has no default)"]),
        ({"page": 5}, ["inputs.page: must be a string, not a whole number"]),
        ({"page": None}, ["inputs.page: must be a string, not nothing"]),
        ({"page": "", "count": "5"}, ["inputs.count: must be an integer, not `5`"]),
        ({"page": "", "count": True}, ["inputs.count: must be an integer, not true or false"]),
        ({"page": "", "count": 1.5}, ["inputs.count: must be an integer, not a number"]),
        ({"page": "", "share": True}, ["inputs.share: must be a number, not true or false"]),
        ({"page": "", "loud": 1}, ["inputs.loud: must be a boolean, not a whole number"]),
        ({"page": "", "many": {}}, ["inputs.many: must be a list, not a mapping"]),
        ({"page": "", "more": []}, ["inputs.more: must be an object, not a list"]),
        (
            {"pgae": "", "x y": 1},
            [
                "inputs.pgae: the saga declares no input `pgae` (did you mean `page`?)",
                'inputs."x y": the saga declares no input `x y` (there are: count, extra, loud, many, more, page, share)',
                "inputs.page: the input is missing (give it a string; it has no default)",
            ],
        ),
        (
            {"page": "", "extra": float("inf")},
            ["inputs.extra: `inf` is not a number that can be kept (quote it, or"],
        ),
        ({"page": "\ud800"}, ["inputs.page: half of a surrogate pair, which is not text"]),
        ({"page": "", "count": 2**64}, ["inputs.count: a whole number beyond 64 bits (quote it)"]),
    ],
)
def test_what_does_not_fit_is_told(given_values: dict[str, Any], problems: list[str]) -> None:
    """Every problem at once."""
    found = [str(problem) for problem in bind_inputs(DECLARED, given_values)[1]]

    assert [one[: len(other)] for one, other in zip(found, problems, strict=True)] == problems


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("page", "5", "5"),
        ("page", "true", "true"),
        ("count", "-12", -12),
        ("share", "3", 3),
        ("share", "2.5e1", 25.0),
        ("loud", "true", True),
        ("loud", "false", False),
        ("many", '[1, "a"]', [1, "a"]),
        ("more", '{"a": null}', {"a": None}),
        ("extra", "5", 5),
        ("extra", "some text", "some text"),
        ("extra", "", ""),
    ],
)
def test_texts_from_a_command_line_become_what_is_declared(name: str, text: str, value: Any) -> None:
    """Lists and objects are JSON; `any` is JSON where it can be."""
    values, problems = bind_inputs(DECLARED, {"page": "", name: text}, from_text=True)

    assert problems == []
    assert values[name] == value
    assert type(values[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("count", "1.5", "must be an integer, not `1.5`"),
        ("count", "5" * 30, "must be an integer, not `555"),
        ("share", "[1]", "must be a number, not a list"),
        ("loud", "yes", "must be a boolean, not `yes`"),
        ("many", "a,b", "must be a list, not `a,b`"),
        ("many", "[" * 100_000, "must be a list, not `[[[[["),
        ("more", "{a: 1}", "must be an object, not `{a: 1}`"),
    ],
)
def test_texts_that_do_not_fit_are_quoted(name: str, text: str, problem: str) -> None:
    """As they were typed."""
    (found,) = bind_inputs(DECLARED, {"page": "", name: text}, from_text=True)[1]

    assert found.where == f"inputs.{name}"
    assert found.problem.startswith(problem)


def test_from_text_takes_texts_only() -> None:
    """The caller says so; a number would be a mistake of the caller."""
    _, problems = bind_inputs(DECLARED, {"page": 5}, from_text=True)

    assert "inputs.page: must be text, not a whole number" in map(str, problems)


@given(st.dictionaries(st.sampled_from([*DECLARED, "other"]), st.text()), st.booleans())
def test_no_text_raises(values: dict[str, str], from_text: bool) -> None:
    """Whatever is typed is a value or a problem."""
    bound, problems = bind_inputs(DECLARED, values, from_text=from_text)

    assert problems or set(bound) == set(DECLARED)
