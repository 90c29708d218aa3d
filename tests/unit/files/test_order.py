"""The order of a graph: cycles are found and named."""

from collections.abc import Callable

from orchestrator.files.order import cycles
from tests.unit.files.texts import steps

Wrong = Callable[..., list[str]]


def test_cycles_are_named(wrong: Wrong) -> None:
    """By needs, by reference and by an undo's reference; each once."""
    text = steps(
        "{name: a, do: demo.thing.read, needs: [c]}",
        "{name: b, do: demo.thing.create, with: {path: '${steps.a.x}'}}",
        "{name: c, do: demo.thing.read, undo: {do: demo.thing.create, with: {path: '${steps.b.path}'}}}",
        "{name: d, do: demo.thing.read, needs: [e]}",
        "{name: e, do: demo.thing.read, needs: [d, a]}",
    )

    assert [one for one in wrong(text) if "circle" in one] == [
        "4:3: steps[0]: steps need each other in a circle: a → c → b → a (remove one of these needs or references)",
        "7:3: steps[3]: steps need each other in a circle: d → e → d (remove one of these needs or references)",
    ]


def test_a_cycle_begins_at_its_first_step_and_is_found_from_elsewhere_too() -> None:
    """The step that leads into a cycle is no part of it."""
    assert list(cycles([[2], [2], [1], []])) == [[1, 2]]


def test_a_dense_graph_is_gone_through_once() -> None:
    """There are 2^400 ways through this one."""
    assert list(cycles([range(index) for index in range(400)])) == []


def test_a_long_cycle_is_named_in_short(wrong: Wrong) -> None:
    """Ten names say enough."""
    texts = [f"{{name: s{n}, do: demo.thing.read, needs: [s{(n + 1) % 600}]}}" for n in range(600)]

    assert "s0 → s1 → s2 → s3 → s4 → s5 → s6 → s7 → s8 → s9 → … 590 more … → s0" in wrong(steps(*texts))[0]
