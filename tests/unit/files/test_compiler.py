"""From one submission to the next: what depends on the inputs, what is kept, and that nothing raises."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.saga.plan import Plan
from orchestrator.files.compile import Compiled, Compiler
from providers.registry import Registry

Compile = Callable[..., Compiled]


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

    what = "9:75: steps[2].with.tags[0]: `${secret.s}`: there is no secret `s`"

    assert [str(problem) for problem in problems] == [
        f"{what} (put a file of that name into the secrets folder, `[secrets] dir`)"
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


def test_a_bad_file_has_its_inputs_checked_all_the_same(registry: Registry) -> None:
    """Every problem at once: a missing, a wrong and an undeclared input are told beside an unknown key."""
    compiler = Compiler(registry)
    compiled = compiler.source(BOUND.replace("steps:", "stepps: 1\nsteps:"), format="yaml")
    _, problems = compiler.bind(compiled, {"nope": 1})

    assert compiled.problems
    assert {"inputs.nope", "inputs.dir"} <= {problem.where for problem in problems}


def test_inputs_that_cannot_be_read_say_nothing_of_the_values_given(registry: Registry) -> None:
    """Neither a missing nor an undeclared input is made up where the declarations are broken."""
    compiler = Compiler(registry)
    source = "saga: x\ninputs: {}\nsteps: [{name: a, do: rig.do, with: {}}]\n"
    for broken in (
        "inputs: [a]",
        "inputs: {a: 3}",
        "inputs: {a: {type: strin}}",
        "inputs: {a: {default: 1}}",
    ):
        compiled = compiler.source(source.replace("inputs: {}", broken), format="yaml")

        assert compiled.problems
        assert compiler.bind(compiled, {})[1] == []


def test_what_drivers_say_is_told_beside_all_other_problems(compiled: Compile) -> None:
    """A step with a bad key, another with arguments that its driver refuses, and one whose arguments do not fit."""
    text = """saga: a
steps:
- {name: x, do: demo.thing.create, with: {path: /both}, retires: 3}
- {name: y, do: demo.thing.create, with: {path: /both, nope: 1}}
"""
    found = [str(problem).partition(" (")[0] for problem in compiled(text).problems]

    assert found == [
        "3:42: steps[0].with: this is wrong as a whole",
        "3:42: steps[0].with: size: too small",
        "3:57: steps[0].retires: unknown key `retires`",
        "4:56: steps[1].with.nope: unknown argument `nope`",
    ]
