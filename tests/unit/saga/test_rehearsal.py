"""Rehearsals of saga files, with what the real drivers declare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest

from actors.saga.rehearsal import Case, rehearse
from actors.saga.simulated import Simulated
from actors.saga.wants import Prepare
from orchestrator.files.compile import Compiler
from orchestrator.rehearsing import FEWEST, WORK, cases_of, evenly
from providers import registry
from providers.contract import Blob

EXAMPLES = Path(__file__).parents[3] / "examples"
SETTINGS = {"local": {"roots": ["/"]}, "command": {"allow": ["*"]}, "http": {"allow": ["*"]}}


class NoBlobs:
    """Keeps nothing: a rehearsal reads no before-image."""

    def keep(self, chunks: Any) -> Blob:
        """Fail."""
        raise NotImplementedError

    def chunks(self, blob: Blob) -> Any:
        """Fail."""
        raise NotImplementedError


DRIVERS = registry.load(SETTINGS, NoBlobs())


class Came(NamedTuple):
    """What came of a case: where it ended, or `hold`, and the names of the steps that are left behind."""

    ends: str
    left: tuple[str, ...] = ()


Rehearsed = dict[str, Came]


def simulated(text: str, **inputs: Any) -> Simulated:
    """Compile a saga file and make up its drivers."""
    compiler = Compiler(DRIVERS)
    compiled = compiler.source(text, format="yaml")
    assert compiled.plan is not None, compiled.problems
    values, problems = compiler.bind(compiled, inputs)
    assert problems == []
    return Simulated(DRIVERS, compiled.plan, values)


def rehearsed(text: str, **inputs: Any) -> Rehearsed:
    """Rehearse a saga file: what came of each case, by its step and fault."""
    drivers = simulated(text, **inputs)
    return {_name(case): _came(case) for case in rehearse(drivers.plan, drivers.prepare)}


def _name(case: Case) -> str:
    of = f"{case.direction} " if case.direction != "forward" and case.step else ""
    return " ".join(part for part in (case.step, f"{of}{case.fault}") if part)


def _came(case: Case) -> Came:
    ends = "hold" if case.ending.hold else case.ending.status
    return Came(ends, tuple(each.step for each in case.ending.left_behind))


def one(operation: str, more: str = "") -> str:
    """A saga of one file, then this step, then a word."""
    return f"""
saga: one
steps:
  - {{name: page, do: local.file.put, with: {{path: /srv/page, content: x}}}}
  - {{name: it, do: {operation}{more}}}
  - {{name: word, do: test.echo, with: {{message: done}}}}
"""


COMPLETED, BACK = Came("completed"), Came("rolled_back")
LOSSES = ("lost_done", "lost_not_done")


@pytest.mark.parametrize(
    "operation",
    [
        "local.file.create, with: {path: /srv/it, content: x}",
        "local.file.put, with: {path: /srv/it, content: x}",
        "local.file.update, with: {path: /srv/it, mode: '0600'}",
        "local.file.delete, with: {path: /srv/it}",
        "local.directory.create, with: {path: /srv/it}",
        "local.symlink.create, with: {path: /srv/it, target: x}",
        "test.echo, with: {message: x}",
        "command.run, with: {argv: [a], check: [b]}, undo: {do: command.run, with: {argv: [c], check: [d]}}",
        "command.run, with: {argv: [a]}, idempotent: true, undo: {do: test.echo, with: {message: x}}",
    ],
)
def test_what_can_be_found_out_and_taken_back_leaves_nothing(operation: str) -> None:
    """Whatever goes wrong; but for an undo that fails for good, which leaves its own."""
    found = rehearsed(one(operation))

    assert found["none"] == COMPLETED
    assert found["cancelled"] == BACK
    assert [found[f"it {fault}"] for fault in ("fails", *LOSSES)] == [BACK, COMPLETED, COMPLETED]
    assert [found[f"it undo {fault}"] for fault in LOSSES] == [BACK, BACK]
    assert found["it undo fails"] == Came("failed", ("it",))
    assert found["word fails"] == BACK


def test_a_lost_answer_that_nobody_can_find_out_asks() -> None:
    """A POST without `idempotent`: what is in the world by then is all that was done."""
    post = 'http.request, with: {method: POST, url: "http://x/"}, undo: {do: http.request, with: {method: DELETE, url: "http://x/"}}'
    found = rehearsed(one(post))

    assert found["it lost_done"] == Came("hold", ("page", "it"))
    assert found["it lost_not_done"] == Came("hold", ("page",))
    assert found["it fails"] == found["word fails"] == found["it undo lost_done"] == BACK
    assert rehearsed(one(post + ", idempotent: true"))["it lost_done"] == COMPLETED


def test_a_hook_that_fails_leaves_nothing_and_one_that_is_lost_is_found_out_or_asked_about() -> None:
    """The step is there while somebody is asked about its hook."""
    blind_hook = "command.run, with: {argv: [tell, '${self.path}']}"
    checked_hook = "command.run, with: {argv: [tell, '${self.path}'], check: [told]}"
    created = "local.file.create, with: {path: /srv/it, content: x}, hooks: "
    checked = rehearsed(one(f"{created} {{applied: {{do: {checked_hook}}}}}"))
    blind = rehearsed(one(f"{created} {{applied: {{do: {blind_hook}}}}}"))

    assert checked["it hook fails"] == blind["it hook fails"] == BACK
    assert [checked[f"it hook {fault}"] for fault in LOSSES] == [COMPLETED, COMPLETED]
    assert [blind[f"it hook {fault}"] for fault in LOSSES] == [Came("hold", ("page", "it"))] * 2
    assert checked["word fails"] == blind["cancelled"] == BACK


def test_what_changes_nothing_is_asked_again() -> None:
    """A GET, a wait: there is nothing to settle, and nothing to undo."""
    for operation in (
        'http.request, with: {method: GET, url: "http://x/"}',
        "wait.timer, with: {duration: 3d}",
        "test.sleep, with: {duration: 1h}",
    ):
        found = rehearsed(one(operation))

        assert {found[f"it {fault}"] for fault in LOSSES} == {COMPLETED}
        assert found["it fails"] == found["cancelled"] == BACK
        assert "it undo fails" not in found


def test_the_only_attempt_that_is_lost_and_changes_nothing_has_failed() -> None:
    """`attempts: 1` is kept to."""
    found = rehearsed(one("test.sleep, with: {duration: 1h}, retry: {attempts: 1}"))

    assert found["it lost_done"] == BACK


def test_a_step_without_undo_is_left_behind() -> None:
    """By every failure after it, and by a cancel; not by its own."""
    found = rehearsed(one("command.run, with: {argv: [a]}, undo: none, idempotent: true"))

    assert found["it fails"] == BACK
    assert found["it lost_done"] == COMPLETED
    assert found["word fails"] == found["cancelled"] == Came("rolled_back", ("it",))


def test_left_as_it_is_and_asked_where_the_file_says_so() -> None:
    """`on_failure`: stop leaves what was done, hold asks."""
    text = one("test.echo, with: {message: x}")

    assert rehearsed(text + "on_failure: stop\n")["word fails"] == Came("failed", ("page", "it"))
    assert rehearsed(text + "on_failure: hold\n")["word fails"] == Came("hold", ("page", "it"))


def test_a_point_of_no_return_asks_and_what_comes_before_is_tried_where_it_is_undone() -> None:
    """The cancel is past it; the undo of the page runs only where the step itself fails."""
    found = rehearsed(one("command.run, with: {argv: [a], check: [b]}, irreversible: true"))

    assert found["cancelled"] == found["word fails"] == Came("hold", ("page", "it"))
    assert found["it fails"] == found["page undo lost_done"] == BACK
    assert found["page undo fails"] == Came("failed", ("page",))


def test_a_step_that_may_be_half_done_when_it_fails_is_undone() -> None:
    """`undo_when: started`: where its undo fails too, it is left behind."""
    undo = "undo: {do: test.echo, with: {message: x}}, undo_when: started"
    found = rehearsed(one(f"command.run, with: {{argv: [a]}}, {undo}"))

    assert found["it fails"] == BACK
    assert found["it undo fails"] == Came("failed", ("it",))
    without = rehearsed(one("command.run, with: {argv: [a]}, undo: none, undo_when: started"))
    assert without["it fails"] == Came("rolled_back", ("it",))


def test_what_a_failed_undo_blocks_is_left_behind_too() -> None:
    """The undo of what a step needs is not tried."""
    found = rehearsed(
        """
saga: nested
steps:
  - {name: folder, do: local.directory.create, with: {path: /srv/a}}
  - {name: page, do: local.file.put, with: {path: "${steps.folder.path}/b", content: x}}
"""
    )

    assert found["page undo fails"] == Came("failed", ("folder", "page"))


def test_approvals_and_deadlines_are_no_matter() -> None:
    """Nobody is asked, and no time passes."""
    text = one("wait.timer, with: {duration: 3d}") + "deadline: 1s\npolicy: {approve: each, expires: 1s}\n"

    assert rehearsed(text)["none"] == COMPLETED


# --- what the drivers are made to be ----------------------------------------------------------------------------------


def test_resources_are_known_as_far_as_arguments_are() -> None:
    """By inputs, by outputs that repeat an argument; else there is a stand-in, so that what is left has a name."""
    drivers = simulated(
        """
saga: names
inputs: {dir: {type: string}}
steps:
  - {name: known, do: local.directory.create, with: {path: "${inputs.dir}/a"}}
  - {name: below, do: local.file.put, with: {path: "${steps.known.path}/b", content: x}}
  - {name: where, do: command.run, with: {argv: [a]}, undo: none}
  - {name: late, do: local.file.put, with: {path: "${steps.where.stdout}", content: x}}
  - {name: part, do: local.file.put, with: {path: "/srv/${steps.where.stdout}", content: "${secret.none}"}, as: p}
  - {name: ask, do: http.request, with: {method: GET, url: "http://x/${steps.where.exit_code}"}}
""",
        dir="/srv",
    )
    found = [drivers.prepare(Prepare(step, "forward", 1)) for step in range(6)]

    assert [each.resource and each.resource.label for each in found] == [
        "/srv/a",
        "/srv/a/b",
        None,
        "local.file late",
        "/srv/<where.stdout>",
        None,
    ]
    assert found[4].resource is not None
    assert found[4].resource.name == "p"
    assert not found[5].changes


def test_arguments_that_cannot_be_known_leave_the_bare_declaration() -> None:
    """A method that is an output of another step: it may be one that changes something."""
    drivers = simulated(
        """
saga: unknown
steps:
  - {name: first, do: http.request, with: {method: GET, url: "http://x/"}}
  - {name: then, do: http.request, with: {method: "${steps.first.body}", url: "http://x/"}, undo: none}
"""
    )

    assert drivers.prepare(Prepare(1, "forward", 1)).changes


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("approval", []),
        ("carried-on", []),
        ("graph", []),
        ("hooks", []),
        (
            "irreversible",
            ["cancelled", "certificate fails", "certificate undo lost", "shred fails", "shred lost"],
        ),
        ("patience", ["cancelled", "done fails", "done undo lost", "settle fails"]),
        ("publish-site", ["announce lost", "cancelled", "page undo lost", "reload undo lost"]),
        ("taken-back", []),
        ("undo-forms", ["cancelled", "copies undo lost", "page undo lost", "sum undo lost", "tell lost"]),
    ],
)
def test_the_examples_leave_behind_what_they_say(name: str, bad: list[str]) -> None:
    """Those that are about the way back leave nothing; the others what they keep, or what cannot be found out."""
    inputs = {"page": "x"} if name in ("approval", "hooks", "publish-site") else {}
    found = rehearsed((EXAMPLES / f"{name}.yaml").read_text(), **inputs)
    unclean = {
        case.removesuffix("_done").removesuffix("_not") for case, came in found.items() if not _clean(came)
    }

    assert sorted(case for case in unclean if not case.endswith("undo fails")) == bad


def test_every_example_is_rehearsed() -> None:
    """A new one has to be looked at here."""
    names = test_the_examples_leave_behind_what_they_say.pytestmark[0].args[1]  # type: ignore[attr-defined]

    sagas = {path.stem for path in EXAMPLES.glob("*.yaml")} - {"batch"}
    assert sagas == {name for name, _ in names}


def _clean(came: Came) -> bool:
    return came.ends != "hold" and not came.left


# --- how much of it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2, 10, 141, 142, 300, 1000])
def test_a_long_saga_is_rehearsed_in_part(steps: int) -> None:
    """All steps, or evenly chosen ones from the first to the last, so that the work is bounded."""
    chosen = evenly(steps)

    assert len(set(chosen)) == len(chosen) >= min(steps, FEWEST)
    assert len(chosen) == steps or chosen[0] == 0
    assert not chosen or chosen[-1] == steps - 1
    assert len(chosen) <= max(FEWEST, WORK // max(steps, 1) ** 2)


def test_a_rehearsal_that_nobody_waits_for_ends_at_its_next_case() -> None:
    """A daemon that stops does not wait for what is left of a long one."""
    drivers = simulated(one("test.echo, with: {message: x}"))
    unwanted = Event()

    def interrupted() -> Iterator[Case]:
        for index, case in enumerate(rehearse(drivers.plan, drivers.prepare)):
            assert index < 3
            yield case
            if index == 1:
                unwanted.set()

    assert [case.fault for case in cases_of(interrupted(), unwanted)] == ["none", "fails"]
