"""Text that cannot be read: what is told, and where."""

import time
from typing import Any

import pytest
from msgspec import UNSET

from orchestrator.files.document import MOST_NODES
from orchestrator.files.load import load, load_object
from tests.unit.files.texts import said


@pytest.mark.parametrize(
    ("format", "text", "problems"),
    [
        (
            "yaml",
            "a: b: c",
            [
                (
                    "1:5: not YAML: mapping values are not allowed in this context"
                    " (quote a text that has `: ` in it, or check the indentation)"
                )
            ],
        ),
        (
            "yaml",
            "a: 1\n\tb: 2",
            [
                (
                    "2:1: not YAML: found a tab character that violates indentation (while scanning a plain scalar)"
                    " (indent with spaces, not tabs)"
                )
            ],
        ),
        (
            "yaml",
            "a: {b: ${c}}",
            [
                (
                    "1:9: not YAML: did not find expected ',' or '}' (while parsing a flow mapping)"
                    ' (close the bracket, and inside brackets quote what has `${…}` in it: "${inputs.x}")'
                )
            ],
        ),
        (
            "yaml",
            "a: 1\nb: 2\na: 3",
            ["3:1: a: the key `a` is there twice, first on line 1 (keep one of them)"],
        ),
        (
            "yaml",
            "x: [{a: 1, a: 2}]",
            ["1:12: x[0].a: the key `a` is there twice, first on line 1 (keep one of them)"],
        ),
        ("yaml", "a: {1: x}", ['1:5: a."1": the key `1` is not text (quote it: "1")']),
        (
            "yaml",
            "? [a]\n: b",
            ["1:3: a key must be text, not a list or mapping (quote what begins with [ or {)"],
        ),
        ("yaml", "a: &a [*a]", ["1:8: the alias `*a` contains itself (write it out)"]),
        ("yaml", "a: *b", ["1:4: unknown alias `*b` (an anchor (`&…`) must stand before its aliases)"]),
        ("yaml", "&b k: 1\n*b : 2", ["2:1: an alias cannot be a key (write the key out)"]),
        (
            "yaml",
            "a: 1\n---\nb: 2",
            ["2:1: a second document begins here (one saga a file: remove the `---`)"],
        ),
        ("yaml", "a: !py/x 1", ["1:4: a: the tag `!py/x` is not understood (write the plain value)"]),
        ("yaml", "a: !!set {b}", ["1:4: a: the tag `!!set` is not understood (write the plain value)"]),
        (
            "yaml",
            "b: 1\n<<: {a: 1}",
            [
                (
                    '2:1: "<<": merge keys (`<<`) are not understood'
                    " (write the keys out, or use an alias for a whole value)"
                )
            ],
        ),
        ("yaml", "a: .nan", ["1:4: a: `nan` is not a number that can be kept (quote it, or write a number)"]),
        ("yaml", f"a: {2**63}", ["1:4: a: a whole number beyond 64 bits (quote it)"]),
        (
            "yaml",
            "a: 1\nb: x\x01",
            [
                (
                    "2:5: not YAML: the character `\\x01` is not allowed"
                    " (remove it, or write it as an escape in double quotes)"
                )
            ],
        ),
        (
            "json",
            '{\n "a": 1,\n "a": 2}',
            ["3:2: a: the key `a` is there twice, first on line 2 (keep one of them)"],
        ),
        (
            "json",
            '{"a": 1,b}',
            [
                (
                    "1:9: not JSON: Expecting property name enclosed in double quotes"
                    " (quote the key; no comma after the last item)"
                )
            ],
        ),
        (
            "json",
            "{'a': 1}",
            ["1:2: not JSON: Expecting property name enclosed in double quotes (quote the key; no"],
        ),
        ("json", "[1] 2", ["1:5: not JSON: Extra data (the mistake is here or just before)"]),
        (
            "json",
            '{"a": NaN}',
            ["1:7: a: `nan` is not a number that can be kept (quote it, or write a number)"],
        ),
        (
            "json",
            "[1e999]",
            ["1:2: [0]: `inf` is not a number that can be kept (quote it, or write a number)"],
        ),
        ("json", "9" * 5000, ["1:1: a whole number beyond 64 bits (quote it)"]),
        (
            "json",
            '{"a": "\\ud800"}',
            ["1:7: a: half of a surrogate pair, which is not text (remove the lone `\\uD800`…`\\uDFFF`)"],
        ),
        (
            "toml",
            "a = 1\nb = 1979-05-27\n",
            ["2:5: b: `1979-05-27` is a date or time, which no value here can be (quote it)"],
        ),
        ("toml", "a = nan", ["1:5: a: `nan` is not a number that can be kept (quote it, or write a number)"]),
        (
            "toml",
            "a = 1\na = 2",
            ["2:6: not TOML: Cannot overwrite a value (the same key or table is there twice"],
        ),
        (
            "toml",
            "a = b",
            ["1:5: not TOML: Invalid value (texts need quotes, tables are [name], lists of tables"],
        ),
        ("toml", "a = [1,\n2", ["2:2: not TOML: Unclosed array (texts need quotes"]),
        ("toml", "a = 1979-02-31", ["1:5: not TOML: Invalid date"]),
        ("xml", "a", ["the whole file: unknown format `xml` (there are: json, toml, yaml)"]),
        (
            None,
            "a",
            ["the whole file: the format is not known (say yaml, toml or json, or name the file by it)"],
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place_and_the_remedy(
    format: str | None, text: str, problems: list[str]
) -> None:
    """Every mistake that a parser or a rule of ours finds; long texts are compared by their beginning."""
    found = said(load(text, format=format))

    assert [one[: len(other)] for one, other in zip(found, problems, strict=True)] == problems


def test_a_comma_after_the_last_item_of_json_is_told_on_every_python() -> None:
    """The parser's own words differ from version to version."""
    (problem,) = load('{"a": 1,}', format="json").problems

    assert "no comma after the last item" in problem.hint


def test_text_that_is_not_utf_8_is_told_with_byte_and_line() -> None:
    """The byte is counted from 0, as editors and hex viewers do."""
    document = load(b"saga: x\nsteps: \xff\n", name="a.yaml")

    assert said(document) == ["a.yaml:2: not UTF-8: byte 15, on line 2, is 0xff (save the file as UTF-8)"]
    assert document.value is UNSET


def test_a_lone_surrogate_in_a_str_is_not_utf_8_either() -> None:
    """A str may come from `errors="surrogateescape"`."""
    assert "not UTF-8" in said(load("a: \udc80", format="yaml"))[0]


@pytest.mark.parametrize("source", [b"x" * 50_000_000, "x" * 50_000_000, "é" * 600_000])
def test_a_file_that_is_too_large_is_refused_before_it_is_read(source: bytes | str) -> None:
    """The size and the limit are named; characters count by their bytes."""
    began = time.perf_counter()
    document = load(source, format="yaml")

    assert time.perf_counter() - began < 0.2
    assert (
        f"{len(source) if source[0] != 'é' else 1_200_000:,} of at most 1,048,576 bytes" in said(document)[0]
    )
    assert "limits.document_bytes" in document.problems[0].hint


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


def test_an_alias_bomb_is_refused() -> None:
    """Nine to the tenth values in 400 characters."""
    assert said(load(BOMB, format="yaml")) == [
        (
            "1:1: more than 100,000 values, aliases counted as often as they are used"
            " (use fewer aliases, or split the saga)"
        )
    ]


@pytest.mark.slow
def test_too_many_values_are_refused() -> None:
    """Also without aliases."""
    text = "[" + "1," * MOST_NODES + "1]"
    for written in ("yaml", "json"):
        assert f"more than {MOST_NODES:,} values" in said(load(text, format=written))[0]


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("yaml", "[" * 100_000),
        ("yaml", "- " * 200_000),
        ("yaml", "[" * 102 + "]" * 102),
        ("json", "[" * 100_000 + "]" * 100_000),
        ("json", '{"a":' * 102 + "1" + "}" * 102),
        ("toml", "a = " + "[" * 5_000 + "]" * 5_000),
        ("toml", "a" + ".a" * 3_000 + " = 1"),
        ("toml", "a = " + "[" * 102 + "]" * 102),
    ],
)
def test_deep_nesting_is_refused(format: str, text: str) -> None:
    """No depth exhausts the stack."""
    document = load(text, format=format)

    assert "nested" in said(document)[0]
    assert document.value is UNSET


def test_an_object_is_held_to_the_same_limits() -> None:
    """An object of the API has paths for places."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]

    assert said(load_object({"saga": deep}))[0].startswith("saga[0][0][0]: nested deeper than 100 levels")
    assert said(load_object({"a": [float("inf")], 5: 1})) == [
        "the whole file: the key `5` is not text (quote it)",
        "a[0]: `inf` is not a number that can be kept (quote it, or write a number)",
    ]
