"""Operations, their arguments and the references in them."""

from collections.abc import Callable

import pytest

from tests.unit.files.texts import steps

Wrong = Callable[..., list[str]]


FORMS = (
    "there are ${inputs.NAME}, ${steps.NAME.FIELD}, ${self.FIELD}, ${saga.id}, ${saga.kind}, ${secret.NAME};"
    " `$${` is a literal `${`"
)


def thing(arguments: str, *more: str) -> str:
    """Write a file of one step with these arguments, on line 5."""
    return steps("\n".join([f"{{name: x, do: demo.thing.create, with: {{{arguments}}}}}", *more]))


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
        ("path: /ok, maybe: [1, x]", "4:65: steps[0].with.maybe[1]: must be a whole number, not text"),
        ("path: /ok, maybe: x", "4:61: steps[0].with.maybe: must be a list, not text"),
        ("path: /ok, owner: '${inputs.n}'", "4:61: steps[0].with.owner: must be text, but `${inputs.n}` is a whole number (as"),
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
