"""Touched: a set of resources answers as its members would, one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.saga.state import Touch
from actors.saga.touched import Touched

paths = st.none() | st.lists(st.sampled_from("ab"), max_size=3).map(lambda parts: "/" + "/".join(parts))
touches = st.builds(
    Touch,
    type=st.sampled_from(["local.file", "x.y"]),
    name=st.sampled_from("mn"),
    id=st.none() | st.sampled_from("12"),
    path=paths | st.just("/a/"),
)


@given(st.lists(touches), touches)
def test_overlap_is_that_with_any_of_them(known: list[Touch], asked: Touch) -> None:
    """Pair by pair gives the same answer."""
    touched = Touched()
    for each in known:
        touched.add(each)

    assert any(asked.overlaps(each) for each in known) == touched.overlap(asked)


def test_what_touches_nothing_overlaps_nothing() -> None:
    """A step without a resource."""
    touched = Touched()
    touched.add(None)
    touched.add(Touch("local.directory", "root", path="/"))

    assert not touched.overlap(None)
    assert touched.overlap(Touch("local.file", "a", path="/a"))
