"""Text to values with their places, in all three formats."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from orchestrator.files.document import Document, Mark
from orchestrator.files.load import format_of, load

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


DOTTED = ".".join(["a"] * 200)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{DOTTED} = 1", (1, 1)),
        (f"x = 1\n\n  [{DOTTED}]\n", (3, 4)),
        (f"x = 1\n[[{DOTTED}]]\n", (2, 3)),
        ('"a" . ' * 200 + "b = 1", (1, 1)),
        ("a" + ".a" * 200_000 + " = 1", (1, 1)),
    ],
)
def test_a_toml_key_of_too_many_parts_is_refused_before_it_takes_any_memory(
    text: str, place: tuple[int, int]
) -> None:
    """For the last one ``tomllib`` took 24 GB, and a viewer could ask for it."""
    document = load(text, format="toml")

    assert [each.problem for each in document.problems] == ["nested too deeply"]
    assert (document.problems[0].line, document.problems[0].column) == place


@pytest.mark.parametrize(
    "text",
    [
        f'x = "{DOTTED}"',
        f'x = """\n{DOTTED}\n"""',
        f"x = '''{DOTTED}'''",
        f"# {DOTTED}\nx = 1",
        f"x = '{DOTTED}'",
    ],
)
def test_a_text_that_only_looks_like_such_a_key_is_a_text(text: str) -> None:
    """It is a value or a comment."""
    document = load(text, format="toml")

    assert document.problems == []
    assert document.value == tomllib.loads(text)
