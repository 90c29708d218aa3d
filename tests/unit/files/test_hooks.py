"""Hooks in a file: which of them is run after which step, and what is wrong with one, at its place."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
import pytest

from actors.saga.plan import Hook
from config.settings import Policy, TypePolicy
from orchestrator.files.compile import Compiled, Compiler, compile_saga
from orchestrator.files.load import load
from providers.contract import Blobs, Driver, Resource, Verb
from providers.registry import Registry
from tests.unit.files.conftest import Nothing, Thing, ThingDriver


class Place(msgspec.Struct):
    """Where."""

    path: str


class PlaceDriver(ThingDriver):
    """Has resources."""

    type = "demo.place"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "put": Verb(arguments=Place, outputs={"path": str}, inverse="put_back"),
        "delete": Verb(arguments=Place, outputs={"path": str, "was": str}, inverse="put_back"),
        "read": Verb(arguments=Nothing, changes=False),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name the place."""
        return Resource("demo.place", arguments.path, path=arguments.path)


class TellDriver(ThingDriver):
    """Tells others."""

    type = "demo.tell"
    version = "3.1"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "all": Verb(arguments=Thing),
        "once": Verb(arguments=Thing, irreversible=True),
        "wait": Verb(arguments=Thing, asks=True, changes=False),
    }


@pytest.fixture(scope="module")
def places(blobs: Blobs) -> Registry:
    """Give drivers with and without resources."""
    kinds: tuple[type[Driver], ...] = (ThingDriver, PlaceDriver, TellDriver)
    return Registry({kind.type: kind({}, blobs) for kind in kinds}, {})


Made = Callable[..., Compiled]


@pytest.fixture
def made(places: Registry) -> Made:
    """Compile a file of these lines."""

    def compile_lines(*lines: str, policy: Policy | None = None) -> Compiled:
        return compile_saga(load("\n".join(("saga: a", *lines)), format="yaml"), places, policy)

    return compile_lines


TELL = "{do: demo.tell.all, with: {path: /ok}}"
PUT = "  - {name: put, do: demo.place.put, with: {path: /ok/a}}"
GONE = "  - {name: gone, do: demo.place.delete, with: {path: /ok/b}}"
READ = "  - {name: read, do: demo.place.read}"
ASK = "  - {name: ask, do: demo.thing.create, with: {path: /ok/c}}"


def hooks(compiled: Compiled) -> list[str | None]:
    """What each step's hook says of its place."""
    assert compiled.plan is not None, compiled.problems
    return [step.hook.arguments["path"] if step.hook is not None else None for step in compiled.plan.steps]


def test_no_operation_names_its_resource_by_a_secret(made: Made) -> None:
    """Neither a step nor an undo or a hook of it; where there is no resource, a path is an argument like others."""
    named = "{do: demo.place.put, with: {path: '/ok/${secret.token}'}}"
    compiled = made(
        "steps:",
        f"  - {{name: one, do: demo.place.put, with: {{path: '/ok/${{secret.token}}'}}, undo: {named}}}",
        f"  - {{name: two, do: demo.place.put, with: {{path: /ok}}, hooks: {{applied: {named}}}}}",
        "  - {name: three, do: demo.tell.all, with: {path: '/ok/${secret.token}'}}",
    )

    assert [str(each).partition(": ")[2] for each in compiled.problems] == [
        f"{where}: `${{secret.token}}` cannot be in what says which resource is meant: that is on record as it is"
        " (write `path` without it; what is no secret can be an input)"
        for where in ("steps[0].with.path", "steps[0].undo.with.path", "steps[1].hooks.applied.with.path")
    ]


def test_the_files_hooks_are_for_its_steps_that_have_a_resource(made: Made) -> None:
    """`deleted` after a delete, `applied` after what else changes something, none after what only looks."""
    compiled = made(
        "hooks:",
        "  applied: {do: demo.tell.all, with: {path: /ok/applied}}",
        "  deleted: {do: demo.tell.all, with: {path: /ok/deleted}}",
        "steps:",
        *(PUT, GONE, READ, ASK),
    )

    assert hooks(compiled) == ["/ok/applied", "/ok/deleted", None, None]
    assert compiled.warnings == ()


def test_a_steps_own_hook_comes_before_the_files(made: Made) -> None:
    """Word by word: of the other event the file's is used."""
    compiled = made(
        f"hooks: {{applied: {TELL}, deleted: {TELL}}}",
        "steps:",
        "  - name: own",
        "    do: demo.thing.create",
        "    with: {path: /ok/own}",
        '    hooks: {applied: {do: demo.tell.all, with: {path: "${self.path}", size: "${self.size}"}}}',
        *(PUT, GONE),
    )
    assert compiled.plan is not None

    assert compiled.plan.steps[0].hook == Hook(
        "demo.tell.all", {"path": "${self.path}", "size": "${self.size}"}, "3.1"
    )
    assert hooks(compiled) == ["${self.path}", "/ok", "/ok"]


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (f"{READ[:-1]}, hooks: {{applied: {TELL}}}}}", "4:47: steps[0].hooks.applied: the hook `applied` is never run: `demo.place.read` changes nothing (remove it)"),
        (f"{PUT[:-1]}, hooks: {{deleted: {TELL}}}}}", "4:66: steps[0].hooks.deleted: the hook `deleted` is never run: `demo.place.put` deletes nothing (remove it)"),
        (f"{GONE[:-1]}, hooks: {{applied: {TELL}}}}}", "4:70: steps[0].hooks.applied: the hook `applied` is never run: `demo.place.delete` only deletes (remove it)"),
    ],
)  # fmt: skip
def test_a_hook_that_is_never_run_is_warned_of(made: Made, step: str, why: str) -> None:
    """The file is valid all the same."""
    compiled = made(f"hooks: {{deleted: {TELL}}}", "steps:", step)
    said = [str(warning) for warning in compiled.warnings]

    assert why in said
    assert (
        "2:9: hooks.deleted: the hook `deleted` is never run: no step has it run (remove it)" in said
    ) == ("place.delete" not in step)


@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        ("{do: demo.tell.al}", "4:28: steps[0].hooks.applied.do: `demo.tell` has no verb `al` (did you mean `all`?)"),
        ("{with: {path: /ok}}", "4:23: steps[0].hooks.applied: `do` is missing"),
        ("{do: demo.tell.all, with: {}}", "4:49: steps[0].hooks.applied.with: the argument `path` is missing (it is text)"),
        (
            "{do: demo.tell.once, with: {path: /ok}}",
            (
                "4:28: steps[0].hooks.applied.do: `demo.tell.once` cannot be taken back, and a hook is no point of no "
                "return (make it a step of its own)"
            ),
        ),
        ("{do: demo.tell.wait, with: {path: /ok}}", "4:28: steps[0].hooks.applied.do: `demo.tell.wait` waits for approval, which a hook cannot (make it a step of its own)"),
        ('{do: demo.tell.all, with: {path: "${self.size}"}}', "4:56: steps[0].hooks.applied.with.path: `${self.size}`: there is no output `size` (there are: path)"),
        ('{do: demo.tell.all, with: {path: "${steps.later.path}"}}', "4:56: steps[0].hooks.applied.with.path: `${steps.later.path}`: the step `later` comes later (move it up, or give the steps `needs` so that they form a graph)"),
        ('{do: demo.tell.all, with: {path: "${steps.put.path}"}}', "4:56: steps[0].hooks.applied.with.path: `${steps.put.path}`: a step cannot refer to itself (write ${self.FIELD})"),
        ("{do: demo.tell.all, with: {path: /bad}}", "4:56: steps[0].hooks.applied.with.path: `/bad` is not below /ok: choose another"),
        ('{do: demo.tell.all, with: {path: /ok, size: "${self.path}"}}', "4:67: steps[0].hooks.applied.with.size: must be a whole number, but `${self.path}` is text (as a whole value a reference keeps its type)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_hook_is_said_at_its_place(made: Made, hook: str, problem: str) -> None:
    """As of an undo's operation."""
    compiled = made(
        "steps:",
        "  - {name: put, do: demo.place.put, with: {path: /ok/a},",
        f"     hooks: {{applied: {hook}}}}}",
        "  - {name: later, do: demo.place.put, with: {path: /ok/b}}",
    )
    found = [str(each) for each in compiled.problems]

    assert len(found) == 1
    assert found[0] == problem


def test_a_problem_of_the_files_hook_names_the_step_that_it_is_with(made: Made) -> None:
    """It may be right for all others."""
    compiled = made(
        "hooks:",
        '  applied: {do: demo.tell.all, with: {path: "${self.was}"}}',
        '  deleted: {do: demo.tell.all, with: {path: "${self.was}"}}',
        "steps:",
        *(PUT, GONE),
    )

    assert [str(each) for each in compiled.problems] == [
        "3:45: hooks.applied.with.path: `${self.was}`: there is no output `was`, for step `put` (there are: path)"
    ]


def test_what_a_hook_refers_to_is_a_need_and_an_input_that_is_used(made: Made) -> None:
    """As by the step's own arguments; secrets count too."""
    compiled = made(
        "inputs: {where: {type: string}}",
        "steps:",
        "  - {name: one, do: demo.place.put, with: {path: /ok/1}, needs: []}",
        "  - name: two",
        "    do: demo.place.put",
        "    with: {path: /ok/2}",
        "    hooks:",
        "      applied:",
        "        do: demo.tell.all",
        '        with: {path: "${inputs.where}", owner: "${steps.one.path}", extra: "${secret.token}"}',
    )
    assert compiled.plan is not None

    assert (compiled.plan.steps[1].needs, compiled.plan.steps[1].refers) == ((0,), ((0, "path"),))
    assert list(compiled.secrets) == ["token"]
    assert compiled.warnings == ()


def test_a_hook_whose_arguments_follow_from_the_inputs_is_checked_with_them(places: Registry) -> None:
    """The file's hook at its place in the file, once for however many steps."""
    text = "\n".join(
        (
            "saga: a",
            "inputs: {where: {type: string}}",
            'hooks: {applied: {do: demo.tell.all, with: {path: "${inputs.where}"}}}',
            "steps:",
            *(PUT, "  - {name: more, do: demo.place.put, with: {path: /ok/d}}"),
        )
    )
    compiler = Compiler(places)
    compiled = compiler.source(text, format="yaml")
    _, problems = compiler.bind(compiled, {"where": "/bad"})
    _, none = compiler.bind(compiled, {"where": "/ok/e"})

    assert [str(each) for each in problems] == [
        "3:51: hooks.applied.with.path: `/bad` is not below /ok: choose another"
    ]
    assert none == []


def test_a_hook_is_no_way_around_what_the_node_demands_of_its_type(made: Made) -> None:
    """The step asks, since what is approved is the step with its hook."""
    compiled = made(
        f"hooks: {{applied: {TELL}}}",
        "steps:",
        *(PUT, ASK),
        policy=Policy(types={"demo.tell": TypePolicy(approve="each")}),
    )
    assert compiled.plan is not None

    assert [step.asks for step in compiled.plan.steps] == ["each", "never"]
