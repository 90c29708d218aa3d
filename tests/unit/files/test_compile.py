"""A file to a plan: what is kept, what is defaulted, what is computed, and what is warned of."""

from collections.abc import Callable

import msgspec
import pytest

from actors.saga.plan import UNDO_RETRY, Plan, PlanStep, Retry, Undo
from config.settings import Policy
from orchestrator.files.compile import Compiled, compile_saga
from orchestrator.files.inputs import Input
from orchestrator.files.load import load, load_object
from providers.registry import Registry

Compile = Callable[..., Compiled]

WHOLE = """\
saga: publish-site
description: Put it live
inputs:
  page: {type: string, description: the text}
  dir: {type: string, default: /ok/site}
labels: {site: harbour}
on_failure: hold
on_undo_failure: hold
on_conflict: skip
deadline: 2h
steps:
  - name: page
    do: demo.thing.create
    with: {path: "${inputs.dir}/index.html", owner: "${inputs.page}"}
    as: front
    keep: false
    timeout: 30s
    lock_timeout: 5m
    on_conflict: force
    retry: {attempts: 5, delay: 500ms, factor: 3, max_delay: 1m, on: [failed]}
  - name: tell
    do: demo.thing.ask
    with: {path: "${steps.page.path}", env: {n: "${steps.page.size}"}, tags: ["${secret.token}"]}
    undo: {do: demo.thing.create, with: {path: "${self.path}", owner: "${steps.page.owner}"}}
    undo_when: started
    undo_retry: {attempts: 2}
    idempotent: true
  - name: burn
    do: demo.thing.burn
    irreversible: true
    undo: none
"""


def test_a_whole_file_becomes_its_plan(compiled: Compile) -> None:
    """Every key has its place in the plan; durations are milliseconds."""
    result = compiled(WHOLE)

    assert (result.problems, result.warnings) == ((), ())
    assert result.labels == {"site": "harbour"}
    assert result.inputs == {
        "page": Input("string", description="the text"),
        "dir": Input("string", "/ok/site"),
    }
    assert list(result.secrets) == ["token"]
    assert result.plan == Plan(
        kind="publish-site",
        description="Put it live",
        on_failure="hold",
        on_undo_failure="hold",
        on_conflict="skip",
        deadline=7_200_000,
        steps=(
            PlanStep(
                index=0,
                name="page",
                operation="demo.thing.create",
                arguments={"path": "${inputs.dir}/index.html", "owner": "${inputs.page}"},
                alias="front",
                keep=False,
                timeout=30_000,
                lock_timeout=300_000,
                on_conflict="force",
                retry=Retry(5, 500, 3.0, 60_000, ("failed",)),
                driver_version="1.4",
            ),
            PlanStep(
                index=1,
                name="tell",
                operation="demo.thing.ask",
                arguments={
                    "path": "${steps.page.path}",
                    "env": {"n": "${steps.page.size}"},
                    "tags": ["${secret.token}"],
                },
                needs=(0,),
                refers=((0, "owner"), (0, "path"), (0, "size")),
                undo=Undo(
                    "given", "demo.thing.create", {"path": "${self.path}", "owner": "${steps.page.owner}"}
                ),
                undo_when="started",
                undo_retry=Retry(2, UNDO_RETRY.delay, UNDO_RETRY.factor, UNDO_RETRY.max_delay),
                idempotent=True,
                driver_version="1.4",
            ),
            PlanStep(
                index=2,
                name="burn",
                operation="demo.thing.burn",
                irreversible=True,
                undo=Undo("none"),
                driver_version="1.4",
            ),
        ),
    )


def test_the_plan_is_the_same_whatever_it_was_written_in(registry: Registry) -> None:
    """YAML, JSON text, TOML and an object go through the same code."""
    saga = {
        "saga": "a",
        "steps": [{"name": "x", "do": "demo.thing.create", "with": {"path": "/ok", "tags": ["b"]}}],
    }
    toml = (
        'saga = "a"\n[[steps]]\nname = "x"\ndo = "demo.thing.create"\nwith = { path = "/ok", tags = ["b"] }'
    )
    text = msgspec.json.encode(saga)
    plans = [
        compile_saga(document, registry).plan
        for document in (
            load_object(saga),
            load(text, format="json"),
            load(text, format="yaml"),
            load(toml, format="toml"),
        )
    ]

    assert plans[0] is not None
    assert plans.count(plans[0]) == 4


def test_what_is_left_out_is_the_nodes_default(registry: Registry) -> None:
    """A step says nothing of conflicts, so that the saga's word counts."""
    document = load("saga: a\nsteps: [{name: x, do: demo.thing.read}]", format="yaml")
    defaults = Policy(on_failure="hold", on_undo_failure="hold", on_conflict="skip")
    usual = compile_saga(document, registry).plan
    node = compile_saga(document, registry, defaults).plan

    assert usual == Plan("a", (PlanStep(0, "x", "demo.thing.read", driver_version="1.4"),))
    assert node is not None
    assert (node.on_failure, node.on_undo_failure, node.on_conflict) == ("hold", "hold", "skip")


def test_a_long_first_wait_lifts_the_longest_one(compiled: Compile) -> None:
    """`delay: 1h` alone means an hour, not the default's 30 s."""
    text = "saga: a\nsteps: [{name: x, do: demo.thing.read, retry: {delay: 1h}, undo_retry: {delay: 0s}}]"
    plan = compiled(text).plan

    assert plan is not None
    assert plan.steps[0].retry == Retry(delay=3_600_000, max_delay=3_600_000)
    assert plan.steps[0].undo_retry == Retry(10, 0, 2.0, 60_000)


GRAPH = """\
saga: a
steps:
  - {name: last, do: demo.thing.create, with: {path: "${steps.first.path}"}, needs: [middle, first]}
  - {name: middle, do: demo.thing.read}
  - {name: first, do: demo.thing.create, with: {path: /ok}}
"""


def test_one_needs_makes_the_file_a_graph(compiled: Compile) -> None:
    """Then a reference to a later step is a need like another."""
    plan = compiled(GRAPH).plan

    assert plan is not None
    assert plan.graph
    assert [step.needs for step in plan.steps] == [(1, 2), (), ()]


def test_empty_needs_make_a_graph_too(compiled: Compile) -> None:
    """`needs: []` says that the step waits for nothing."""
    graph = compiled("saga: a\nsteps: [{name: x, do: demo.thing.read, needs: []}]").plan
    order = compiled("saga: a\nsteps: [{name: x, do: demo.thing.read}]").plan

    assert graph is not None
    assert order is not None
    assert (graph.graph, order.graph) == (True, False)


@pytest.mark.parametrize(
    ("steps", "warnings"),
    [
        ("{name: x, do: demo.thing.create, with: {path: /ok}}", []),
        ("{name: x, do: demo.thing.read}", []),
        (
            "{name: x, do: demo.thing.ask, with: {path: /ok}}",
            ["steps[0].do: `demo.thing.ask` has no inverse, which means `undo: none`: the step will be kept"],
        ),
        (
            "{name: x, do: demo.thing.ask, with: {path: /ok}, undo: restore}",
            ["steps[0].do: `demo.thing.ask` has no inverse, which means `undo: none`: the step will be kept"],
        ),
        ("{name: x, do: demo.thing.ask, with: {path: /ok}, undo: none}", []),
        ("{name: x, do: demo.thing.ask, with: {path: /ok}, undo: {do: demo.thing.read}}", []),
        ("{name: x, do: demo.thing.ask, with: {path: /ok, mode: fast}}", []),
        ('{name: x, do: demo.thing.ask, with: {path: "/ok/${saga.id}", mode: fast}}', []),
        (
            "{name: x, do: demo.thing.read, undo_when: started}",
            ["steps[0].undo_when: `undo_when: started` has a meaning only beside an undo of your own"],
        ),
        (
            "{name: x, do: demo.thing.read}, {name: y, do: demo.thing.burn}, {name: z, do: demo.thing.read}",
            ["steps[1]: the step is irreversible and `z` comes after it"],
        ),
        ("{name: x, do: demo.thing.read}, {name: y, do: demo.thing.burn}", []),
        (
            "{name: x, do: demo.thing.burn, needs: [y]}, {name: y, do: demo.thing.burn}",
            ["steps[1]: the step is irreversible and `x` comes after it"],
        ),
        (
            "{name: x, do: demo.thing.burn, undo: {do: demo.thing.read}}",
            ["steps[0].undo: the step is irreversible: its undo is never run"],
        ),
        (
            '{name: x, do: demo.thing.create, with: {path: /ok, env: {"${inputs.a}": 1}}}',
            ['steps[0].with.env."${inputs.a}": references in a key are not resolved'],
        ),
    ],
)
def test_what_its_author_should_know_is_a_warning(compiled: Compile, steps: str, warnings: list[str]) -> None:
    """The file is good all the same."""
    result = compiled(f"saga: a\nsteps: [{steps}]")
    said = [str(warning).partition(": ")[2] for warning in result.warnings]

    assert result.problems == ()
    assert [one[: len(other)] for one, other in zip(said, warnings, strict=True)] == warnings


def test_inputs_that_nobody_uses_and_defaults_that_look_resolved_are_warned_of(compiled: Compile) -> None:
    """Both are most likely mistakes."""
    text = 'saga: a\ninputs: {a: {type: any, default: "${saga.id}"}}\nsteps: [{name: x, do: demo.thing.read}]'

    assert [str(warning) for warning in compiled(text).warnings] == [
        "2:34: inputs.a.default: a default is taken as it is; references in it are not resolved",
        "2:10: inputs.a: no step uses the input `a` (remove it)",
    ]
