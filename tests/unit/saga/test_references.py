"""References: how they are written, and the two passes that keep secrets out of the record."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.saga import references
from actors.saga.references import BadReference, Ref

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DOLLARS = st.text(alphabet="${}a.", max_size=12)
VALUES = {"text": "a ${secret.key} $", "number": 3, "yes": True, "list": [1, "${x"], "object": {"a": "$${"}}
SECRETS = {"key": "s3cret ${inputs.text} $"}


def look_up(ref: Ref) -> Any:
    """Look a reference up, where it is not a secret."""
    return references.dig({"inputs": VALUES, "saga": {"id": "0123456789ab"}}[ref.root], ref.path, ref)


def look_up_all(ref: Ref) -> Any:
    """Look any reference up."""
    return SECRETS[ref.path[0]] if ref.root == "secret" else look_up(ref)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("$5 {a}", ("$5 {a}",)),
        ("${inputs.page}", (Ref("inputs", ("page",)),)),
        ("${ inputs.page }", (Ref("inputs", ("page",)),)),
        ("a${saga.id}b", ("a", Ref("saga", ("id",)), "b")),
        ("${steps.page.json.items.0}", (Ref("steps", ("page", "json", "items", "0")),)),
        ("${self.path}${saga.kind}", (Ref("self", ("path",)), Ref("saga", ("kind",)))),
        ("${secret.db.password}", (Ref("secret", ("db.password",)),)),
        ("$${inputs.page}", ("${", "inputs.page}")),
        ("$$${saga.id}", ("$", "${", "saga.id}")),
        ("${$}${saga.id}", ("$", Ref("saga", ("id",)))),
    ],
)
def test_text_is_split_into_literals_and_references(text: str, parts: tuple[str | Ref, ...]) -> None:
    """Literals come out unescaped, references as what they name."""
    assert references.parse(text) == parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${env.HOME}", "`${env.HOME}` is not a reference; there are ${inputs.NAME}"),
        ("${HOME}", "`${HOME}` is not a reference"),
        ("${}", "`${}` is not a reference"),
        ("${inputs}", "`${inputs}` is not a reference"),
        ("${inputs.}", "`${inputs.}` is not a reference"),
        ("${steps..path}", "`${steps..path}` is not a reference"),
        ("${secret.}", "`${secret.}` is not a reference"),
        ("a ${inputs.page", "`${` without a closing `}` in 'a ${inputs.page'"),
    ],
)
def test_what_is_not_a_reference_is_refused_with_the_remedy(text: str, said: str) -> None:
    """The message quotes what was written, lists what there is and tells how to write it literally."""
    with pytest.raises(BadReference) as refused:
        references.parse(text)

    assert said in str(refused.value)
    assert "$${" in str(refused.value)


def test_a_reference_is_printed_as_it_is_written() -> None:
    """A reference in a message can be looked for in the file."""
    assert str(Ref("steps", ("page", "path"))) == "${steps.page.path}"


def test_a_long_text_is_parsed_but_not_remembered() -> None:
    """The cache holds short texts only: a file's content would fill the memory."""
    before = references._remembered.cache_info().currsize

    assert references.parse("x" * 300 + "${saga.id}") == ("x" * 300, Ref("saga", ("id",)))
    assert references._remembered.cache_info().currsize == before


@pytest.mark.parametrize(
    ("text", "ref"),
    [("${saga.id}", Ref("saga", ("id",))), ("${saga.id} ", None), ("", None), ("$${saga.id}", None)],
)
def test_whole_tells_one_whole_reference_from_a_longer_text(text: str, ref: Ref | None) -> None:
    """Only a text that is nothing but one reference keeps the type of the value."""
    assert references.whole(text) == ref


def test_find_gives_every_reference_with_its_path() -> None:
    """Lists count from 0, escaped ones are not found."""
    template = {"a": ["x", "${saga.id}-${inputs.n}"], "b": {"c": "${self.path}"}, "d": 5, "e": "$${saga.id}"}

    assert list(references.find(template)) == [
        (("a", 1), Ref("saga", ("id",))),
        (("a", 1), Ref("inputs", ("n",))),
        (("b", "c"), Ref("self", ("path",))),
    ]


@pytest.mark.parametrize(
    ("template", "recorded"),
    [
        ("${inputs.number}", 3),
        ("${inputs.yes}", True),
        ("n=${inputs.number}, ${inputs.yes}", "n=3, true"),
        ("${inputs.list}", [1, "$${x"]),
        ("${inputs.list.1}", "$${x"),
        ("${inputs.object}", {"a": "$$${"}),
        ("${inputs.text}", "a $${secret.key} $"),
        ("<${inputs.text}>", "<a $${secret.key} $>"),
        ("${secret.key}", "${secret.key}"),
        ("Bearer ${secret.key}!", "Bearer ${secret.key}!"),
        ("${inputs.text}${secret.key}", "a $${secret.key} ${$}${secret.key}"),
        ("${$}${$}${secret.key}", "${$}${$}${secret.key}"),
        ({"k": ["${saga.id}", None, 2.5]}, {"k": ["0123456789ab", None, 2.5]}),
        ("$${saga.id}", "$${saga.id}"),
    ],
)
def test_record_resolves_all_but_secrets_and_escapes_what_it_puts_in(template: Any, recorded: Any) -> None:
    """What is recorded is a template again, holding secret references only."""
    assert references.record(template, look_up) == recorded


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "${inputs.nobody}",
            "${inputs.nobody} does not resolve: there is no `nobody` (there are: list, number,",
        ),
        ("${inputs.list.2}", "there is no `2` (a list of 2)"),
        ("${inputs.list.-1}", "there is no `-1`"),
        ("${inputs.list.99999999999999999999}", "there is no `99999999999999999999`"),
        ("${inputs.number.x}", "${inputs.number.x} does not resolve: there is no `x`"),
        ("a ${inputs.list}", "${inputs.list} is a list and cannot be put into a longer string"),
        ("a ${inputs.object}", "is an object and cannot"),
    ],
)
def test_what_does_not_resolve_is_named(template: str, said: str) -> None:
    """The message names the reference, what is missing and what is there."""
    with pytest.raises(BadReference) as refused:
        references.record(template, look_up)

    assert said in str(refused.value)


def test_a_null_in_a_longer_text_is_refused() -> None:
    """There is no text for nothing."""
    with pytest.raises(BadReference, match="is null and cannot"):
        references.record("a ${inputs.x}", lambda _: None)


@given(JSON)
def test_an_escaped_value_stands_for_itself(value: Any) -> None:
    """Whatever a value holds, once escaped it has no references and comes back as it was."""
    escaped = references.escape(value)

    assert list(references.find(escaped)) == []
    assert references.record(escaped, look_up) == escaped
    assert references.reveal(escaped, SECRETS.__getitem__) == value


PIECES = st.sampled_from(
    ["${$}", "$${", "${inputs.text}", "${inputs.number}", "${secret.key}", "${saga.id}", "{", "a", "}"]
)


@given(st.lists(PIECES, max_size=8))
def test_the_two_passes_give_what_one_pass_would_and_no_secret_is_recorded(pieces: list[str]) -> None:
    """Also where dollars, literals and references touch."""
    template = {"x": "".join(pieces)}
    recorded = references.record(template, look_up)

    assert "s3cret" not in str(recorded)
    assert {ref.root for _, ref in references.find(recorded)} <= {"secret"}
    assert references.record(recorded, look_up) == recorded
    assert references.reveal(recorded, SECRETS.__getitem__) == references._walk(
        template, look_up_all, keep_secrets=False
    )


@given(DOLLARS, st.dictionaries(st.just("x"), DOLLARS))
def test_no_text_makes_parsing_raise_anything_else(text: str, values: dict[str, str]) -> None:
    """Any text resolves or is refused as a bad reference."""
    try:
        recorded = references.record("${inputs.x}" + text, lambda ref: references.dig(values, ref.path, ref))
    except BadReference:
        return

    assert references.reveal(recorded, SECRETS.__getitem__).startswith(values["x"])
