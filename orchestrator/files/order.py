"""The order of steps in a graph: it has no cycles, or they are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from orchestrator.files.document import Report
from orchestrator.files.problems import Path

_MOST_SHOWN = 10


class _Node(Protocol):
    path: Path
    needs: frozenset[int]

    @property
    def name(self) -> str: ...


def check_cycles(report: Report, steps: Sequence[_Node]) -> None:
    """Report every cycle among the steps' needs, as ``a → b → a``: a needs b, which needs a."""
    for cycle in cycles([sorted(step.needs) for step in steps]):
        shown = [steps[index].name for index in (*cycle[:_MOST_SHOWN], cycle[0])]
        if len(cycle) > _MOST_SHOWN:
            shown.insert(-1, f"… {len(cycle) - _MOST_SHOWN} more …")
        said = " → ".join(shown)
        what = f"steps need each other in a circle: {said}"
        report.problem(steps[cycle[0]].path, what, "remove one of these needs or references")


def cycles(needs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Give a cycle for each need that closes one, beginning at its least index. Not recursive: graphs may be long."""
    done: set[int] = set()
    for start in range(len(needs)):
        trail: list[int] = []
        on_trail: dict[int, int] = {}
        stack = [(start, iter(needs[start]))] if start not in done else []
        if stack:
            on_trail[start] = 0
            trail.append(start)
        while stack:
            index, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                del on_trail[index]
                done.add(index)
            elif following in on_trail:
                yield _turned(trail[on_trail[following] :])
            elif following not in done:
                on_trail[following] = len(trail)
                trail.append(following)
                stack.append((following, iter(needs[following])))


def _turned(cycle: list[int]) -> list[int]:
    least = cycle.index(min(cycle))
    return cycle[least:] + cycle[:least]
