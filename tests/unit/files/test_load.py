"""Text to values with their places, in all three formats."""

import json
import time
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from orchestrator.files.document import MOST_NODES, Document, Mark
from orchestrator.files.load import format_of, load, load_object

YAML = """\
saga: a
steps:
  - name: b
    with: {path: /x, "two words": [1, 2]}
"""
JSON = '{\n  "saga": "a",\n  "steps": [\n    {"name": "b", "with": {"path": "/x", "two words": [1, 2]}}]}'
TOML = """\
# a saga
saga = "a"
text = \"\"\"
[[steps]] \\\"\"\" no = 1
\"\"\"\"
[[steps]]
name = 'b' # the name
with = { path = "/x", "two words" = [
  1, # one
  2] }
[steps.retry]
attempts = 5
on.failure = true
[[steps]]
name = "c"
"""


def said(document: Document) -> list[str]:
    """Give the problems as text."""
    return [str(problem) for problem in document.problems]


def place(document: Document, *path: str | int, key: bool = False) -> tuple[int | None, int | None]:
    """Give the line and column of a value or key."""
    problem = document.problem(path, "", key=key)
    return problem.line, problem.column


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.yaml", "yaml"),
        ("a.YML", "yaml"),
        ("b.x.toml", "toml"),
        ("c.json", "json"),
        ("d", None),
        ("yaml", None),
    ],
)
def test_the_format_goes_by_the_suffix(name: str, format: str | None) -> None:
    """Capitals do not matter; a name without a dot has no suffix."""
    assert format_of(name) == format


@pytest.mark.parametrize(("text", "format"), [(YAML, "yaml"), (JSON, "json")])
def test_yaml_and_json_give_the_same_values(text: str, format: str) -> None:
    """One tree of plain values, whatever it was written in."""
    document = load(text, format=format)

    assert document.problems == []
    assert document.value == {
        "saga": "a",
        "steps": [{"name": "b", "with": {"path": "/x", "two words": [1, 2]}}],
    }


@pytest.mark.parametrize(
    ("text", "format", "path", "value", "key"),
    [
        (YAML, "yaml", ("saga",), (1, 7), (1, 1)),
        (YAML, "yaml", ("steps", 0), (3, 5), (3, 5)),
        (YAML, "yaml", ("steps", 0, "with", "path"), (4, 18), (4, 12)),
        (YAML, "yaml", ("steps", 0, "with", "two words", 1), (4, 39), (4, 39)),
        (YAML, "yaml", ("steps", 0, "with", "nobody"), (4, 11), (4, 11)),
        (JSON, "json", ("saga",), (2, 11), (2, 3)),
        (JSON, "json", ("steps", 0), (4, 5), (4, 5)),
        (JSON, "json", ("steps", 0, "with", "two words"), (4, 55), (4, 42)),
        (JSON, "json", ("steps", 0, "with", "two words", 1), (4, 59), (4, 59)),
        (TOML, "toml", ("saga",), (2, 8), (2, 1)),
        (TOML, "toml", ("text",), (3, 8), (3, 1)),
        (TOML, "toml", ("steps", 0, "name"), (7, 8), (7, 1)),
        (TOML, "toml", ("steps", 0, "with", "path"), (8, 17), (8, 10)),
        (TOML, "toml", ("steps", 0, "with", "two words", 1), (10, 3), (10, 3)),
        (TOML, "toml", ("steps", 0, "retry", "attempts"), (12, 12), (12, 1)),
        (TOML, "toml", ("steps", 0, "retry", "on", "failure"), (13, 14), (13, 4)),
        (TOML, "toml", ("steps", 1, "name"), (15, 8), (15, 1)),
        (TOML, "toml", ("steps", 1), (14, 1), (14, 1)),
    ],
)
def test_every_key_and_value_has_its_place(
    text: str, format: str, path: tuple[str | int, ...], value: tuple[int, int], key: tuple[int, int]
) -> None:
    """Line and column count from 1; what is missing stands where its surroundings do."""
    document = load(text, format=format)

    assert (place(document, *path), place(document, *path, key=True)) == (value, key)


def test_a_place_counts_characters_not_bytes() -> None:
    """An editor shows columns of characters."""
    for written, text in (("yaml", "é: {ü: [ö, 7]}"), ("json", '{"é": {"ü": ["ö", 7]}}')):
        document = load(text.encode(), format=written)

        assert place(document, "é", "ü", 1) == (1, text.index("7") + 1)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    """Editors on Windows write one."""
    assert load(b"\xef\xbb\xbfsaga: a", format="yaml").value == {"saga": "a"}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("off", "off"),
        ("12", 12),
        ("-7", -7),
        ("0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0640", "0640"),
        ("007.5", "007.5"),
        ("1_000", "1_000"),
        ("22:30", "22:30"),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("9" * 500, "9" * 500),
    ],
)
def test_yaml_words_mean_what_people_mean(word: str, value: Any) -> None:
    """YAML 1.2's core schema, and digits with a leading zero stay text."""
    document = load(f"a: {word}", format="yaml")

    assert (document.value, document.problems) == ({"a": value}, [])
    assert type(document.value["a"]) is type(value)


def test_keys_like_on_stay_text() -> None:
    """`retry: {on: …}` is a key of the saga file; YAML 1.1 would read `true`."""
    assert load("on: [a]\nyes: b", format="yaml").value == {"on": ["a"], "yes": "b"}


def test_an_alias_is_the_same_value_and_its_place_is_the_anchor() -> None:
    """That is where a mistake in it must be mended."""
    document = load("a: &x {p: 1}\nb: *x\n", format="yaml")

    assert document.value == {"a": {"p": 1}, "b": {"p": 1}}
    assert place(document, "b", "p") == (1, 11)


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
            '{"a": 1,}',
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
        ("json", "9" * 5000, ["the whole file: a whole number beyond 64 bits (quote it)"]),
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


PLAIN = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def paths(value: Any, mark: Mark | None) -> None:
    """Assert that everything has a mark of its own, and nothing else has."""
    assert mark is not None
    if isinstance(value, dict):
        assert set(value) == set(mark.inside) == set(mark.keys)
    if isinstance(value, list):
        assert set(mark.inside) == set(range(len(value)))
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        paths(inner, mark.inside[key])


@given(PLAIN)
def test_any_json_is_read_as_the_standard_library_reads_it_and_marked(value: Any) -> None:
    """Keys with brackets, quotes and line ends in them too."""
    document = load(json.dumps(value, indent=1, ensure_ascii=False), format="json")

    assert (document.value, document.problems) == (value, [])
    paths(document.value, document.marks)


def toml(value: Any) -> str:
    """Write an inline TOML value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(toml(item) for item in value) + "]"
    return json.dumps(value).replace("\\ud83d", "x") if not isinstance(value, str) else quoted(value)


def quoted(text: str) -> str:
    """Write a TOML text."""
    return (
        '"'
        + "".join(char if char.isalnum() or char in " {}[]#='" else f"\\U{ord(char):08x}" for char in text)
        + '"'
    )


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_any_toml_is_read_as_the_standard_library_reads_it_and_marked(value: dict[str, Any]) -> None:
    """The scanner finds its way through all that the parser accepts."""
    text = "".join(f"{toml(key)} = {toml(item)}\n" for key, item in value.items())
    document = load(text, format="toml")

    assert document.value == tomllib.loads(text)
    paths(document.value, document.marks)


@given(st.text() | st.binary(), st.sampled_from(["yaml", "toml", "json"]))
def test_no_text_raises(source: str | bytes, format: str) -> None:
    """Whatever is given there are values, or problems, or both."""
    document = load(source, format=format)

    assert document.problems or document.value is not UNSET


@given(
    st.text(alphabet="ab:-[]{}\"'&*!|>#,?%@~ \n\t=.1\\", max_size=60),
    st.sampled_from(["yaml", "toml", "json"]),
)
def test_no_text_of_punctuation_raises(source: str, format: str) -> None:
    """The same with what the formats are made of."""
    document = load(source, format=format)

    assert document.problems or document.value is not UNSET
