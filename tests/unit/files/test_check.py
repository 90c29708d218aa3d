"""What is wrong with a saga file: every problem, in the words that its author reads."""

from collections.abc import Callable

import pytest

from tests.unit.files.texts import steps

Wrong = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1:1: the file is empty (begin with `saga: NAME` and `steps:`)"]),
        ("[]", ["1:1: must be a mapping with `saga`, `description`, `inputs`, `labels`, not a list"]),
        ("x", ["1:1: must be a mapping with `saga`, `description`, `inputs`, `labels`, not text"]),
        ("stack: a", ["1:1: this is a stack file, not a saga file (use `sagactl plan` and `sagactl apply`)"]),
        ("description: a", ["1:1: `saga` is missing", "1:1: `steps` is missing"]),
        (
            "saga: a\nstep: []",
            ["1:1: `steps` is missing", "2:1: step: unknown key `step` (did you mean `steps`?)"],
        ),
        (
            "saga: a\nsteps: []",
            ["2:8: steps: there are no steps (add one: `- {name: …, do: TYPE.VERB, with: {…}}`)"],
        ),
        (
            "saga: a\nsteps: {}",
            [
                "2:8: steps: must be a list of steps, not a mapping (each `- {name: …, do: TYPE.VERB, with: {…}}`)"
            ],
        ),
        (
            "saga: a\nsteps:",
            [
                "2:7: steps: must be a list of steps, not nothing (each `- {name: …, do: TYPE.VERB, with: {…}}`)"
            ],
        ),
        (
            "saga: a\nsteps: [5]",
            ["2:9: steps[0]: must be a mapping with `name`, `do`, `with`, `as`, not a whole number"],
        ),
        (
            "saga: a\nsteps: [" + "{name: a, do: demo.thing.read}, " * 1001 + "]",
            [
                "2:8: steps: there are 1,001 steps; a saga has at most 1,000 (split it into several sagas, or submit a batch)"
            ],
        ),
    ],
)
def test_a_file_that_is_no_saga_file_is_told_what_to_be(wrong: Wrong, text: str, problems: list[str]) -> None:
    """The first thing that a newcomer gets wrong."""
    assert wrong(text) == problems


GOOD = "\nsteps: [{name: x, do: demo.thing.create, with: {path: /ok}}]"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "policy: {approve: eech}",
            "policy.approve: `eech` is not `never` or `start` or `irreversible` or `each` (did you mean `each`?)",
        ),
        ("policy: {quorum: 0}", "policy.quorum: must be at least 1: 0"),
        (
            "policy: each",
            "policy: must be a mapping with `approve`, `approvers`, `quorum`, `four_eyes`, not text",
        ),
        ("hooks: [a]", "hooks: must be a mapping with `applied`, `deleted`, not a list"),
        (
            "on_failure: compensat",
            "on_failure: `compensat` is not `compensate` or `stop` or `hold` (did you mean `compensate`?)",
        ),
        (
            "on_undo_failure: stop",
            "on_undo_failure: `stop` is not `continue` or `hold` (there are: continue, hold)",
        ),
        ("on_conflict: [a]", "on_conflict: must be `hold` or `force` or `skip`, not a list"),
        (
            "deadline: 30",
            "deadline: must be a duration, as `250ms`, `30s`, `5m`, `2h` or `7d`, not a whole number (with its unit: `30s`)",
        ),
        (
            "deadline: 2 hours",
            "deadline: `2 hours` is not a duration: write `250ms`, `30s`, `5m`, `2h` or `7d`",
        ),
        (
            "deadline: 0s",
            "deadline: a duration must be longer than nothing (leave the key out where there is no limit)",
        ),
        ("deadline: 9999999d", "deadline: `9999999d` is longer than a thousand years"),
        ("description:", "description: must be text, not nothing (leave the key out, or give it a value)"),
        ("description: 5", "description: must be text, not a whole number (quote it)"),
        ("labels: [a]", "labels: must be a mapping of text to text, not a list"),
        ("labels: {a: 5}", "labels.a: must be text, not a whole number (quote it)"),
        ('labels: {a: "${saga.id}"}', "labels.a: a reference is not resolved here (write the text out)"),
        ("inputs: [a]", "inputs: must be a mapping of input names to `{type: …}`, not a list"),
        (
            "inputs: {a: string}",
            "inputs.a: must be a mapping with `type` and perhaps `default`, not text (write `{type: string}`)",
        ),
        (
            "inputs: {a: }",
            "inputs.a: must be a mapping with `type` and perhaps `default`, not nothing (as `{type: string}`)",
        ),
        ("inputs: {a: {default: 5}}", "inputs.a: `type` is missing"),
        (
            "inputs: {a: {type: any, defualt: 5}}",
            "inputs.a.defualt: unknown key `defualt` (did you mean `default`?)",
        ),
        (
            "inputs: {a: {type: int}}",
            "inputs.a.type: `int` is not `string` or `integer` or `number` or `boolean` or",
        ),
        (
            "inputs: {a: {type: integer, default: x}}",
            "inputs.a.default: must be an integer, as declared, not text",
        ),
        (
            "inputs: {a: {type: string, default: null}}",
            "inputs.a.default: must be a string, as declared, not nothing",
        ),
        (
            "inputs: {2nd: {type: any}}",
            'inputs."2nd": `2nd` is not a name (letters, digits, `_` and `-`, beginning with a letter or `_`, at most 100)',
        ),
    ],
)
def test_every_key_of_the_file_is_checked(wrong: Wrong, line: str, problem: str) -> None:
    """One mistake, one problem, on its line; long ones are compared by their beginning."""
    found = wrong("saga: a\n" + line + GOOD)

    assert len(found) == 1
    assert found[0].startswith("2:")
    assert found[0].partition(": ")[2].startswith(problem)


@pytest.mark.parametrize("kind", ["Publish", "a b", "", "-a", "a" * 101, "é"])
def test_a_kind_is_small_letters_and_digits(wrong: Wrong, kind: str) -> None:
    """Kinds are in file names, metrics and addresses."""
    assert "is not a name (small letters" in wrong(f'saga: "{kind}"{GOOD}')[0]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("retires: 3", "5:3: steps[0].retires: unknown key `retires` (did you mean `retry`?)"),
        ("hooks: {aplied: {}}", "5:11: steps[0].hooks.aplied: unknown key `aplied` (did you mean `applied`?)"),
        ("hooks: {applied: yes}", "5:20: steps[0].hooks.applied: must be a mapping with `do`, `with`, not text"),
        ("as: 5", "5:7: steps[0].as: must be text, not a whole number (quote it)"),
        ('as: "${saga.id}"', "5:7: steps[0].as: a reference is not resolved here (write the text out)"),
        ("keep: yes", "5:9: steps[0].keep: must be true or false, not text (write `true`)"),
        ("irreversible: 1", "5:17: steps[0].irreversible: must be true or false, not a whole number"),
        ("undo_when: start", "5:14: steps[0].undo_when: `start` is not `completed` or `started` (did you mean `started`?)"),
        ("timeout: 30", "5:12: steps[0].timeout: must be a duration, as `250ms`, `30s`, `5m`, `2h` or `7d`, not a"),
        ("timeout: 0s", "5:12: steps[0].timeout: a duration must be longer than nothing (leave the key out where"),
        ("lock_timeout: true", "5:17: steps[0].lock_timeout: must be a duration, as `250ms`"),
        ("on_conflict: hld", "5:16: steps[0].on_conflict: `hld` is not `hold` or `force` or `skip` (did you mean `hold`?)"),
        ("retry: 5", "5:10: steps[0].retry: must be a mapping, as `{attempts: 5, delay: 1s}`, not a whole number (write `{attempts: 5}`)"),
        ("retry: {attempts: 0}", "5:21: steps[0].retry.attempts: must be at least 1: 0"),
        ("retry: {attempts: many}", "5:21: steps[0].retry.attempts: must be a whole number of at least 1, not text"),
        ("retry: {factor: 0.5}", "5:19: steps[0].retry.factor: must be at least 1: 0.5 (1 waits the same each time, 2 twice as long)"),
        ("retry: {factor: x}", "5:19: steps[0].retry.factor: must be a number of at least 1, not text"),
        ("retry: {delay: 5}", "5:18: steps[0].retry.delay: must be a duration, as"),
        ("retry: {delay: 9s, max_delay: 1s}", "5:33: steps[0].retry.max_delay: must not be shorter than `delay`"),
        ("retry: {on: transient}", "5:15: steps[0].retry.on: must be a list of kinds of failure, not text (write `[transient]`)"),
        ("retry: {on: [transent]}", "5:16: steps[0].retry.on[0]: `transent` is not `transient` or `rate_limited` or `failed` (did you mean `transient`?)"),
        ("undo_retry: {attempt: 5}", "5:16: steps[0].undo_retry.attempt: unknown key `attempt` (did you mean `attempts`?)"),
        ("undo: null", "5:9: steps[0].undo: must be `restore`, `none` or `{do: …, with: …}`, not nothing (for nothing to undo write `undo: none`)"),
        ("undo: false", "5:9: steps[0].undo: must be `restore`, `none` or `{do: …, with: …}`, not true or false (for nothing to undo write `undo: none`)"),
        ("undo: nome", "5:9: steps[0].undo: `nome` is not `restore`, `none` or `{do: …, with: …}` (did you mean `none`?)"),
        ("undo: {with: {}}", "5:9: steps[0].undo: `do` is missing"),
        ("undo: {do: demo.thing.read, iwth: {}}", "5:31: steps[0].undo.iwth: unknown key `iwth` (did you mean `with`?)"),
        ("undo: {do: demo.thing.reed}", "5:14: steps[0].undo.do: `demo.thing` has no verb `reed` (did you mean `read`?)"),
        ("undo: {do: demo.thing.create, with: {path: /ok, paht: 1}}", "5:51: steps[0].undo.with.paht: unknown argument `paht` (did you mean `path`?)"),
        ("undo: {do: demo.thing.create, with: {path: '${self.pth}'}}", "5:46: steps[0].undo.with.path: `${self.pth}`: there is no output `pth` (did you mean `path`?)"),
        ("undo: {do: demo.thing.create, with: {path: /no}}", "5:46: steps[0].undo.with.path: `/no` is not below /ok: choose another"),
        ("undo: {do: demo.thing.create, with: {path: '${steps.x.path}'}}", "5:46: steps[0].undo.with.path: `${steps.x.path}`: a step cannot refer to itself (write ${self.FIELD})"),
        ("needs: x", "5:10: steps[0].needs: must be a list of step names, not text (write `[x]`)"),
        ("needs: [x]", "5:11: steps[0].needs[0]: a step cannot need itself (remove it)"),
        ("needs: [y]", "5:11: steps[0].needs[0]: unknown step `y` (there are none)"),
        ("needs: [5]", "5:11: steps[0].needs[0]: must be text, not a whole number (quote it)"),
    ],
)  # fmt: skip
def test_every_key_of_a_step_is_checked(wrong: Wrong, keys: str, problem: str) -> None:
    """One mistake, one problem, at its line and column."""
    found = wrong(steps(f"name: x\n{keys}\ndo: demo.thing.create\nwith: {{path: /ok}}"))

    assert [one[: len(problem)] for one in found] == [problem]


def test_a_name_taken_twice_is_told(wrong: Wrong) -> None:
    """With the step that has it."""
    text = steps(*["{name: a, do: demo.thing.read}"] * 3)

    assert wrong(text) == [
        "5:10: steps[1].name: the name `a` is taken by steps[0] (every step needs a name of its own)",
        "6:10: steps[2].name: the name `a` is taken by steps[0] (every step needs a name of its own)",
    ]


def test_declarations_that_cannot_be_read_do_not_make_every_use_a_problem(wrong: Wrong) -> None:
    """One mistake, one problem."""
    text = "saga: a\ninputs: [x]\nsteps: [{name: x, do: demo.thing.create, with: {path: '${inputs.x}'}}]"

    assert wrong(text) == ["2:9: inputs: must be a mapping of input names to `{type: …}`, not a list"]


@pytest.mark.parametrize("name", ["2nd", "a b", "a.b", "", "x" * 101])
def test_an_ill_formed_name_is_told(wrong: Wrong, name: str) -> None:
    """A reference could not name it."""
    assert "is not a name (letters, digits" in wrong(steps(f"{{name: '{name}', do: demo.thing.read}}"))[0]


def test_every_problem_is_told_at_once_in_the_order_of_the_file(wrong: Wrong) -> None:
    """A file with mistakes everywhere, with its name."""
    text = """\
saga: Publish
descripton: x
inputs: {n: {type: integer, default: x}}
steps:
  - name: page
    do: demo.thing.create
    with: {path: 5, content: "${inputs.m}", tags: [1, "${steps.reload.path}"]}
    timeout: 5 minutes
  - name: page
    do: demo.thing.creat
    undo: null
"""

    assert [one.partition(": ")[0] for one in wrong(text, name="p.yaml")] == [
        "p.yaml:1:7",
        "p.yaml:2:1",
        "p.yaml:3:38",
        "p.yaml:7:18",
        "p.yaml:7:21",
        "p.yaml:7:30",
        "p.yaml:7:52",
        "p.yaml:7:55",
        "p.yaml:8:14",
        "p.yaml:9:11",
        "p.yaml:10:9",
        "p.yaml:11:11",
    ]


def test_a_flood_of_problems_ends_in_their_number(wrong: Wrong) -> None:
    """Two hundred are told, the rest are counted."""
    found = wrong(
        "saga: a\nsteps: [{name: x, do: demo.thing.read}]\n" + "".join(f"k{n}: 1\n" for n in range(300))
    )

    assert len(found) == 201
    assert found[-1] == "1:1: and 100 more problems"


TOML = """\
saga = "a"

[[steps]]
name = "x"
do = "demo.thing.create"
retires = 5
with = { path = 5, tags = [
  "a",
  1,
] }
"""
JSON = """\
{"saga": "a",
 "steps": [{"name": "x", "do": "demo.thing.create",
            "retires": 5,
            "with": {"path": 5, "tags": ["a", 1]}}]}
"""


@pytest.mark.parametrize(
    ("format", "text", "places"),
    [("toml", TOML, ["6:1", "7:17", "9:3"]), ("json", JSON, ["3:13", "4:30", "4:47"])],
)
def test_toml_and_json_have_their_places_too(wrong: Wrong, format: str, text: str, places: list[str]) -> None:
    """The same problems, each format's own lines and columns."""
    assert wrong(text, format) == [
        f"{places[0]}: steps[0].retires: unknown key `retires` (did you mean `retry`?)",
        f"{places[1]}: steps[0].with.path: must be text, not a whole number (quote it)",
        f"{places[2]}: steps[0].with.tags[1]: must be text, not a whole number (quote it)",
    ]


def test_a_type_may_require_a_way_back(wrong: Wrong) -> None:
    """A driver's policy `required` refuses what could not be undone."""
    said = "steps[0]: `strict` requires a way back, and this step has none (give it `undo: {do: …, with: …}`)"
    for keys, problems in (
        ("do: strict.create", []),
        ("do: strict.create, undo: none", [f"4:3: {said}"]),
        ("do: strict.create, irreversible: true", [f"4:3: {said}"]),
        ("do: strict.ask", [f"4:3: {said}"]),
        ("do: strict.ask, undo: {do: strict.read}", []),
    ):
        assert wrong(steps(f"{{name: a, with: {{path: /ok}}, {keys}}}")) == problems, keys
