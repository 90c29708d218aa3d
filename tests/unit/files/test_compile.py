"""A file to a plan: what is kept, what is defaulted, what is computed, and what is warned of."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.saga.plan import UNDO_RETRY, Plan, PlanStep, Retry, Undo
from config.settings import Policy
from orchestrator.files.compile import Compiled, Compiler, compile_saga
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
    assert result.secrets == ("token",)
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


# --- what depends on the inputs -------------------------------------------------------------------------------------

BOUND = """\
saga: a
inputs: {dir: {type: string}, n: {type: any, default: 1}}
steps:
  - name: x
    do: demo.thing.create
    with: {path: "${inputs.dir}/x", size: "${inputs.n}"}
    undo: {do: demo.thing.create, with: {path: "${inputs.dir}"}}
  - {name: y, do: demo.thing.create, with: {path: "${steps.x.path}", size: "${inputs.n}"}}
  - {name: z, do: demo.thing.create, with: {path: "${inputs.dir}", tags: ["${secret.s}"]}}
"""


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"dir": "/ok"}, []),
        (
            {"dir": "/no"},
            [
                "a.yaml:6:18: steps[0].with.path: `/no/x` is not below /ok: choose another",
                "a.yaml:7:48: steps[0].undo.with.path: `/no` is not below /ok: choose another",
            ],
        ),
        (
            {"dir": "/ok", "n": "x"},
            ["a.yaml:6:43: steps[0].with.size: must be a whole number, not text"],
        ),
        ({}, ["inputs.dir: the input is missing (give it a string; it has no default)"]),
    ],
)
def test_arguments_that_follow_from_the_inputs_are_checked_at_submission(
    registry: Registry, given: dict[str, Any], problems: list[str]
) -> None:
    """At the place in the file; what needs an output or a secret waits for the step."""
    compiler = Compiler(registry)
    compiled = compiler.source(BOUND, name="a.yaml")

    assert compiled.problems == ()
    assert [str(problem) for problem in compiler.bind(compiled, given)[1]] == problems


def test_what_a_driver_says_of_all_arguments_stands_at_with(compiled: Compile) -> None:
    """Only what it says of one argument has that one's place; an argument that is not there has none."""
    text = "saga: a\nsteps: [{name: x, do: demo.thing.create, with: {path: /both}}]"

    assert [str(problem) for problem in compiled(text).problems] == [
        "2:48: steps[0].with: this is wrong as a whole",
        "2:48: steps[0].with: size: too small",
    ]


def test_secrets_that_are_not_there_are_told_at_submission(registry: Registry) -> None:
    """Where somebody can tell."""
    compiler = Compiler(registry)
    compiled = compiler.source(BOUND, format="yaml")
    _, problems = compiler.bind(compiled, {"dir": "/ok"}, has_secret=lambda name: name != "s")

    assert [str(problem) for problem in problems] == [
        "${secret.s}: there is no secret `s` (put a file of that name into the secrets folder)"
    ]


# --- again and again ------------------------------------------------------------------------------------------------

SAGA = {"saga": "a", "steps": [{"name": "x", "do": "demo.thing.create", "with": {"path": "/ok"}}]}


def test_the_same_file_is_compiled_once(registry: Registry) -> None:
    """As text and as object, whoever sends it; its name counts, because problems begin with it."""
    compiler = Compiler(registry)
    text = msgspec.json.encode(SAGA)

    assert compiler.object(SAGA) is compiler.object(msgspec.json.decode(text))
    assert compiler.source(text, format="json") is compiler.source(text.decode(), format="json")
    assert compiler.source(text, name="a.json") is not compiler.source(text, name="b.json")


def test_a_file_with_problems_is_looked_at_anew(registry: Registry) -> None:
    """They may be mended without touching the file."""
    compiler = Compiler(registry)

    assert compiler.object({"saga": "A"}) is not compiler.object({"saga": "A"})


def test_the_cache_is_bounded_in_number_and_bytes(registry: Registry) -> None:
    """The oldest go first; large files are not kept at all."""
    compiler = Compiler(registry)

    def sized(number: int, size: int) -> dict[str, Any]:
        return SAGA | {"description": f"{number:03}" + "x" * size}

    first = compiler.object(sized(0, 10))
    for number in range(1, 256):
        compiler.object(sized(number, 10))
    assert compiler.object(sized(0, 10)) is first
    compiler.object(sized(256, 10))
    assert compiler.object(sized(0, 10)) is first
    assert compiler.object(sized(1, 10)) is not compiler.object(sized(2, 70_000))

    for number in range(12):
        compiler.object(sized(number, 60_000))
    assert compiler._cached_bytes <= 512 * 1024
    assert compiler._cached_bytes == sum(size for size, _ in compiler._cache.values())
    assert compiler.object(sized(0, 70_000)) is not compiler.object(sized(0, 70_000))


def test_a_file_that_is_too_large_does_not_reach_the_cache(registry: Registry) -> None:
    """Nor is it hashed or copied."""
    compiler = Compiler(registry, document_bytes=100)
    began = time.perf_counter()
    compiled = compiler.source(b"x" * 50_000_000, format="yaml")

    assert time.perf_counter() - began < 0.2
    assert "50,000,000 of at most 100 bytes" in str(compiled.problems[0])


# --- nothing raises -------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "saga",
        "steps",
        "inputs",
        "labels",
        "name",
        "do",
        "with",
        "needs",
        "undo",
        "retry",
        "on",
        "type",
        "default",
        "deadline",
        "a",
        "b",
        "x",
        "none",
        "restore",
        "string",
        "list",
        "demo.thing.create",
        "demo.thing.ask",
        "gone.x",
        "path",
        "size",
        "tags",
        "parts",
        "env",
        "label",
        "5s",
        "${inputs.a}",
        "${steps.a.path}",
        "${",
        "${self.x}",
        "${steps.b}",
        "x${saga.id}",
        "$${",
        "${secret.k}",
    ]
)
ANYTHING = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)
STEPS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc"), "do": st.sampled_from(["demo.thing.create", "demo.thing.ask"])},
        optional={"with": ANYTHING, "undo": ANYTHING, "needs": ANYTHING, "retry": ANYTHING},
    ),
    max_size=3,
)


@given(
    ANYTHING | st.fixed_dictionaries({"saga": st.just("a"), "steps": STEPS}, optional={"inputs": ANYTHING})
)
def test_no_structure_raises(registry: Registry, value: Any) -> None:
    """There is a plan exactly when there is no problem; a plan can be written and read again."""
    compiled = Compiler(registry).object(value)

    assert (compiled.plan is None) == bool(compiled.problems)
    if compiled.plan is not None:
        assert msgspec.json.decode(msgspec.json.encode(compiled.plan), type=Plan) == compiled.plan
    msgspec.json.encode(compiled.problems)


def test_structures_that_are_not_json_are_problems_too(registry: Registry) -> None:
    """Deep ones, and those that hold what JSON cannot."""
    deep: Any = "x"
    for _ in range(100_000):
        deep = {"a": deep}
    for value in (deep, SAGA | {"description": deep}, {"saga": "\ud800"}, {"saga": {1, 2}}, {5: 6}):
        assert Compiler(registry).object(value).problems
