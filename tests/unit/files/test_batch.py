"""A batch file: what it holds, what is wrong with it and with the sagas that it names, each with its place."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from orchestrator.files.batch import MOST_SAGAS, CompiledBatch, compile_batch
from orchestrator.files.compile import Compiler
from orchestrator.files.load import load, load_object
from providers.registry import Registry

ONE = """\
saga: one
inputs: {path: {type: string}, size: {type: integer, default: 1}}
steps:
  - {name: a, do: demo.thing.create, with: {path: "${inputs.path}", size: "${inputs.size}"}}
"""
WRITTEN = {"saga": "two", "steps": [{"name": "a", "do": "demo.thing.create", "with": {"path": "/ok"}}]}
BATCH = """\
batch: nightly
mode: best_effort
parallel: 2
sagas:
  - {file: jobs/one.yaml, inputs: {path: /ok/1}}
  - {file: jobs/one.yaml, inputs: {path: /ok/2, size: 5}}
  - saga:
      saga: two
      steps: [{name: a, do: demo.thing.create, with: {path: /ok}}]
"""
CompileBatch = Callable[..., CompiledBatch]


@pytest.fixture(scope="session")
def batch(registry: Registry) -> CompileBatch:
    """Compile a batch: text, or an object as the API takes it."""
    compiler = Compiler(registry)

    def compile_it(
        given: Any, files: Mapping[str, str] | None = None, format: str = "yaml", name: str = ""
    ) -> CompiledBatch:
        document = (
            load(given, format=format, name=name) if isinstance(given, str) else load_object(dict(given))
        )
        return compile_batch(document, files or {}, compiler, lambda secret: secret == "known")

    return compile_it


def problems(compiled: CompiledBatch) -> list[str]:
    """Give what is wrong, a line each."""
    return [str(each) for each in compiled.problems]


@pytest.mark.parametrize("format", ["yaml", "json", "toml"])
def test_a_batch_is_its_sagas_in_order_each_with_its_inputs(batch: CompileBatch, format: str) -> None:
    """By whatever format it comes; one file may be named many times."""
    text = {
        "yaml": BATCH,
        "json": json.dumps(
            {
                "batch": "nightly",
                "mode": "best_effort",
                "parallel": 2,
                "sagas": [
                    {"file": "jobs/one.yaml", "inputs": {"path": "/ok/1"}},
                    {"file": "jobs/one.yaml", "inputs": {"path": "/ok/2", "size": 5}},
                    {"saga": WRITTEN},
                ],
            }
        ),
        "toml": """
batch = "nightly"
mode = "best_effort"
parallel = 2
sagas = [
  {file = "jobs/one.yaml", inputs = {path = "/ok/1"}},
  {file = "jobs/one.yaml", inputs = {path = "/ok/2", size = 5}},
  {saga = {saga = "two", steps = [{name = "a", do = "demo.thing.create", with = {path = "/ok"}}]}},
]
""",
    }[format]
    compiled = batch(text, {"jobs/one.yaml": ONE}, format)

    assert problems(compiled) == []
    assert (compiled.name, compiled.mode, compiled.parallel) == ("nightly", "best_effort", 2)
    assert [each.compiled.plan.kind for each in compiled.members if each.compiled.plan] == [
        "one",
        "one",
        "two",
    ]
    assert [each.inputs for each in compiled.members] == [
        {"path": "/ok/1", "size": 1},
        {"path": "/ok/2", "size": 5},
        {},
    ]


def test_what_is_not_said_is_all_or_nothing_all_at_once_and_taken_back(batch: CompileBatch) -> None:
    """The defaults, of a batch that came as an object."""
    compiled = batch({"batch": "b", "sagas": [{"saga": WRITTEN}]})

    assert (problems(compiled), compiled.mode, compiled.parallel, compiled.on_failure) == (
        [],
        "all_or_nothing",
        None,
        "compensate",
    )


def test_everything_wrong_is_named_with_its_place(batch: CompileBatch) -> None:
    """In the batch file by line and column; in a saga file by that one's name and its own lines."""
    text = """\
batch: Nightly
mode: all
parallel: 0
on_failure: ignore
parallell: 2
sagas:
  - {file: one.yaml, inputs: {path: /no, siez: 2}}
  - {file: gone.yaml}
  - {file: one.yaml, saga: {saga: x, steps: []}}
  - {inputs: {}}
  - {fil: one.yaml}
  - {file: "${inputs.x}"}
  - {file: bad.yaml}
  - {saga: {saga: two, steps: [{name: a, do: demo.thing.burm}]}}
  - one.yaml
"""
    bad = "saga: bad\nsteps:\n  - {name: a, do: demo.thing.creat, with: {path: /ok}}\n"
    found = problems(batch(text, {"one.yaml": ONE, "bad.yaml": bad}, name="b.yaml"))

    for said in (
        "b.yaml:1:8: batch: `Nightly` is not a name",
        "b.yaml:2:7: mode: `all` is not `all_or_nothing` or `best_effort`",
        "b.yaml:3:11: parallel: must be at least 1: 0",
        "b.yaml:4:13: on_failure: `ignore` is not `compensate` or `stop` or `hold`",
        "b.yaml:5:1: parallell: unknown key `parallell` (did you mean `parallel`?)",
        "b.yaml:7:30: sagas[0].inputs: inputs.siez: the saga declares no input `siez` (did you mean `size`?)",
        "b.yaml:8:12: sagas[1].file: the text of `gone.yaml` was not sent along (`sagactl batch submit` sends it",
        "b.yaml:9:5: sagas[2]: needs either `file` or `saga`",
        "b.yaml:9:28: sagas[2].saga: steps: there are no steps",
        "b.yaml:10:5: sagas[3]: needs either `file` or `saga`",
        "b.yaml:11:6: sagas[4].fil: unknown key `fil` (did you mean `file`?)",
        "b.yaml:12:12: sagas[5].file: a reference is not resolved here",
        "bad.yaml:3:19: steps[0].do: `demo.thing` has no verb `creat` (did you mean `create`?)",
        "b.yaml:14:12: sagas[7].saga: steps[0].do: `demo.thing` has no verb `burm`",
        "b.yaml:15:5: sagas[8]: must be a mapping with `file`, `saga`, `inputs`, not text",
    ):
        assert any(each.startswith(said) for each in found), (said, found)
    assert len(found) == len(set(found))


def test_what_the_driver_refuses_of_the_inputs_is_said_of_the_entry(batch: CompileBatch) -> None:
    """The file is right, and what this entry gives it is not."""
    text = "batch: b\nsagas:\n  - {file: one.yaml, inputs: {path: /no}}\n  - {file: one.yaml}\n"
    found = problems(batch(text, {"one.yaml": ONE}))

    assert found[0].startswith("3:30: sagas[0].inputs: one.yaml:4:")
    assert "`/no` is not below /ok" in found[0]
    assert found[1].startswith("4:5: sagas[1].inputs: inputs.path: the input is missing")
    assert len(found) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: the file is empty (begin with `batch: NAME` and `sagas:`)"),
        ("saga: a\nsteps: []\n", "1:1: this is a saga file, not a batch file (`sagactl submit` starts it)"),
        ("batch: b\n", "1:1: `sagas` is missing"),
        ("batch: b\nsagas: []\n", "2:8: sagas: 0 sagas (give one to 1,000)"),
        ("batch: b\nsagas: {}\n", "2:8: sagas: must be a list of sagas, not a mapping"),
    ],
)
def test_what_is_no_batch_file_is_told_apart(batch: CompileBatch, text: str, problem: str) -> None:
    """In one problem, with what to do."""
    assert problems(batch(text)) == [problem]


@pytest.mark.parametrize("parallel", [True, 1.5, "2", -1])
def test_parallel_is_a_whole_number_of_at_least_one(batch: CompileBatch, parallel: object) -> None:
    """Of no other kind."""
    (said,) = problems(batch({"batch": "b", "parallel": parallel, "sagas": [{"saga": WRITTEN}]}))

    assert said.startswith("parallel: must be ")


def test_there_is_a_limit_of_sagas(batch: CompileBatch) -> None:
    """As many as may be are taken, one more is not."""
    sagas = [{"saga": WRITTEN}] * MOST_SAGAS

    assert len(batch({"batch": "b", "sagas": sagas}).members) == MOST_SAGAS
    assert problems(batch({"batch": "b", "sagas": [*sagas, sagas[0]]})) == [
        "sagas: 1001 sagas (give one to 1,000)"
    ]


def test_what_is_wrong_with_many_is_told_up_to_a_limit(batch: CompileBatch) -> None:
    """A thousand entries with the same mistake have one cause."""
    compiled = batch({"batch": "b", "sagas": [{"file": "one.yaml"}] * 300}, {"one.yaml": ONE})

    assert len(problems(compiled)) == 201
    assert problems(compiled)[-1] == "the whole file: and 100 more problems"


def test_secrets_must_be_there(batch: CompileBatch) -> None:
    """As for a saga alone."""
    step = {"name": "a", "do": "demo.thing.create", "with": {"path": "/ok", "tags": ["${secret.gone}"]}}
    (said,) = problems(batch({"batch": "b", "sagas": [{"saga": {"saga": "a", "steps": [step]}}]}))

    assert said.startswith("sagas[0].inputs: steps[0].with.tags[0]: `${secret.gone}`: there is no secret")


def test_warnings_of_sagas_are_told(batch: CompileBatch) -> None:
    """Each of its own file's place, and once."""
    text = "saga: w\ninputs: {n: {type: any}}\nsteps:\n  - {name: a, do: demo.thing.ask, with: {path: /ok}}\n"
    entry = {"file": "w.yaml", "inputs": {"n": 1}}
    compiled = batch({"batch": "b", "sagas": [entry, entry]}, {"w.yaml": text})

    assert problems(compiled) == []
    told = [str(each) for each in compiled.warnings]
    assert told
    assert all(each.startswith("w.yaml:") for each in told)
    assert len(told) == len(set(told))
