"""A stack file: what it holds, and what is wrong with it, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
import pytest

from orchestrator.files.load import load, load_object
from orchestrator.files.stack import MOST_RESOURCES, CompiledStack, compile_stack, is_stack
from providers.contract import Blobs, Driver, Resource, Verb
from providers.registry import Registry
from tests.unit.files.conftest import OUTPUTS, Nothing, Thing, ThingDriver


class Place(msgspec.Struct):
    """Where."""

    path: str


class Kept(ThingDriver):
    """Can be made and deleted."""

    type = "demo.kept"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "create": Verb(arguments=Thing, outputs=OUTPUTS, inverse="delete"),
        "delete": Verb(arguments=Place, outputs={"path": str}, inverse="create"),
        "burn": Verb(arguments=Nothing, irreversible=True),
        "tell": Verb(arguments=Place, changes=False),
    }

    def resource(self, verb: str, arguments: Any) -> Resource:
        """Name it."""
        return Resource(self.type, arguments.path, path=arguments.path)


@pytest.fixture(scope="module")
def drivers(registry: Registry, blobs: Blobs) -> Registry:
    """The drivers, with one whose resources can be kept."""
    known: dict[str, Driver] = {**registry.drivers, "demo.kept": Kept({}, blobs)}
    return Registry(known, registry.refused)


Compile = Callable[..., CompiledStack]


@pytest.fixture(scope="module")
def compiled(drivers: Registry) -> Compile:
    """Compile a text."""

    def compile_text(text: str, name: str = "") -> CompiledStack:
        return compile_stack(load(text, format="yaml", name=name), drivers)

    return compile_text


def said(stack: CompiledStack) -> list[str]:
    """What is wrong, a line each."""
    return [str(each) for each in stack.problems]


GOOD = """\
stack: harbour
labels: {site: harbour}
on_failure: stop
resources:
  - {type: demo.kept, name: c, spec: {path: "${resources.b.path}/c"}, needs: [a]}
  - {type: demo.kept, name: a, spec: {path: /ok/a}, protect: true}
  - {type: demo.kept, name: b, spec: {path: "${resources.a.path}/b"}, replace: delete_before_create}
"""


def test_a_stack_is_its_resources_each_behind_what_it_needs(compiled: Compile) -> None:
    """A reference is a need; the rest is a saga file's."""
    stack = compiled(GOOD)

    assert said(stack) == []
    assert [(each.index, each.name, each.needs) for each in stack.resources] == [
        (1, "a", ()),
        (2, "b", ("a",)),
        (0, "c", ("a", "b")),
    ]
    assert [each.protect for each in stack.resources] == [True, False, False]
    assert [each.replace for each in stack.resources][1:] == ["delete_before_create", "create_before_delete"]
    assert (stack.name, stack.labels, stack.shared) == (
        "harbour",
        {"site": "harbour"},
        {"on_failure": "stop"},
    )


LINE = "  - {type: demo.kept, name: a, spec: {path: /ok}"
PATH = "5:38: resources[1].spec.path: "


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("protect: yes}", "4:53: resources[0].protect: must be true or false, not text (write `true`)"),
        ("protct: true}", "4:53: resources[0].protct: unknown key `protct` (did you mean `protect`?)"),
        (
            "replace: never}",
            "4:53: resources[0].replace: `never` is not `create_before_delete` or `delete_before_create`",
        ),
        ("needs: b}", "4:53: resources[0].needs: must be a list of resource names, not text (write `[b]`)"),
        ("needs: [a]}", "4:53: resources[0].needs[0]: a resource cannot need itself (remove it)"),
        ("needs: [bb]}", "4:53: resources[0].needs[0]: unknown resource `bb` (did you mean `b`?)"),
    ],
)
def test_every_key_of_a_resource_is_checked(compiled: Compile, line: str, problem: str) -> None:
    """One mistake, one problem, at its line and column."""
    text = f"stack: s\n\nresources:\n{LINE}, {line}\n  - {{type: demo.kept, name: b, spec: {{path: /ok}}}}\n"
    found = said(compiled(text))

    assert len(found) == 1
    place, _, what = problem.partition(": ")
    assert found[0].startswith(place.split(":")[0] + ":")
    assert found[0].partition(": ")[2].startswith(what)


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        ("{name: b, spec: {}}", "5:5: resources[1]: `type` is missing"),
        ("{type: demo.kept, spec: {path: /ok}}", "5:5: resources[1]: `name` is missing"),
        ("{type: demo.kept, name: b}", "5:5: resources[1]: `spec` is missing"),
        ("{type: demo.kept, name: b, spec: 5}", "5:38: resources[1].spec: must be a mapping of arguments, not a whole number"),
        ("{type: demo.kept, name: a, spec: {path: /ok}}", "5:29: resources[1].name: the name `a` is taken by resources[0] (every resource needs a name of its own)"),
        ("{type: demo.kep, name: b, spec: {}}", "5:12: resources[1].type: unknown type `demo.kep` (did you mean `demo.kept`?)"),
        ("{type: demo.thing, name: b, spec: {}}", "5:12: resources[1].type: `demo.thing` is no resource that can be kept (there are: demo.kept)"),
        ("{type: gone, name: b, spec: {}}", "5:12: resources[1].type: the type `gone` is not available: it was written for contract 7; it has no version"),
        ("{type: demo.kept, name: b, spec: {}}", "5:38: resources[1].spec: the argument `path` is missing"),
        ("{type: demo.kept, name: b, spec: {path: /ok, paht: 1}}", "5:50: resources[1].spec.paht: unknown argument `paht` (did you mean `path`?)"),
        ("{type: demo.kept, name: b, spec: {path: /ok, size: x}}", "5:56: resources[1].spec.size: "),
        ("{type: demo.kept, name: b, spec: {path: '${resources.x.path}'}}", "5:45: resources[1].spec.path: `${resources.x.path}`: there is no resource `x`"),
        ("{type: demo.kept, name: b, spec: {path: '${resources.a.pth}'}}", "5:45: resources[1].spec.path: `${resources.a.pth}`: there is no output `pth` (did you mean `path`?)"),
        ("{type: demo.kept, name: b, spec: {path: '${resources.a}'}}", "5:45: resources[1].spec.path: `${resources.a}`: it names no output"),
        ("{type: demo.kept, name: b, spec: {path: '${resources.b.path}'}}", "5:45: resources[1].spec.path: `${resources.b.path}`: a resource cannot refer to itself"),
        ("{type: demo.kept, name: b, spec: {path: '${inputs.x}'}}", "5:45: resources[1].spec.path: `${inputs.x}`: a stack file has no inputs (write the value)"),
        ("{type: demo.kept, name: b, spec: {path: '${steps.a.path}'}}", "5:45: resources[1].spec.path: `${steps.a.path}`: a stack file has resources: write ${resources.a.path}"),
        ("{type: demo.kept, name: b, spec: {path: '${saga.id}'}}", "5:45: resources[1].spec.path: `${saga.id}`: it would be another with each apply"),
        ("{type: demo.kept, name: b, spec: {path: '${self.path}'}}", "5:45: resources[1].spec.path: `${self.path}`: a step's own outputs"),
        ("{type: demo.kept, name: b, spec: {path: '${x'}}", "5:45: resources[1].spec.path: `${` without a closing `}`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_resource_is_told_at_its_place(
    compiled: Compile, resource: str, problem: str
) -> None:
    """Types, names, specs and references; long ones are compared by their beginning."""
    text = f"stack: s\nresources:\n\n  - {{type: demo.kept, name: a, spec: {{path: /ok}}}}\n  - {resource}\n"

    assert [each[: len(problem)] for each in said(compiled(text))] == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: the file is empty (begin with `stack: NAME` and `resources:`)"),
        ("saga: x\nsteps: []\n", "1:1: this is a saga file, not a stack file (`sagactl submit` starts it)"),
        ("resources: []\n", "1:1: `stack` is missing"),
        ("stack: s\n", "1:1: `resources` is missing"),
        ("stack: S\nresources: []\n", "1:8: stack: `S` is not a name"),
        ("stack: s\nresources: {}\n", "2:12: resources: must be a list of resources, not a mapping (each `- {type: …, name: …, spec: {…}}`)"),
        ("stack: s\nresources: []\ninputs: {}\n", "3:1: inputs: unknown key `inputs`"),
        ("stack: s\nresources: []\non_failure: stpo\n", "3:13: on_failure: `stpo` is not `compensate` or `stop` or `hold` (did you mean `stop`?)"),
        ("stack: s\nresources: []\npolicy: {approve: maybe}\n", "3:19: policy.approve: `maybe` is not"),
        ("stack: s\nresources: []\nhooks: {applied: {do: demo.kept.burn}}\n", "3:23: hooks.applied.do: `demo.kept.burn` cannot be taken back"),
    ],
)  # fmt: skip
def test_every_key_of_the_file_is_checked(compiled: Compile, text: str, problem: str) -> None:
    """One mistake, one problem, on its line; long ones are compared by their beginning."""
    assert [each[: len(problem)] for each in said(compiled(text))] == [problem]


def test_circles_are_told(compiled: Compile) -> None:
    """By reference and by need together."""
    text = (
        "stack: s\nresources:\n"
        "  - {type: demo.kept, name: a, spec: {path: /ok}, needs: [b]}\n"
        '  - {type: demo.kept, name: b, spec: {path: "${resources.a.path}"}}\n'
    )
    found = said(compiled(text))

    assert len(found) == 1
    assert "a" in found[0]
    assert "b" in found[0]
    assert found[0].startswith("3:")


@pytest.mark.parametrize(
    ("event", "argument", "problem"),
    [
        ("applied", "${self.path}", None),
        ("deleted", "${self.path}", None),
        ("applied", "${saga.id}", None),
        ("applied", "${self.pth}", "there is no output `pth`, for resource `a`"),
        ("deleted", "${self.size}", "there is no output `size`, for resource `a`"),
        ("applied", "${resources.a.path}", "hooks are the same for all resources (write ${self.FIELD})"),
    ],
)
def test_hooks_are_checked_with_the_file(
    compiled: Compile, event: str, argument: str, problem: str | None
) -> None:
    """For what each resource puts out when it was made, and when it was deleted."""
    hook = f"hooks: {{{event}: {{do: demo.kept.tell, with: {{path: '{argument}'}}}}}}"
    found = said(compiled(f"stack: s\n{hook}\nresources:\n{LINE}}}\n"))

    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]
    assert problem is None or found[0].startswith("2:")


def test_there_are_not_too_many(compiled: Compile) -> None:
    """So many, and one more."""
    lines = [f"  - {{type: demo.kept, name: r{n}, spec: {{path: /ok}}}}" for n in range(MOST_RESOURCES + 1)]

    assert said(compiled("stack: s\nresources:\n" + "\n".join(lines[:-1]))) == []
    assert said(compiled("stack: s\nresources:\n" + "\n".join(lines))) == [
        "3:3: resources: there are 1,001 resources; a stack has at most 1,000 (split it into several stacks)"
    ]


def test_secrets_are_named_with_their_first_place(compiled: Compile) -> None:
    """Of specs and of hooks: whoever has none of that name is told where."""
    text = (
        "stack: s\nhooks: {applied: {do: demo.thing.ask, with: {path: '${secret.b}'}}}\nresources:\n"
        f"{LINE}}}\n  - {{type: demo.kept, name: b, spec: {{path: /ok, owner: '${{secret.a}}'}}}}\n"
    )
    stack = compiled(text)

    assert {name: problem.line for name, problem in stack.secrets.items()} == {"a": 5, "b": 2}
    assert str(stack.secrets["a"]).endswith(
        "`${secret.a}`: there is no secret `a` (put a file of that name into the secrets folder, `[secrets] dir`)"
    )


def test_no_resource_is_named_by_a_secret(compiled: Compile) -> None:
    """Neither one of the stack nor one that its hooks are about: what names it is on record as it is."""
    text = (
        "stack: s\nhooks: {applied: {do: demo.kept.tell, with: {path: '/ok/${secret.b}'}}}\nresources:\n"
        "  - {type: demo.kept, name: b, spec: {path: '/ok/${secret.a}', owner: '${secret.a}'}}\n"
    )
    problems = said(compiled(text))

    assert [problem.partition(" cannot be in what says which")[0] for problem in problems] == [
        "2:52: hooks.applied.with.path: `${secret.b}`",
        "4:45: resources[0].spec.path: `${secret.a}`",
    ]


def test_every_problem_is_told_at_once_with_the_files_name(compiled: Compile) -> None:
    """In the order of the file."""
    text = "stack: S\nresources:\n  - {type: x, name: 1a, spec: {}}\n  - {nam: a}\n"

    assert [each.partition(": ")[0] for each in said(compiled(text, "web.yaml"))][:3] == [
        "web.yaml:1:8",
        "web.yaml:3:12",
        "web.yaml:3:21",
    ]


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ({"stack": "a"}, True),
        ({"stack": "a", "saga": "b"}, False),
        ({"batch": "a", "stack": "b"}, False),
        ([], False),
    ],
)
def test_what_is_a_stack_file(value: Any, *, is_one: bool) -> None:
    """It says so, and nothing else."""
    assert is_stack(load_object(value).value) is is_one
