"""What a file and the node's settings ask for together: neither takes away what the other asks for."""

from collections.abc import Callable

import pytest

from actors.saga.plan import Approvals
from config.settings import Approve, Policy, TypePolicy, TypeUndo
from orchestrator.files.compile import Compiled, compile_saga
from orchestrator.files.load import load
from orchestrator.files.policy import Asks, agreed, undo_rule
from providers.contract import Blobs
from providers.registry import Registry
from providers.registry import load as load_drivers


@pytest.mark.parametrize(
    ("file", "node", "type_", "start", "asks"),
    [
        ("never", "never", None, False, "never"),
        ("start", "never", None, True, "never"),
        ("irreversible", "start", None, True, "irreversible"),
        ("each", "irreversible", None, False, "each"),
        ("never", "each", None, False, "each"),
        ("never", "never", "each", False, "each"),
        ("each", "never", "never", False, "each"),
        ("never", "start", "irreversible", True, "irreversible"),
        ("never", "never", "start", True, "never"),
    ],
)
def test_the_stricter_wins(file: str, node: Approve, type_: Approve | None, start: bool, asks: Asks) -> None:
    """Of file, node and type."""
    policy = Policy(approve=node, types={"local.file": TypePolicy(approve=type_)})
    approvals, per_step = agreed({"approve": file}, policy, ["local.file"])

    assert (approvals.start, per_step) == (start, [asks])


def test_a_types_rule_is_for_its_steps_alone() -> None:
    """The others go by file and node."""
    policy = Policy(types={"local.file": TypePolicy(approve="each")})

    assert agreed({}, policy, ["test", "local.file", "test"])[1] == ["never", "each", "never"]


def test_the_rest_is_the_files() -> None:
    """Who, how many, how long."""
    given = {"approve": "start", "approvers": ("ada",), "quorum": 2, "four_eyes": True, "expires": 5}
    wanted = Approvals(start=True, approvers=("ada",), quorum=2, four_eyes=True, expires=5)

    assert agreed(given, Policy(), [])[0] == wanted


# --- what becomes of undos ---------------------------------------------------------------------------------------------

WORDS: tuple[TypeUndo, ...] = ("auto", "none", "hold", "required")


@pytest.mark.parametrize("driver", WORDS)
@pytest.mark.parametrize("node", WORDS)
@pytest.mark.parametrize("file", WORDS)
def test_of_the_words_for_undos_the_stricter_wins(driver: TypeUndo, node: TypeUndo, file: TypeUndo) -> None:
    """In this order; and who says ``hold`` is asked also where somebody else says ``required``."""
    rule = undo_rule(driver, node, file)

    assert rule.word == WORDS[max(map(WORDS.index, (driver, node, file)))]
    assert rule.asks == ("hold" in (driver, node, file))


Under = Callable[[str, str, str], Compiled]


@pytest.fixture
def under(registry: Registry) -> Under:
    """Compile a file of one step, whose keys are given, under a file's and a node's word for the type."""

    def compile_under(keys: str, file: str, node: str, type_: str = "demo.thing") -> Compiled:
        said = "" if file == "auto" else f'policy: {{"{type_}": {{undo: {file}}}}}\n'
        text = f"saga: a\n{said}steps: [{{name: a, with: {{path: /ok}}, {keys}}}]\n"
        settings = Policy(types={type_: TypePolicy(undo=node)})  # type: ignore[arg-type]
        return compile_saga(load(text, format="yaml"), registry, settings)

    return compile_under


@pytest.mark.parametrize(("file", "node"), [("required", "none"), ("auto", "required"), ("hold", "required")])
@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ("do: demo.thing.create", False),
        ("do: demo.thing.create, undo: none", True),
        ("do: demo.thing.create, irreversible: true", True),
        ("do: demo.thing.ask", True),
        ("do: demo.thing.ask, undo: {do: demo.thing.read}", False),
    ],
)
def test_required_refuses_what_has_no_way_back(
    under: Under, keys: str, refused: bool, file: str, node: str
) -> None:
    """Whoever says so; and it says who."""
    problems = [each.problem for each in under(keys, file, node).problems]
    by = "the settings of this node" if node == "required" else "the file's own policy"
    said = f"`demo.thing` requires a way back by {by}, and this step has none"

    assert problems == ([said] if refused else [])


@pytest.mark.parametrize(
    ("keys", "warned"),
    [
        ("do: demo.thing.create", True),
        ("do: demo.thing.create, undo: none", False),
        ("do: demo.thing.ask, undo: {do: demo.thing.read}", True),
        ("do: demo.thing.ask", False),
    ],
)
def test_none_keeps_the_steps_of_a_type(under: Under, keys: str, warned: bool) -> None:
    """With a warning where something would have been undone."""
    compiled = under(keys, "none", "auto")
    said = "`demo.thing` is not undone, by the file's own policy (`undo: none`): the step will be kept"

    assert compiled.plan is not None
    assert compiled.plan.steps[0].undo.form == "none"
    assert (said in [each.problem for each in compiled.warnings]) == warned


def test_hold_has_the_undo_ask(under: Under) -> None:
    """A plan says which undos do; the operator's own `undo: none` is no undo."""
    asks = [
        [step.asks_undo for step in compiled.plan.steps]
        for compiled in (
            under("do: demo.thing.create", "auto", "auto"),
            under("do: demo.thing.create", "hold", "none"),
            under("do: demo.thing.create", "auto", "hold"),
        )
        if compiled.plan is not None
    ]
    kept = under("do: demo.thing.create, undo: none", "auto", "hold")

    assert asks == [[False], [True], [True]]
    assert kept.problems == ()


def test_a_file_says_when_steps_of_a_type_ask(registry: Registry) -> None:
    """Beside what it says of all; and whatever it says, not less than the node."""
    given = {"approve": "start", "types": {"local.file": {"approve": "each"}, "test": {"approve": "never"}}}
    node = Policy(types={"test": TypePolicy(approve="irreversible")})
    approvals, asks = agreed(given, node, ["local.file", "test", "wait"])

    assert (approvals.start, asks) == (True, ["each", "irreversible", "never"])


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            '"demo.thin": {undo: hold}',
            'policy."demo.thin": unknown type `demo.thin` (did you mean `demo.thing`?)',
        ),
        ("aprove: start", "policy.aprove: unknown key `aprove` (did you mean `approve`?)"),
        ("aprove: {}", "policy.aprove: unknown type `aprove` (did you mean `approve`?)"),
        ('"demo.thing": hold', 'policy."demo.thing": must be a mapping with `undo`, `approve`, not text'),
        (
            '"demo.thing": {undo: keep}',
            'policy."demo.thing".undo: `keep` is not `auto` or `none` or `hold` or `required`',
        ),
        ('"demo.thing": {ask: yes}', 'policy."demo.thing".ask: unknown key `ask`'),
    ],
)
def test_what_is_wrong_with_a_types_policy(registry: Registry, policy: str, said: str) -> None:
    """With its place, and the nearest right word."""
    text = f"saga: a\npolicy: {{{policy}}}\nsteps: [{{name: a, do: demo.thing.read}}]\n"
    (problem,) = map(str, compile_saga(load(text, format="yaml"), registry).problems)

    assert said in problem


def test_a_type_that_no_step_has_is_warned_of(registry: Registry) -> None:
    """It may be one that was meant."""
    text = "saga: a\npolicy: {strict: {undo: hold}}\nsteps: [{name: a, do: demo.thing.read}]\n"
    (warning,) = map(str, compile_saga(load(text, format="yaml"), registry).warnings)

    assert "policy.strict: no step is of the type `strict`" in warning


@pytest.mark.parametrize(
    ("file", "step", "expected"),
    [("", "", "force"), ("on_conflict: skip\n", "", None), ("", ", on_conflict: hold", "hold")],
)
def test_a_types_on_conflict_holds_where_the_file_says_nothing(
    registry: Registry, file: str, step: str, expected: str | None
) -> None:
    """Its own word first, then the file's, then the node's of its type."""
    text = f"saga: a\n{file}steps: [{{name: a, do: demo.thing.read{step}}}]\n"
    node = Policy(types={"demo.thing": TypePolicy(on_conflict="force")})
    plan = compile_saga(load(text, format="yaml"), registry, node).plan

    assert plan is not None
    assert plan.steps[0].on_conflict == expected


# --- steps that wait for approval --------------------------------------------------------------------------------------


@pytest.fixture
def built_in(blobs: Blobs) -> Registry:
    """The drivers that sagad brings along."""
    return load_drivers({}, blobs)


def test_a_step_that_waits_for_approval_asks_by_its_own_rules(built_in: Registry) -> None:
    """How many and whether others is the saga's; what the step does not say is the saga's too."""
    text = """
saga: a
policy: {approvers: [ada, eve], quorum: 2, four_eyes: true, expires: 1h}
steps:
- {name: own, do: wait.approval, with: {approvers: [ops], expires: 2h, message: "is ${saga.id} fine?"}}
- {name: plain, do: wait.approval}
- {name: last, do: test.echo, with: {message: "${steps.own.by} and ${steps.plain.reason}"}}
"""
    plan = compile_saga(load(text, format="yaml"), built_in).plan
    assert plan is not None
    hour = 3_600_000

    assert [step.asks for step in plan.steps] == ["each", "each", "never"]
    assert [step.approvals for step in plan.steps] == [
        Approvals(approvers=("ops",), quorum=2, four_eyes=True, expires=2 * hour),
        Approvals(approvers=("ada", "eve"), quorum=2, four_eyes=True, expires=hour),
        None,
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            'do: wait.approval, with: {approvers: ["${inputs.who}"]}',
            "steps[0].with.approvers[0]: a reference is not resolved here (write the text out)",
        ),
        (
            'do: wait.approval, with: {expires: "${inputs.who}"}',
            "steps[0].with.expires: a reference is not resolved here (write the text out)",
        ),
        ("do: wait.approval, with: {expires: soon}", "steps[0].with.expires: `soon` is not a duration"),
        ("do: wait.approval, with: {expires: 0s}", "a duration must be longer than nothing"),
        ("do: wait.approval, with: {approvers: ada}", "steps[0].with.approvers: must be a list, not text"),
        (
            "do: test.echo, with: {message: a}, undo: {do: wait.approval}",
            'steps[0].undo.do: `wait.approval` is no undo (to have this undo ask first, say `policy: {"test": {undo: hold}}`)',
        ),
    ],
)
def test_what_is_wrong_with_a_step_that_waits_for_approval(built_in: Registry, step: str, said: str) -> None:
    """Whom it asks and for how long is known before anything runs."""
    text = f"saga: a\ninputs: {{who: {{type: string, default: x}}}}\nsteps: [{{name: a, {step}}}]\n"
    (problem,) = map(str, compile_saga(load(text, format="yaml"), built_in).problems)

    assert said in problem


def test_a_timeout_of_a_step_that_waits_for_approval_is_warned_of(built_in: Registry) -> None:
    """It is for a driver's call, and there is none while nobody has answered."""
    text = "saga: a\nsteps: [{name: a, do: wait.approval, timeout: 1h}]\n"
    (warning,) = map(str, compile_saga(load(text, format="yaml"), built_in).warnings)

    assert "`timeout` does not end the wait of `wait.approval` (say `expires` in `with`)" in warning
