"""What is wrong with a saga file: every problem, in the words that its author reads."""

from collections.abc import Callable
from textwrap import indent

import pytest

Wrong = Callable[..., list[str]]

FORMS = (
    "there are ${inputs.NAME}, ${steps.NAME.FIELD}, ${self.FIELD}, ${saga.id}, ${saga.kind}, ${secret.NAME};"
    " `$${` is a literal `${`"
)
HEAD = (
    "saga: a\ninputs: {text: {type: string}, n: {type: integer}, many: {type: list}, obj: {type: object}}\n"
)


def steps(*texts: str) -> str:
    """Write a file with these steps, beginning on line 4."""
    return HEAD + "steps:\n" + "".join("- " + indent(text, "  ").lstrip() + "\n" for text in texts)


def thing(arguments: str, *more: str) -> str:
    """Write a file of one step with these arguments, on line 5."""
    return steps("\n".join([f"{{name: x, do: demo.thing.create, with: {{{arguments}}}}}", *more]))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["the whole file: the file is empty (begin with `saga: NAME` and `steps:`)"]),
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
            "policy: {approve: each}",
            "policy: `policy` is not supported yet by this version (leave it out for now)",
        ),
        ("hooks: {}", "hooks: `hooks` is not supported yet by this version (leave it out for now)"),
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
        ("hooks: {}", "5:3: steps[0].hooks: `hooks` is not supported yet by this version (leave it out for now)"),
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


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("", "4:42: steps[0].with: the argument `path` is missing (it is text)"),
        ("path: /ok, paht: 1", "4:54: steps[0].with.paht: unknown argument `paht` (did you mean `path`?)"),
        ("path: 5", "4:49: steps[0].with.path: must be text, not a whole number (quote it)"),
        ("path: /ok, size: '5'", "4:60: steps[0].with.size: must be a whole number, not text"),
        ("path: /ok, size: 1.5", "4:60: steps[0].with.size: must be a whole number, not a number"),
        ("path: /ok, loud: yes", "4:60: steps[0].with.loud: must be true or false, not text"),
        ("path: /ok, mode: fst", "4:60: steps[0].with.mode: must be `slow` or `fast`, not `fst` (did you mean `fast`?)"),
        ("path: /ok, mode: 5", "4:60: steps[0].with.mode: must be `slow` or `fast`, not a whole number"),
        ("path: /ok, owner: 5", "4:61: steps[0].with.owner: must be text, not a whole number (quote it)"),
        ("path: /ok, tags: a", "4:60: steps[0].with.tags: must be a list, not text"),
        ("path: /ok, tags: [a, 5]", "4:64: steps[0].with.tags[1]: must be text, not a whole number (quote it)"),
        ("path: /ok, tags: {a: '${inputs.text}'}", "4:60: steps[0].with.tags: must be a list, not a mapping"),
        ("path: /ok, env: {a: b}", "4:63: steps[0].with.env.a: must be a whole number, not text"),
        ("path: /ok, parts: [{label: a}, {weight: 1}]", "4:74: steps[0].with.parts[1]: the argument `label` is missing (it is text)"),
        ("path: /ok, parts: [{label: a, wieght: 1}]", "4:73: steps[0].with.parts[0].wieght: unknown argument `wieght` (did you mean `weight`?)"),
        ("path: /no", "4:49: steps[0].with.path: `/no` is not below /ok: choose another"),
        ("path: /quoted", '4:49: steps[0].with.path: "path" must be better'),
        ("path: /bug", "4:42: steps[0].with: the driver demo.thing cannot check this: ZeroDivisionError: a bug"),
        ("path: '${env.HOME}'", "4:49: steps[0].with.path: `${env.HOME}` is not a reference; " + FORMS),
        ("path: '${inputs.txt}'", "4:49: steps[0].with.path: `${inputs.txt}`: there is no input `txt` (did you mean `text`?)"),
        ("path: '${inputs.n}'", "4:49: steps[0].with.path: must be text, but `${inputs.n}` is a whole number (as a whole value a reference keeps its type)"),
        ("path: /ok, size: '${inputs.n}x'", "4:60: steps[0].with.size: must be a whole number, but `${inputs.n}x` is text"),
        ("path: /ok, size: '${inputs.text}'", "4:60: steps[0].with.size: must be a whole number, but `${inputs.text}` is text (as a"),
        ("path: '/ok/${inputs.many}'", "4:49: steps[0].with.path: `${inputs.many}` is a list and cannot be put into a longer text (use it as the whole value)"),
        ("path: '${inputs.text.a}'", "4:49: steps[0].with.path: `${inputs.text.a}`: it is text and has no `a`"),
        ("path: '${inputs.many.first}'", "4:49: steps[0].with.path: `${inputs.many.first}`: it is a list (take an item by its number, from 0)"),
        ("path: '${saga.name}'", "4:49: steps[0].with.path: `${saga.name}`: a saga has no `name` (there are: id, kind)"),
        ("path: '${self.path}'", "4:49: steps[0].with.path: `${self.path}`: a step's own outputs are there only in its undo and hooks (the outputs of an earlier step are ${steps.NAME.FIELD})"),
        ("path: '${steps.x.path}'", "4:49: steps[0].with.path: `${steps.x.path}`: a step cannot refer to itself (use its arguments instead)"),
        ("path: '${steps.y.path}'", "4:49: steps[0].with.path: `${steps.y.path}`: there is no step `y` (there are none)"),
        ("path: '${inputs.n'", "4:49: steps[0].with.path: `${` without a closing `}` in '${inputs.n': close it, or write `$${` for the two characters"),
        ("path: /ok, extra: {deep: ['${steps.y.a}']}", "4:69: steps[0].with.extra.deep[0]: `${steps.y.a}`: there is no step `y` (there are none)"),
    ],
)  # fmt: skip
def test_every_argument_is_checked(wrong: Wrong, arguments: str, problem: str) -> None:
    """Against the verb's declaration, the references' kinds and what the driver says."""
    found = wrong(thing(arguments))

    assert [one[: len(problem)] for one in found] == [problem]


@pytest.mark.parametrize(
    "arguments",
    [
        "path: '${inputs.text}/${inputs.n}', size: '${inputs.n}', tags: '${inputs.many}', env: '${inputs.obj}'",
        "path: '${secret.a.b}', owner: null, extra: ['${inputs.many}', {a: '${inputs.obj.x.y}'}]",
        "path: '/ok/${saga.id}-${saga.kind}', size: '${inputs.many.0}', tags: [a, '${inputs.text}']",
        "path: '/ok/$${HOME}', parts: [{label: '${inputs.text}', weight: '${inputs.n}'}], loud: true",
        "path: /ok, parts: ['${inputs.obj}'], env: {a: 5, b: '${inputs.n}'}",
    ],
)
def test_what_may_fit_is_accepted(wrong: Wrong, arguments: str) -> None:
    """A reference is refused only where it certainly does not fit."""
    assert wrong(thing(arguments)) == []


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        (
            "${steps.a}",
            "it names no output (write ${steps.a.FIELD}; there are: extra, info, owner, parts, path, size)",
        ),
        ("${steps.a.pth}", "there is no output `pth` (did you mean `path`?)"),
        ("${steps.a.path.x}", "it is text and has no `x`"),
        ("${steps.a.parts.x}", "it is a list (take an item by its number, from 0)"),
        (
            "${steps.c.path}",
            "the step `c` comes later (move it up, or give the steps `needs` so that they form a graph)",
        ),
        ("${steps.aa.path}", "there is no step `aa` (did you mean `a`?)"),
    ],
)
def test_references_to_steps_are_checked(wrong: Wrong, reference: str, problem: str) -> None:
    """Names, outputs and order."""
    create = "{{name: {0}, do: demo.thing.create, with: {{path: {1}}}}}"
    found = wrong(
        steps(create.format("a", "/ok"), create.format("b", f"'{reference}'"), create.format("c", "/ok"))
    )

    assert [one.partition("`: ")[2] for one in found] == [problem]


def test_the_type_of_an_output_must_fit(wrong: Wrong) -> None:
    """An int is no text; Any, and what may be text or nothing, may fit; open outputs are not known."""
    first = "{name: a, do: demo.thing.ask, with: {path: /ok}, undo: none}"
    for field, problems in (
        ("size", 1),
        ("path", 0),
        ("extra", 0),
        ("owner", 0),
        ("captured", 0),
        ("info", 1),
    ):
        text = steps(first, f"{{name: b, do: demo.thing.create, with: {{path: '${{steps.a.{field}}}'}}}}")

        assert len(wrong(text)) == problems, field


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ("demo.thing.crate", "`demo.thing` has no verb `crate` (did you mean `create`?)"),
        ("demo.thin.create", "unknown operation `demo.thin.create` (did you mean `demo.thing.create`?)"),
        (
            "demo.thing",
            "`demo.thing` is not an operation, which is TYPE.VERB (did you mean `demo.thing.ask`?)",
        ),
        ("reboot", "`reboot` is not an operation, which is TYPE.VERB (there are: demo.thing.ask,"),
        (
            "gone.create",
            "the type `gone` is not available: it was written for contract 7; it has no version (mend",
        ),
    ],
)
def test_operations_are_found_or_the_nearest_is_named(wrong: Wrong, operation: str, problem: str) -> None:
    """A refused type says why; references to such a step are not judged."""
    text = steps(
        f"{{name: a, do: {operation}, with: {{x: 1}}}}",
        "{name: b, do: demo.thing.create, with: {path: '${steps.a.z}'}}",
    )
    found = wrong(text)

    assert len(found) == 1
    assert found[0].startswith(f"4:17: steps[0].do: {problem}")


def test_a_name_taken_twice_is_told(wrong: Wrong) -> None:
    """With the step that has it."""
    text = steps(*["{name: a, do: demo.thing.read}"] * 2)

    assert wrong(text) == [
        "5:10: steps[1].name: the name `a` is taken by steps[0] (every step needs a name of its own)"
    ]


@pytest.mark.parametrize("name", ["2nd", "a b", "a.b", "", "x" * 101])
def test_an_ill_formed_name_is_told(wrong: Wrong, name: str) -> None:
    """A reference could not name it."""
    assert "is not a name (letters, digits" in wrong(steps(f"{{name: '{name}', do: demo.thing.read}}"))[0]


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
