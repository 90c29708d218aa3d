from __future__ import annotations

import pytest

from orchestrator.api.asked import SubmitQuery
from orchestrator.api.bodies import MOST_PARAMETERS, decode_query
from orchestrator.api.record_routes import EventsQuery
from orchestrator.api.saga_routes import SagasQuery
from orchestrator.problems import Invalid, Malformed


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.000%2B00:00",
        "2026-01-01T02:00:00%2B02:00",
        "2026-01-01T02:00:00+02:00",
        "2025-12-31T23:00:00-01:00",
    ],
)
def test_a_time_is_utc_milliseconds(time: str) -> None:
    """A time is utc milliseconds."""
    assert decode_query(SagasQuery, f"since={time}").since == 1_767_225_600_000


@pytest.mark.parametrize(
    "time", ["2026-01-01T00:00:00", "2026-01-01", "1767225600", "now", "2026-13-01T00:00:00Z", ""]
)
def test_a_time_without_its_offset_is_none(time: str) -> None:
    """A time without its offset is none."""
    with pytest.raises(Invalid) as refused:
        decode_query(SagasQuery, f"since={time}")

    assert [each.where for each in refused.value.errors] == ["since"]


@pytest.mark.parametrize(
    ("text", "wait"), [("0s", 0), ("250ms", 250), ("24h", 86_400_000), ("1d", 86_400_000)]
)
def test_a_wait_is_milliseconds(text: str, wait: int) -> None:
    """A wait is milliseconds."""
    assert decode_query(SubmitQuery, f"wait={text}").wait == wait


def test_nothing_asked_is_the_defaults() -> None:
    """Nothing asked is the defaults."""
    assert decode_query(EventsQuery, "") == EventsQuery(after=0, limit=1000)


def test_a_list_is_given_by_repeating() -> None:
    """A list is given by repeating."""
    assert decode_query(SagasQuery, "label=a%3Db&label=c%3D").label == ["a=b", "c="]


@pytest.mark.parametrize("query", ["kind=%ff", "&".join(["label=a=b"] * (MOST_PARAMETERS + 1))])
def test_a_query_that_cannot_be_read_is_malformed(query: str) -> None:
    """A query that cannot be read is malformed."""
    with pytest.raises(Malformed):
        decode_query(SagasQuery, query)
