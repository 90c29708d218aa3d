import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import LONGEST, NotADuration, format_duration, parse_duration, parse_retention

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("250ms", 250),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("7d", 7 * DAY),
        ("0s", 0),
        ("007s", 7_000),
    ],
)
def test_a_duration_is_read_as_milliseconds(text: str, milliseconds: int) -> None:
    """Each unit of SPEC §2 is read, and what the program keeps is always milliseconds."""
    actual = parse_duration(text)

    assert actual == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        "1.5s",
        "1h30m",
        "5 s",
        " 5s",
        "5s\n",
        "5S",
        "5sec",
        "1y",
        "never",
        "٣s",
        "5_0s",
    ],
)
def test_what_is_not_a_duration_is_refused_with_the_text_and_what_to_write(text: str) -> None:
    """There is one way to write a duration; anything else is named and answered with examples."""
    with pytest.raises(NotADuration) as refused:
        parse_duration(text)

    assert f"`{text}` is not a duration: write `250ms`" in str(refused.value)


@pytest.mark.parametrize("text", ["366000d", "99999999999999999999s", "9" * 5000 + "s"])
def test_a_duration_beyond_a_thousand_years_is_refused(text: str) -> None:
    """A due time must still fit the database; nobody means such a wait, and no text is long enough to hurt."""
    with pytest.raises(NotADuration):
        parse_duration(text)


@pytest.mark.parametrize(("text", "milliseconds"), [("90d", 90 * DAY), ("1y", 365 * DAY), ("never", None)])
def test_retention_also_knows_years_and_never(text: str, milliseconds: int | None) -> None:
    """How long to keep something is a duration, years of 365 days, or never to be dropped: None."""
    actual = parse_retention(text)

    assert actual == milliseconds


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (1_500, "1500ms"),
        (90_000, "90s"),
        (120_000, "2m"),
        (DAY, "1d"),
        (25 * 3_600_000, "25h"),
    ],
)
def test_a_duration_is_written_with_the_largest_unit_that_loses_nothing(milliseconds: int, text: str) -> None:
    """90 seconds are `90s` and not `1m`, two minutes are `2m`."""
    actual = format_duration(milliseconds)

    assert actual == text


@given(st.integers(min_value=0, max_value=LONGEST))
def test_what_is_written_reads_back_as_the_same(milliseconds: int) -> None:
    """A printed duration can be pasted into a file and means the same."""
    actual = parse_duration(format_duration(milliseconds))

    assert actual == milliseconds


def test_a_negative_duration_is_not_written() -> None:
    """A caller that has a negative duration has a bug, and hears of it."""
    with pytest.raises(ValueError, match="not negative: -1"):
        format_duration(-1)
