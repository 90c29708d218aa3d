"""People: they submit, steer and look, at random moments; what they were told is remembered, for it must be true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from actors.saga.state import ENDED, State
from actors.saga.verbs import column
from orchestrator.access import Caller
from orchestrator.problems import Problem, Unavailable
from orchestrator.requests import BatchSubmission, Submission, VerbBody
from tests.simulation.laws import Broken

if TYPE_CHECKING:
    from orchestrator.parts import Parts
    from tests.simulation.run import Run
    from tests.simulation.scenario import Action

CALLERS = {
    "ada": Caller("ada", "operator"),
    "bob": Caller("bob", "admin"),
    "eve": Caller("eve", "admin"),
    "ivy": Caller("ivy", "admin"),
}
_JSON = msgspec.json.Decoder()
ROUNDS = 60
"""Honest words that every saga can be brought to its end with, with much to spare."""


class Operators:
    """Those who are at the daemon's door, across all its lives."""

    def __init__(self, run: Run) -> None:
        """Have nothing said yet."""
        self._run = run
        scenario = run.scenario
        together = scenario.batch.members if scenario.batch is not None else 0
        self._alone = len(scenario.sagas) - min(together, len(scenario.sagas))
        self.unsubmitted = set(range(self._alone + (self._alone < len(scenario.sagas))))
        self.unsaid = set(range(len(scenario.actions)))
        self.sagas: list[str] = []
        """Ids that somebody was told."""
        self.keys: dict[str, str] = {}
        """Idempotency key -> the saga that was acknowledged for it."""
        self.words: dict[str, str] = {}
        """Reasons of verbs that were acknowledged as accepted -> which."""
        self.heads: list[tuple[int, str]] = []
        """Where the record ended when something was acknowledged."""

    # -- what the scenario says ------------------------------------------------------------------------------------

    def tasks(self, made: Parts) -> list[Any]:
        """Give what is still to be said, as coroutines."""
        submissions = [self._submit(made, index) for index in sorted(self.unsubmitted)]
        return submissions + [self._say(made, index) for index in sorted(self.unsaid)]

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self._run.loop.clock))

    async def _submit(self, made: Parts, index: int) -> None:
        """Submit until it is acknowledged, with one key: a client that has lost its answer asks again."""
        scenario = self._run.scenario
        await self._until(scenario.starts[index])
        key, answer = f"key {index}", None
        while answer is None:
            try:
                answer = await self._submitted(made, index, key)
            except Unavailable:
                self._run.count("submissions refused for want of room")
                await asyncio.sleep(2)
            if self._run.loop.dead:
                return
        self._acknowledged(made)
        if key in self.keys and self.keys[key] != answer["id"]:
            raise Broken("durable", f"{key} was given saga {self.keys[key]} and then saga {answer['id']}")
        self.keys[key] = answer["id"]
        self.sagas += [answer["id"], *(each["id"] for each in answer.get("sagas", ()))]
        self.unsubmitted.discard(index)

    async def _submitted(self, made: Parts, index: int, key: str) -> Any:
        run, service, ada = self._run, made.service, CALLERS["ada"]
        if index < self._alone:
            given = Submission(saga=run.scenario.sagas[index], reason=key)
            done = await service.submit(ada, given, idempotency_key=key, wait=None)
        else:
            batch = run.scenario.batch
            assert batch is not None
            together = BatchSubmission(
                batch="together",
                mode=batch.mode,  # type: ignore[arg-type]
                parallel=batch.parallel,
                on_failure=None if batch.mode == "best_effort" else batch.on_failure,  # type: ignore[arg-type]
                sagas=[{"saga": each} for each in run.scenario.sagas[self._alone :]],
                reason=key,
            )
            done = await service.submit_batch(ada, together, idempotency_key=key, wait=None)
        return None if run.loop.dead else _JSON.decode(done.body)

    def _acknowledged(self, made: Parts) -> None:
        if not self._run.loop.dead:
            self.heads.append((made.host.journal.last_seq, made.host.journal.head))

    async def _say(self, made: Parts, index: int) -> None:
        action = self._run.scenario.actions[index]
        await self._until(action.at)
        self.unsaid.discard(index)
        if self.sagas:
            saga = self.sagas[action.saga % len(self.sagas)]
            await self.said(made, saga, action, f"word {index}.")

    async def said(self, made: Parts, saga: str, action: Action, word: str) -> bool:
        """Say something; give whether it was accepted."""
        run = self._run
        try:
            answer = await self._spoken(made, saga, action, word)
        except Problem as refused:
            if refused.status == 500 and not run.stopping and not run.loop.dead:
                raise Broken("crash", f"{action.verb} of {saga}: {refused.detail}") from refused
            return False
        if run.loop.dead or answer is None:
            return False
        self._acknowledged(made)
        run.count(f"{action.verb}: {answer['did']}")
        if answer["did"] != "accepted":
            return False
        self.words[word] = f"{action.verb} of {saga}"
        if answer["saga"]["id"] not in self.sagas:
            self.sagas.append(answer["saga"]["id"])
        return True

    async def _spoken(self, made: Parts, saga: str, action: Action, word: str) -> Any:
        service, verb = made.service, action.verb
        if verb == "look":
            return await self._look(made, saga)
        _, state = made.directory.durable(saga)
        body = self._body(made, saga, state, action, word)
        if verb == "correct":
            body = msgspec.structs.replace(body, saga=_once_more(self._run.scenario.sagas[0], word))
        caller = CALLERS["bob" if verb == "abandon" else action.by]
        said = await service.verb(caller, saga, "rollback" if verb == "preview" else verb, body)
        return _JSON.decode(said) if verb != "preview" else None

    def _body(self, made: Parts, saga: str, state: State, action: Action, word: str) -> VerbBody:
        plan, _ = made.directory.durable(saga)
        step = plan.steps[action.step % len(plan.steps)].name
        match action.verb:
            case "cancel":
                return VerbBody(reason=word, now=action.flag)
            case "retry":
                return VerbBody(reason=word, force=action.flag)
            case "skip":
                return VerbBody(reason=word, step=step)
            case "resolve":
                return self._truth(made, saga, action, word)
            case "preview":
                return VerbBody(preview=True)
            case "rollback":
                ended = state.status in ENDED
                to_step = step if ended and action.flag and action.step == 0 else None
                return VerbBody(reason=word, past_irreversible=action.flag, to_step=to_step)
        return VerbBody(reason=word)

    def _truth(self, made: Parts, saga: str, action: Action, word: str) -> VerbBody:
        """Look at the world, and say what it is like there: done or failed; what is half done is to be done again."""
        plan, state = made.directory.durable(saga)
        asked = [index for index, way, _ in _unknown(state)]
        if not asked:
            return VerbBody(step=plan.steps[action.step % len(plan.steps)].name, as_="failed", reason=word)
        index = asked[action.step % len(asked)]
        way, generation = next((w, g) for i, w, g in _unknown(state) if i == index)
        key = f"{saga}-{index}-{way[0]}-{generation}"
        world = self._run.world
        if action.flag or world.half_done(key):
            world.settled[key] += 1
            return VerbBody(step=plan.steps[index].name, as_="retry", reason=word)
        done = world.done[key] > 0
        return VerbBody(step=plan.steps[index].name, as_="done" if done else "failed", reason=word)

    async def _look(self, made: Parts, saga: str) -> None:
        """Look at everything there is to see: it must be there, and make sense."""
        service = made.service
        document = _JSON.decode(await service.saga(saga))
        why = _JSON.decode(await service.why(saga))["why"]
        if "nothing of it is going on" in why and not self._run.loop.dead:
            raise Broken("moves", f"{why} ({document['status']})")
        await service.executions(saga)
        await service.events(saga, 0)
        await service.sagas()
        await service.health()
        for audit in (service.audit_verify, service.audit_replay):
            found = _JSON.decode(await audit())
            if not found["ok"] and not self._run.loop.dead:
                raise Broken("chain" if audit == service.audit_verify else "folds", str(found))

    # -- honest people, in the end -----------------------------------------------------------------------------------

    async def bring_to_an_end(self, made: Parts) -> None:
        """Say what each saga's hold asks for until all have ended; everything else goes well from here on."""
        waiting: list[str] = []
        for number in range(ROUNDS):
            await asyncio.sleep(3 if number < 10 else 40)
            live = await made.host.queries.live()
            waiting = [each.id for each in live if each.status not in ENDED]
            if not waiting:
                return
            for saga in waiting:
                await self._honest_word(made, saga, number)
        told = [_JSON.decode(await made.service.why(saga))["why"] for saga in waiting]
        raise Broken("moves", f"not brought to an end: {' '.join(told)}")

    async def _honest_word(self, made: Parts, saga: str, number: int) -> None:
        from tests.simulation.scenario import Action

        plan, state = made.directory.durable(saga)
        if state.hold is None:
            return
        reason, word = state.hold.reason, f"honest {number} {saga}."
        held = [index for index, step in enumerate(state.steps) if step.undo_held]
        verbs: list[tuple[str, int, bool]] = {
            "paused": [("resume", 0, False)],
            "quarantined": [("resume", 0, False)],
            "approval": [("approve", 0, False)],
        }.get(reason, [])
        if reason == "attention":
            at = column(plan, state)
            locked = state.seen.locked if state.deadlock is not None else ()
            verbs = [("resolve", 0, False)] if _unknown(state) else []
            verbs += [("skip", locked[0][0], False)] if locked and not verbs else []
            verbs += [("skip", held[0], False)] if held and not verbs else []
            verbs += [_past(saga, state, number)] if at == "past" else []
            verbs += [("cancel", 0, False)] if at == "stopped" else []
            verbs = verbs or [("retry", 0, False)]
        for verb, step, flag in verbs:
            for by in ("bob", "eve", "ivy"):
                if await self.said(made, saga, Action(0, verb, 0, step, by, flag), f"{word[:-1]} {by}."):
                    break


def _past(saga: str, state: State, number: int) -> tuple[str, int, bool]:
    """Choose what to do past an irreversible step: a third each goes back, on without what failed, and on with it again.

    One that is not done with that goes back in the end.
    """
    choice = sum(saga.encode()) % 3 if number < 5 else 0
    failing = [index for index, step in enumerate(state.steps) if step.failing]
    if choice == 1 and failing:
        return "skip", failing[0], False
    return ("retry", 0, False) if choice == 2 else ("rollback", 0, True)


def _once_more(file: dict[str, Any], word: str) -> dict[str, Any]:
    """Give a file that does the same with other values, so that what it does can be told from what was done before."""
    steps = []
    for step in file["steps"]:
        given = dict(step.get("with", {}))
        if "value" in given:
            given["value"] += f", once more by {word}"
        steps.append({**step, "with": given})
    return {**file, "steps": steps}


def _unknown(state: State) -> list[tuple[int, str, int]]:
    """Give the executions of which nobody could find out what became of them."""
    return [(index, way, run.generation) for index, way, run in state.seen.runs if run.phase == "unknown"]
