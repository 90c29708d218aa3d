"""Operators: one who says anything to anything, and one who looks, and does what brings things to an end."""

from __future__ import annotations

import random
from typing import Any

from actors.saga.keys import execution_id
from tests.daemon import ENDED
from tests.torture.book import Book
from tests.torture.node import Node
from tests.torture.world import World

Document = dict[str, Any]

MEDDLER, CARER = "o", "c"
"""Who says anything to anything, and who looks."""

VERBS = (
    ["cancel"] * 5 + ["pause"] * 4 + ["resume"] * 4 + ["retry"] * 3 + ["skip"] * 2
    + ["approve"] * 3 + ["reject"] + ["rollback"] * 5 + ["abandon"]
)  # fmt: skip


def is_of(name: str, reason: str | None) -> bool:
    """Tell whether that operator gave this reason."""
    return reason is not None and reason.startswith(f"word {name}-")


class Operator:
    """Says things to sagas, and notes what was accepted."""

    def __init__(self, chance: random.Random, node: Node, world: World, book: Book, name: str) -> None:
        """Work by this node, and look at this world."""
        self._chance = chance
        self._node = node
        self._world = world
        self._book = book
        self._name = name
        self._said = 0

    def say(self, id: str, verb: str, *, of: str = "sagas", **body: Any) -> tuple[int, Any]:
        """Say a word. What was accepted must be found on the record later, by its reason."""
        self._said += 1
        reason = f"word {self._name}-{self._said} of {id}"
        status, answer = self._node.tell("POST", f"/v1/{of}/{id}/{verb}", {**body, "reason": reason})
        if status == 200 and answer["did"] == "accepted" and not body.get("preview"):
            self._book.words.add(reason)
            self._book.count(f"verb {verb}")
        return status, answer

    # -- at random -------------------------------------------------------------------------------------------------

    def meddle(self, ids: list[str], batches: list[str]) -> None:
        """Say something to somebody."""
        if batches and self._chance.random() < 0.05:
            verb = self._chance.choice(["cancel", "rollback"])
            self.say(self._chance.choice(batches), verb, of="batches")
            return
        # The newest are those that are still at it.
        id_ = self._chance.choice(ids[-150:] if self._chance.random() < 0.8 else ids)
        verb = self._chance.choice(VERBS)
        self.say(id_, verb, **self._body(id_, verb))

    def _body(self, id: str, verb: str) -> dict[str, Any]:
        match verb:
            case "cancel":
                return {"now": self._chance.random() < 0.4}
            case "skip":
                return {"step": f"s{self._chance.randrange(5)}"}
            case "rollback":
                preview, past = self._chance.random() < 0.2, self._chance.random() < 0.3
                return {"preview": True} if preview else {"past_irreversible": past}
        return {}

    # -- with sense ------------------------------------------------------------------------------------------------

    def care(self, document: Document) -> bool:
        """Do what lets a held saga go on; tell whether there was anything to do."""
        if document["hold"] is None or document["status"] in ENDED:
            return False
        match document["hold"]["reason"]:
            case "paused":
                self.say(document["id"], "resume")
            case "approval":
                self.say(document["id"], "approve" if self._chance.random() < 0.8 else "reject")
            case "quarantined":
                self._book.wrong(f"saga {document['id']} is quarantined: {document['hold']['detail']}")
                self.say(document["id"], "resume")
            case "attention":
                self._attend(document)
            case _:
                return False
        return True

    def _attend(self, document: Document) -> None:
        unknown = [step for step in document["steps"] if step["status"] == "unknown"]
        for step in unknown:
            self._resolve(document, step, undo=False)
        undoing = [step for step in document["steps"] if step["status"] == "compensating"]
        for step in () if unknown else undoing:
            self._undo(document, step)
        if not unknown and not undoing:
            self._decide(document)

    def _resolve(self, document: Document, step: Document, *, undo: bool) -> int:
        done = self._done(document, step, undo=undo)
        if done is None:
            said: dict[str, Any] = {"as": self._chance.choice(["done", "failed"])}
        else:
            said = {"as": "done"} if done else {"as": self._chance.choice(["retry", "failed"])}
        status, answer = self.say(document["id"], "resolve", step=step["name"], **said)
        if status == 422:
            self._book.wrong(f"resolve {said} of {step['name']} of {document['id']}: {answer}")
        return status

    def _done(self, document: Document, step: Document, *, undo: bool) -> bool | None:
        """Look at the world, as an operator would: has it been done? None: it is nothing that can be seen."""
        mark = self._book.mark(document["kind"], step["name"])
        if mark is None:
            return None
        if mark.place.kind == "line":
            return self._ran(document, step, undo=undo)
        there = self._world.at(mark.place, self._world.look()) == mark.after
        return not there if undo else there

    def _ran(self, document: Document, step: Document, *, undo: bool) -> bool:
        """Look whether a command has written its line, under the key of its newest execution, whatever the line is."""
        executions = self._node.tell("GET", f"/v1/sagas/{document['id']}/executions")[1]["executions"]
        direction = "undo" if undo else "forward"
        ids = [e["id"] for e in executions if e["step"] == step["name"] and e["direction"] == direction]
        return any(execution_id(line.key) == ids[-1] for line in self._world.lines())

    def _undo(self, document: Document, step: Document) -> None:
        """An undo that is held. Unknown: it is looked at, since `retry` would repeat it unseen; else failed or in conflict."""
        mark = self._book.mark(document["kind"], step["name"])
        if mark is not None and mark.place.kind == "line":
            if self._resolve(document, step, undo=True) == 409:
                self.say(document["id"], "retry", step=step["name"])
            return
        status, _ = self.say(document["id"], "retry", step=step["name"])
        if status == 409:
            self._resolve(document, step, undo=True)
        elif self._chance.random() < 0.3:
            self.say(document["id"], "skip", step=step["name"])

    def _decide(self, document: Document) -> None:
        """Failed with `on_failure: hold`, or stopped at a point of no return."""
        failed = [step["name"] for step in document["steps"] if step["status"] == "failed"]
        choice = self._chance.random()
        if choice < 0.4 and failed:
            self.say(document["id"], "skip", step=failed[0])
        elif choice < 0.7:
            self.say(document["id"], "rollback", past_irreversible=True)
        else:
            self.say(document["id"], "cancel")
