"""The driver conformance suite: every driver's promises (``providers/contract.py``), gone through one by one.

A driver's test calls it with one line::

    test_local_file = conformance(LocalFile, Folder, [Case("create", "create", {"path": "{here}/page"})])

The suite needs a *world*: where the driver's resources are, and what is to be seen there. Each case is one operation
in it. Each law is one test per case; what a driver does not claim to be able to do is a skip that says so.

How a crash is made: the functions of ``os`` that change something are watched while a call is in progress, and from
the n-th on, for every n, they raise. As nothing after that has an effect, neither has the driver's own cleaning up:
the world is left as SIGKILL would leave it. Other faults happen once, before or after the n-th call has its effect.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import anyio
import msgspec
import pytest

from providers.contract import (
    ABSENT,
    CONTRACT,
    Blob,
    Call,
    Done,
    Driver,
    Ended,
    Failed,
    Finding,
    Image,
    NotDone,
    Outcome,
    Planned,
    Succeeded,
    Unclear,
    Unknown,
    Verb,
    Working,
)

T = TypeVar("T")
State = Mapping[str, Mapping[str, Any]]
"""What is to be seen of a world: for each thing its facts."""


class World(Protocol):
    """Where the driver's resources are; made anew, in an empty folder, for each trial."""

    settings: Mapping[str, Any]
    """The provider's settings table."""
    words: Mapping[str, Any]
    """What stands for ``{name}`` in a case's arguments, once the state before is there; alone it may be no text."""
    varying: frozenset[str]
    """The facts in which two runs of the same operation may differ (times)."""

    def __init__(self, folder: Path) -> None:
        """Make an empty world."""
        ...

    def state(self) -> State:
        """Look at everything that a restore promises to give back."""
        ...


class Case(msgspec.Struct, frozen=True):
    """One operation in a world."""

    name: str
    verb: str
    arguments: dict[str, Any]
    given: Callable[[Any], None] | None = None
    """Bring the world to the state before."""
    meanwhile: Callable[[Any], None] | None = None
    """What somebody else may do to the resource between plan and apply, or between apply and undo."""
    refused: str | None = None
    """The code with which ``plan`` refuses the operation."""
    renames: bool = False
    """Its undo makes a thing with another id, so that the same arguments do not name it any more."""
    once: bool = False
    """What it puts out is shown once: after a lost answer ``find`` removes what was made, and says that it is not done."""


class MemoryBlobs:
    """Contents in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def keep(self, chunks: Iterable[bytes]) -> Blob:
        """Keep the bytes."""
        data = b"".join(chunks)
        digest = hashlib.sha256(data).hexdigest()
        self.kept[digest] = data
        return Blob(digest, len(data))

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """Give them back in pieces that fit nothing."""
        if blob.sha256 not in self.kept:
            raise FileNotFoundError(blob.sha256)
        data = self.kept[blob.sha256]
        for start in range(0, len(data), 100_003):
            yield data[start : start + 100_003]


# --- faults -------------------------------------------------------------------------------------------------------

CHANGING = (
    "chmod",
    "chown",
    "fchmod",
    "fchown",
    "fsync",
    "link",
    "mkdir",
    "open",
    "removexattr",
    "rename",
    "replace",
    "rmdir",
    "setxattr",
    "symlink",
    "truncate",
    "unlink",
    "utime",
    "write",
)
"""The functions of ``os`` at which a crash makes a difference."""

Hook = Callable[[str, Callable[[], Any]], Any]
"""Called with the function's name and what calls it."""
_watching: ContextVar[Hook | None] = ContextVar("_watching", default=None)


class Crash(BaseException):
    """The process is gone."""


class Lost(Exception):
    """The code has a bug."""


@contextmanager
def watched() -> Iterator[None]:
    """Let each watched function go through the hook of the call that it belongs to, in whatever thread."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGING:
            patch.setattr(os, name, _passing(name, getattr(os, name)))
        yield


def _passing(name: str, function: Callable[..., T]) -> Callable[..., T]:
    def passed(*args: Any, **named: Any) -> T:
        hook = _watching.get()
        result: T = function(*args, **named) if hook is None else hook(name, lambda: function(*args, **named))
        return result

    return passed


class Counter:
    """Counts the boundaries of a call."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.names)

    def __call__(self, name: str, act: Callable[[], T]) -> T:
        """Count, and go on."""
        self.names.append(name)
        return act()


class CrashAt:
    """From the n-th boundary on nothing happens any more."""

    def __init__(self, boundary: int) -> None:
        self._left = boundary

    def __call__(self, name: str, act: Callable[[], T]) -> T:
        """Go on, as long as there is a process."""
        if self._left == 0:
            raise Crash
        self._left -= 1
        return act()


class FaultAt:
    """At the n-th boundary an exception is raised, once, before or after the effect."""

    def __init__(self, boundary: int, fault: Callable[[], BaseException], *, after: bool) -> None:
        self._left = boundary
        self._fault = fault
        self._after = after

    def __call__(self, name: str, act: Callable[[], T]) -> T:
        """Go on, but once."""
        self._left -= 1
        if self._left != -1:
            return act()
        if self._after:
            act()
        raise self._fault()


class StopAt:
    """At the n-th boundary the thread waits until it is let go."""

    def __init__(self, boundary: int) -> None:
        self._left = boundary
        self.reached = threading.Event()
        self.go = threading.Event()

    def __call__(self, name: str, act: Callable[[], T]) -> T:
        """Go on, but once not before being told."""
        self._left -= 1
        if self._left == -1:
            self.reached.set()
            self.go.wait(10)
        return act()


def _no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _io_error() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


FAULTS: Mapping[str, Callable[[int], Hook]] = {
    "a crash": CrashAt,
    "a full disk": lambda boundary: FaultAt(boundary, _no_space, after=False),
    "an IO error": lambda boundary: FaultAt(boundary, _io_error, after=False),
    "an IO error after the effect": lambda boundary: FaultAt(boundary, _io_error, after=True),
    "a bug": lambda boundary: FaultAt(boundary, Lost, after=False),
    "a bug after the effect": lambda boundary: FaultAt(boundary, Lost, after=True),
}


# --- one trial ----------------------------------------------------------------------------------------------------


class Trial:
    """A world, a driver in it, and the case's operation, called as the engine calls it."""

    def __init__(self, driver: type[Driver], world: World, case: Case) -> None:
        self.world = world
        self.case = case
        self.driver = driver(world.settings, MemoryBlobs())
        if case.given is not None:
            case.given(world)
        arguments = _filled(case.arguments, world.words)
        self.arguments: Any = msgspec.convert(arguments, driver.verbs[case.verb].arguments)
        self.before = world.state()

    @property
    def verb(self) -> Verb:
        """The verb's declaration for the case's arguments."""
        return self.driver.refine(self.case.verb, self.arguments)

    async def plan(self, key: str = "k-forward") -> Call:
        """Check and plan: the call as the engine has committed it."""
        assert self.driver.check(self.case.verb, self.arguments) == []
        resource = self.driver.resource(self.case.verb, self.arguments)
        call = Call(
            verb=self.case.verb, arguments=self.arguments, key=key, name=f"sagad-{key}", resource=resource
        )
        planned = _committed(await self.driver.plan(call), Planned)
        return msgspec.structs.replace(
            call, before=planned.before, after=planned.after, fields=planned.fields
        )

    async def apply(self, call: Call) -> Outcome:
        """Apply, and poll what goes on elsewhere to its end."""
        outcome = await self.driver.apply(call)
        while isinstance(outcome, Working):
            outcome = _committed(outcome, Working)
            outcome = await self.driver.poll(msgspec.structs.replace(call, handle=outcome.handle))
        return outcome

    async def done(self) -> tuple[Call, Succeeded]:
        """Plan and apply without fault."""
        call = await self.plan()
        outcome = await self.apply(call)
        assert isinstance(outcome, Succeeded), outcome
        return call, _committed(outcome, Succeeded)

    def undo(self, call: Call, outcome: Succeeded) -> Call:
        """Make the call that puts the before-image back, as the engine does."""
        before = call.before or ABSENT
        return msgspec.structs.replace(
            call,
            key="k-restore",
            name="sagad-k-restore",
            before=outcome.after or call.after,
            after=before,
            restore=before,
            outputs=outcome.outputs,
        )

    async def attempt(self, call: Call, hook: Hook) -> Outcome:
        """Apply under a hook; what the engine would take for unknown is Unknown here."""
        token = _watching.set(hook)
        try:
            with watched():
                return await self.apply(call)
        except Ended as ended:
            return ended.outcome
        except (Crash, Exception) as problem:  # noqa: BLE001 - as the contract says
            return Unknown("raised", repr(problem))
        finally:
            _watching.reset(token)

    async def boundaries(self, call: Call) -> int:
        """Apply without fault, and count the boundaries."""
        counter = Counter()
        outcome = await self.attempt(call, counter)
        assert isinstance(outcome, Succeeded), outcome
        if not counter.count:
            pytest.skip("changes nothing by way of the os module: it has no boundaries to crash at")
        return counter.count

    async def find(self, call: Call) -> Finding:
        """End and find, as after a restart."""
        await self.driver.end(call)
        return await self.driver.find(call)

    def same(self, one: State, other: State) -> bool:
        """Compare two runs' results, but for what varies."""
        return self._steady(one) == self._steady(other)

    def _steady(self, state: State) -> State:
        varying = self.world.varying
        return {
            name: {fact: value for fact, value in facts.items() if fact not in varying}
            for name, facts in state.items()
        }


class Trials:
    """As many trials of one case as a law needs."""

    def __init__(self, driver: type[Driver], world: type[World], case: Case, folder: Path) -> None:
        self.case = case
        self._driver = driver
        self._world = world
        self._folder = folder
        self._made = 0

    def fresh(self) -> Trial:
        """Make a world anew, with the case's state before in it."""
        self._made += 1
        folder = self._folder / str(self._made)
        folder.mkdir()
        return Trial(self._driver, self._world(folder), self.case)


def _filled(value: Any, words: Mapping[str, Any]) -> Any:
    match value:
        case str():
            if (whole := words.get(value[1:-1])) is not None and value[:1] + value[-1:] == "{}":
                return whole
            for word, text in words.items():
                value = value.replace(f"{{{word}}}", str(text))
            return value
        case dict():
            return {name: _filled(item, words) for name, item in value.items()}
        case list():
            return [_filled(item, words) for item in value]
    return value


def _committed(thing: T, type_: type[T]) -> T:
    """Take a thing through the form in which it is kept: nothing else may survive from call to call."""
    return msgspec.json.decode(msgspec.json.encode(thing), type=type_)


def _skip(trial: Trial, what: str) -> NoReturn:
    pytest.skip(f"{trial.driver.type}.{trial.case.verb} declares that it {what}")


# --- the laws -----------------------------------------------------------------------------------------------------

Law = Callable[[Trials], Awaitable[None]]


async def planning_changes_nothing(trials: Trials) -> None:
    """``check``, ``resource``, ``plan`` and ``read`` leave the world as it is."""
    trial = trials.fresh()
    call = await trial.plan()
    await trial.driver.read(call)

    assert trial.before == trial.world.state()


async def reading_agrees_with_the_images(trials: Trials) -> None:
    """``read`` gives the before-image before, the after-image after, and the plan foretold it."""
    trial = trials.fresh()
    call = await trial.plan()
    live = await trial.driver.read(call)
    if live is None or call.before is None or call.after is None:
        pytest.skip(f"{trial.driver.type} cannot read")
    assert trial.driver.same(call.fields, call.before, live)
    outcome = await trial.apply(call)
    assert isinstance(outcome, Succeeded), outcome
    live = await trial.driver.read(call)

    assert live is not None
    assert trial.driver.same(call.fields, call.after, live)
    assert trial.driver.same(call.fields, outcome.after or call.after, live)


async def outputs_are_those_declared(trials: Trials) -> None:
    """Each declared output comes, with its declared type; others only where the verb says so."""
    trial = trials.fresh()
    _, outcome = await trial.done()
    declared = trial.verb.outputs

    assert declared.keys() <= outcome.outputs.keys()
    assert trial.verb.open_outputs or outcome.outputs.keys() <= declared.keys()
    for name, type_ in declared.items():
        msgspec.convert(outcome.outputs[name], type_, strict=True)


async def what_changes_is_named(trials: Trials) -> None:
    """A changing verb names its resource and what it sets; another one leaves the world as it is."""
    trial = trials.fresh()
    call, _ = await trial.done()
    if not trial.verb.changes:
        assert trial.before == trial.world.state()
        return

    assert call.resource is not None
    assert call.fields or trial.before == trial.world.state()


async def what_is_answered_is_on_disk(trials: Trials) -> None:
    """A place in the file system: contents are synced before they get their name, all before the answer."""
    trial = trials.fresh()
    call = await trial.plan()
    if call.resource is None or call.resource.path is None:
        pytest.skip(f"{trial.driver.type} is no place in the file system")
    counter = Counter()
    outcome = await trial.attempt(call, counter)
    assert isinstance(outcome, Succeeded), outcome
    names = [name for name in counter.names if name != "open"]  # mostly only to read
    after_writing = names[_last(names, "write") + 1 :]
    until_named = after_writing[: _first(after_writing, {"rename", "link"})]

    assert names[-1:] in ([], ["fsync"]), names
    assert "write" not in names or "fsync" in until_named, names


def _last(names: Sequence[str], wanted: str) -> int:
    return max((index for index, name in enumerate(names) if name == wanted), default=-1)


def _first(names: Sequence[str], wanted: set[str]) -> int:
    return min((index for index, name in enumerate(names) if name in wanted), default=len(names))


async def restoring_gives_everything_back(trials: Trials) -> None:
    """The declared inverse is true: after it the world is as it was, in all that can be seen."""
    trial = trials.fresh()
    if trial.verb.inverse == "none":
        _skip(trial, "has no way back")
    call, outcome = await trial.done()
    restored = await trial.apply(trial.undo(call, outcome))

    assert isinstance(restored, Succeeded), restored
    assert trial.before == trial.world.state()


async def going_forward_again_after_a_restore(trials: Trials) -> None:
    """A new generation does the same as the first."""
    trial = trials.fresh()
    if trial.verb.inverse == "none":
        _skip(trial, "has no way back")
    if trial.case.renames:
        pytest.skip(f"{trial.driver.type}.{trial.case.verb}: what its undo makes has another id")
    call, outcome = await trial.done()
    expected = trial.world.state()
    await trial.apply(trial.undo(call, outcome))
    again = await trial.apply(await trial.plan(key="k-forward-2"))

    assert isinstance(again, Succeeded), again
    assert trial.same(expected, trial.world.state())


async def a_restore_is_taken_back_in_turn(trials: Trials) -> None:
    """Planned as a step of its own, a restore keeps all that is needed to restore what it restores over."""
    trial = trials.fresh()
    if trial.verb.inverse == "none":
        _skip(trial, "has no way back")
    back = trial.driver.verbs.get(trial.verb.inverse)
    if back is not None and back.inverse == "none":
        _skip(trial, f"is taken back by a {trial.verb.inverse}, which has no way back")
    call, outcome = await trial.done()
    expected = trial.world.state()
    undo = trial.undo(call, outcome)
    planned = await trial.driver.plan(undo)
    undo = msgspec.structs.replace(undo, before=planned.before or undo.before)
    restored = await trial.apply(undo)
    assert isinstance(restored, Succeeded), restored
    again = await trial.apply(
        msgspec.structs.replace(trial.undo(undo, restored), key="k-again", fields=call.fields)
    )

    assert isinstance(again, Succeeded), again
    assert trial.same(expected, trial.world.state())


async def restoring_is_not_repeated_where_it_is_done(trials: Trials) -> None:
    """After a restore the resource shows it: the guard finds it as it should become."""
    trial = trials.fresh()
    if trial.verb.inverse == "none":
        _skip(trial, "has no way back")
    call, outcome = await trial.done()
    undo = trial.undo(call, outcome)
    await trial.apply(undo)
    live = await trial.driver.read(undo)

    assert undo.restore is not None
    assert live is None or trial.driver.same(undo.fields, undo.restore, live)


async def what_is_absent_is_deleted_already(trials: Trials) -> None:
    """A delete of what is not there succeeds, and so does what takes it back."""
    trial = trials.fresh()
    await trial.done()
    state = trial.world.state()
    call, outcome = await trial.done()
    restored = await trial.apply(trial.undo(call, outcome))

    assert call.before == ABSENT
    assert isinstance(restored, Succeeded), restored
    assert state == trial.world.state()


async def what_goes_before_the_call_is_noticed(trials: Trials) -> None:
    """A delete whose resource goes away between plan and call succeeds."""
    trial = trials.fresh()
    call = await trial.plan()
    await trial.done()
    state = trial.world.state()
    outcome = await trial.apply(call)

    assert isinstance(outcome, Succeeded), outcome
    assert state == trial.world.state()


async def finding_before_the_effect(trials: Trials) -> None:
    """Where the call never took effect, ``find`` says so (or that it is done where there was nothing to do)."""
    trial = trials.fresh()
    if not trial.verb.finds:
        _skip(trial, "cannot find")
    call = await trial.plan()
    finding = await trial.find(call)
    assert trial.before == trial.world.state()
    await trial.apply(call)

    assert isinstance(finding, NotDone) or trial.same(trial.before, trial.world.state())
    assert isinstance(finding, NotDone | Done), finding


async def finding_after_a_lost_answer(trials: Trials) -> None:
    """Where the call took effect, ``find`` gives what the answer would have given."""
    trial = trials.fresh()
    if not trial.verb.finds:
        _skip(trial, "cannot find")
    call, outcome = await trial.done()
    finding = await trial.find(call)
    if trial.case.once:
        assert isinstance(finding, NotDone), finding
        assert trial.before == trial.world.state()
        return

    assert isinstance(finding, Done), finding
    assert outcome.outputs == finding.outputs
    assert _same_image(trial, call, outcome.after, finding.after)


def _same_image(trial: Trial, call: Call, one: Image | None, other: Image | None) -> bool:
    if one is None or other is None:
        return one is other
    return trial.driver.same(call.fields, one, other) and one.fields.keys() == other.fields.keys()


async def somebody_elses_change_before_the_call_is_not_overwritten(trials: Trials) -> None:
    """What changed after the plan is not in the before-image: the call fails and touches nothing."""
    trial = trials.fresh()
    assert trial.case.meanwhile is not None
    call = await trial.plan()
    trial.case.meanwhile(trial.world)
    changed = trial.world.state()
    outcome = await trial.attempt(call, Counter())

    assert isinstance(outcome, Failed), outcome
    assert changed == trial.world.state()


async def somebody_elses_change_before_the_undo_is_not_overwritten(trials: Trials) -> None:
    """What changed after the call shows in what the call set; a restore that comes all the same touches nothing."""
    trial = trials.fresh()
    assert trial.case.meanwhile is not None
    call, outcome = await trial.done()
    trial.case.meanwhile(trial.world)
    changed = trial.world.state()
    undo = trial.undo(call, outcome)
    live = await trial.driver.read(undo)
    assert live is not None
    assert undo.before is not None
    assert not trial.driver.same(undo.fields, undo.before, live)
    restored = await trial.attempt(undo, Counter())

    assert isinstance(restored, Failed), restored
    assert changed == trial.world.state()


async def faults_on_the_way_are_found_out(trials: Trials) -> None:
    """Whatever happens at whichever boundary: the outcome, else ``find``, tells the truth, and nothing is left over."""
    trial = trials.fresh()
    if not trial.verb.finds:
        _skip(trial, "cannot find")
    count = await trial.boundaries(await trial.plan())
    after = trial.world.state()
    for fault, hook in FAULTS.items():
        for boundary in range(count + 1):
            trial = trials.fresh()
            call = await trial.plan()
            where = f"{fault} at boundary {boundary} of {count}"
            if not await _truth(
                trial, call, await trial.attempt(call, hook(boundary)), trial.before, after, where
            ):
                again = await trial.apply(call)
                assert isinstance(again, Succeeded), f"{where}, then again: {again}"
                assert trial.same(after, trial.world.state()), f"{where}, then again"


async def faults_on_the_way_back_are_found_out(trials: Trials) -> None:
    """The same of a restore: in the end the world is as it was before everything."""
    trial = trials.fresh()
    if not trial.verb.finds or trial.verb.inverse == "none":
        _skip(trial, "cannot find, or has no way back")
    call, outcome = await trial.done()
    count = await trial.boundaries(trial.undo(call, outcome))
    for fault, hook in FAULTS.items():
        for boundary in range(count + 1):
            trial = trials.fresh()
            call, outcome = await trial.done()
            undo, middle = trial.undo(call, outcome), trial.world.state()
            where = f"{fault} at boundary {boundary} of {count}"
            if not await _truth(
                trial, undo, await trial.attempt(undo, hook(boundary)), middle, trial.before, where
            ):
                again = await trial.apply(undo)
                assert isinstance(again, Succeeded), f"{where}, then again: {again}"
            assert trial.before == trial.world.state(), where


async def _truth(trial: Trial, call: Call, outcome: Outcome, before: State, after: State, where: str) -> bool:
    """Hold the outcome, or what is found, against the world; tell whether it is done."""
    truth: Outcome | Finding = outcome
    if isinstance(outcome, Unknown):
        truth = await trial.find(call)
    state = trial.world.state()
    match truth:
        case Succeeded() | Done():
            assert trial.same(after, state), f"{where}: said to be done: {truth}"
            return True
        case Failed() | NotDone():
            assert before == state, f"{where}: said not to be done: {truth}"
            return False
        case Unclear():
            pytest.fail(f"{where}: cannot tell: {truth.why}")
        case _:
            pytest.fail(f"{where}: {truth}")


async def a_cancelled_call_ends_with_its_code(trials: Trials) -> None:
    """A cancelled call does not end before its code; then its outcome, else ``find``, tells the truth."""
    trial = trials.fresh()
    if not trial.verb.finds:
        _skip(trial, "cannot find")
    count = await trial.boundaries(await trial.plan())
    after = trial.world.state()
    for boundary in range(count):
        trial = trials.fresh()
        call = await trial.plan()
        outcome = await _cancelled(trial, call, StopAt(boundary))
        await _truth(
            trial, call, outcome, trial.before, after, f"cancelled at boundary {boundary} of {count}"
        )


async def _cancelled(trial: Trial, call: Call, hook: StopAt) -> Outcome:
    """Cancel the call while its code is held up at a boundary, and see that it waits for its code."""
    outcome: Outcome = Unknown("cancelled", "ended without an outcome")
    ended = False

    async def attempt() -> None:
        nonlocal outcome, ended
        try:
            outcome = await trial.attempt(call, hook)
        finally:
            ended = True

    async with anyio.create_task_group() as group:
        group.start_soon(attempt)
        while not hook.reached.is_set():
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert not ended, "the call has ended, its code has not"
            hook.go.set()
    return outcome


async def what_must_be_refused_is_refused_in_the_plan(trials: Trials) -> None:
    """Where the case says so, ``plan`` ends with Failed and that code, and nothing has changed."""
    trial = trials.fresh()
    with pytest.raises(Ended) as ended:
        await trial.plan()

    assert isinstance(ended.value.outcome, Failed)
    assert (trial.case.refused, trial.before) == (ended.value.outcome.code, trial.world.state())


LAWS: Sequence[Law] = (
    planning_changes_nothing,
    reading_agrees_with_the_images,
    outputs_are_those_declared,
    what_changes_is_named,
    what_is_answered_is_on_disk,
    restoring_gives_everything_back,
    going_forward_again_after_a_restore,
    a_restore_is_taken_back_in_turn,
    restoring_is_not_repeated_where_it_is_done,
    what_is_absent_is_deleted_already,
    what_goes_before_the_call_is_noticed,
    finding_before_the_effect,
    finding_after_a_lost_answer,
    somebody_elses_change_before_the_call_is_not_overwritten,
    somebody_elses_change_before_the_undo_is_not_overwritten,
    faults_on_the_way_are_found_out,
    faults_on_the_way_back_are_found_out,
    a_cancelled_call_ends_with_its_code,
)


def _apply_to(case: Case) -> Iterator[Law]:
    """Give the laws that say something of the case."""
    if case.refused:
        yield what_must_be_refused_is_refused_in_the_plan
        return
    for law in LAWS:
        of_deletes = law in {what_is_absent_is_deleted_already, what_goes_before_the_call_is_noticed}
        of_conflicts = law in {
            somebody_elses_change_before_the_call_is_not_overwritten,
            somebody_elses_change_before_the_undo_is_not_overwritten,
        }
        if (case.verb == "delete" or not of_deletes) and (case.meanwhile or not of_conflicts):
            yield law


def incomplete(driver: type[Driver]) -> list[str]:
    """Name what is missing or untrue in a driver's declaration."""
    found = [name for name in ("type", "version", "summary", "verbs") if not getattr(driver, name, None)]
    if driver.contract != CONTRACT:
        found.append(f"contract {driver.contract}")
    for name, verb in driver.verbs.items():
        found += [f"{name}: {problem}" for problem in _incomplete_verb(driver, verb)]
    outputs = {name for verb in driver.verbs.values() for name in verb.outputs}
    found += [f"sensitive {name} is no output" for name in driver.sensitive - outputs]
    return found


def _incomplete_verb(driver: type[Driver], verb: Verb) -> Iterator[str]:
    needed: Mapping[str, set[str]] = {
        "delete": {"delete"},
        "create": {"create"},
        "update": {"update"},
        "put_back": {"create", "update", "delete"},
    }
    if not verb.summary:
        yield "no summary"
    if not getattr(msgspec.inspect.type_info(verb.arguments), "forbid_unknown_fields", False):
        yield "takes arguments that it does not know"
    if not needed.get(verb.inverse, set()) <= driver.verbs.keys():
        yield f"its inverse {verb.inverse} needs verbs that are not there"
    if verb.changes and verb.repeat == "find" and not verb.finds:
        yield "is to be repeated by what find says, but cannot find"
    if not verb.changes and verb.inverse not in {"none", "same"}:
        yield "changes nothing, but has an inverse"
    if verb.irreversible and verb.inverse != "none":
        yield "is irreversible, but has an inverse"


def conformance(
    driver: type[Driver], world: type[World], cases: Sequence[Case]
) -> Callable[..., Awaitable[None]]:
    """Make the test of a driver: every law for every case. Assign it to a name that begins with ``test_``."""
    trials = [
        pytest.param(law, case, id=f"{case.name}-{getattr(law, '__name__', law)}")
        for case in cases
        for law in _apply_to(case)
    ]

    @pytest.mark.parametrize(("law", "case"), [pytest.param(None, None, id="declaration"), *trials])
    async def test(law: Law | None, case: Case | None, tmp_path: Path) -> None:
        if law is None or case is None:
            assert incomplete(driver) == []
        else:
            await law(Trials(driver, world, case, tmp_path))

    test.__doc__ = f"{driver.type} keeps the driver's promises."
    return test
