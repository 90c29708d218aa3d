"""No secret gets through, in whatever form it comes, and a stream can be put back to the byte."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.contract import cut
from store.errors import SecretUnusable
from store.redaction import Redactor, Secret, forms

TOKEN = Secret("token", 'p@ss/w"ö+rd', "00")


@pytest.mark.parametrize(
    "text",
    [
        "it is {raw}, really",
        "{raw}{raw}",
        "{json}",
        "{url}",
        "{base64}",
        "Authorization: Basic {basic}",
    ],
)
def test_a_secret_is_found_in_its_common_forms(text: str) -> None:
    """As it is, in JSON, in a URL, in base64, and inside a longer base64 text."""
    value = TOKEN.value
    written = text.format(
        raw=value,
        json=json.dumps(value),
        url=f"https://x/?q={quote(value, safe='')}",
        base64=base64.b64encode(value.encode()).decode(),
        basic=base64.b64encode(f"admin:{value}".encode()).decode(),
    )
    redacted = Redactor([TOKEN]).redact(written)

    assert "${secret.token}" in redacted
    assert not any(form in redacted for form in forms(value).values())


def test_a_json_value_keeps_its_shape() -> None:
    """Keys are looked at too, what is not text stays as it is."""
    value = {"a": [1, None, True, 2.5, "x s3cret y"], "s3cret": {"deep": ["s3cret"]}}
    redacted = Redactor([Secret("k", "s3cret", "00")]).redact(value)

    assert redacted == {
        "a": [1, None, True, 2.5, "x ${secret.k} y"],
        "${secret.k}": {"deep": ["${secret.k}"]},
    }


def test_of_two_secrets_the_longer_one_is_named() -> None:
    """Else its tail would be left over."""
    redactor = Redactor([Secret("short", "abcd", "00"), Secret("long", "abcdefgh", "01")])

    assert redactor.redact("abcdefgh abcd") == "${secret.long} ${secret.short}"


def test_of_two_secrets_that_overlap_nothing_is_left() -> None:
    """The one that begins first would else leave the end of the other."""
    redactor = Redactor([Secret("one", "abcdef", "00"), Secret("two", "efghij", "01")])

    assert redactor.redact("-abcdefghij-") == "-${secret.one}${secret.two}-"


def test_a_secret_is_found_without_the_blanks_around_it() -> None:
    """A file with a carriage return or a blank line at its end, and a program or driver that trims its text."""
    assert Redactor([Secret("token", "\ns3cret\r", "00")]).redact("x: s3cret") == "x: ${secret.token}"


@pytest.mark.parametrize("form", forms(TOKEN.value).values(), ids=forms(TOKEN.value).keys())
def test_of_a_secret_that_was_cut_through_neither_part_is_left(form: str) -> None:
    """The drivers say where they have cut something out."""
    redactor = Redactor([TOKEN])
    for at in range(len(form)):
        begun, ended = f"(({form[:at]}{cut('9 bytes')}", f"{cut('9 bytes')}{form[at + 1 :]}))"

        assert redactor.redact(begun) == f"(({cut('9 bytes')}"
        assert redactor.redact(ended) == f"{cut('9 bytes')}))"


def test_a_secret_that_is_whole_beside_a_cut_is_named_though_its_end_may_be_the_beginning_of_another() -> (
    None
):
    """To take only the possible beginning away would leave most of the whole one."""
    redactor = Redactor([Secret("one", "s3cret", "00"), Secret("two", "tea-s", "01")])

    assert redactor.redact(f"s3cret{cut('it')}s3cret") == f"${{secret.one}}{cut('it')}${{secret.one}}"


def test_a_text_full_of_marks_keeps_nobody_busy() -> None:
    """Whoever writes so many of them themselves gets one for all."""
    redacted = Redactor([TOKEN]).redact(f"before p@ss{cut('x') * 10_000}+rd after")

    assert redacted == "before \n[sagad cut a text full of marks like this here]\n after"


VALUES = st.text(min_size=4, max_size=10) | st.sampled_from(["retfoo", "secret", "${secret", "{sec", "}abc"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Secret], bytes, int]:
    """Secrets, a content full of them and of their lookalikes, and a chunk's size."""
    values = draw(st.lists(VALUES, max_size=3, unique=True))
    likely = [form.encode() for value in values for form in forms(value).values()]
    likely += [b"${secret", b"${sec", b"$", b"}", b"${secret}", b"${secret.n0:raw:0000}", b"retfoo"]
    pieces = draw(st.lists(st.sampled_from(likely) | st.binary(max_size=4), max_size=10))
    secrets = [Secret(f"n{index}", value, f"{index:04x}") for index, value in enumerate(values)]
    return secrets, b"".join(pieces), draw(st.integers(1, 9))


def chunks(data: bytes, size: int) -> list[bytes]:
    """Cut into chunks."""
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(streams())
@example(([Secret("n0", "retfoo", "00")], b"${secretfoo", 3))
def test_a_stream_comes_back_byte_for_byte_however_it_is_cut(case: tuple[list[Secret], bytes, int]) -> None:
    """And what is stored does not depend on where the chunks ended."""
    secrets, content, size = case
    redactor = Redactor(secrets)
    stored = b"".join(redactor.redact_bytes(chunks(content, size)))

    assert b"".join(redactor.redact_bytes([content])) == stored
    assert b"".join(redactor.reveal_bytes(chunks(stored, size))) == content


@given(st.text(st.characters(min_codepoint=0x100, max_codepoint=0x17F), min_size=4, max_size=8), streams())
def test_no_stored_stream_holds_a_secret(value: str, case: tuple[list[Secret], bytes, int]) -> None:
    """Letters that no mark consists of, so that finding one would be a leak and nothing else."""
    others, content, size = case
    redactor = Redactor([*others, Secret("mine", value, "ff")])
    half = len(content) // 2
    stored = b"".join(redactor.redact_bytes(chunks(content[:half] + value.encode() + content[half:], size)))

    assert value.encode() not in stored


def test_a_secret_that_begins_inside_of_what_looks_like_a_mark_is_found() -> None:
    """Else escaping the lookalike would cut the secret in two and write both halves."""
    stored = b"".join(Redactor([Secret("k", "retfoo", "00")]).redact_bytes([b"${secretfoo"]))

    assert stored == b"${sec${secret.k:raw:00}"


def test_a_value_that_changed_is_not_put_where_the_old_one_stood() -> None:
    """Wrong bytes would be restored without anybody noticing."""
    stored = b"".join(Redactor([Secret("k", "old value", "00")]).redact_bytes([b"x old value y"]))

    with pytest.raises(SecretUnusable, match="not the one that stood here"):
        list(Redactor([Secret("k", "new value", "01")]).reveal_bytes([stored]))
