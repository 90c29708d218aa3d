"""All that the daemon says of the sagas that it has, and what that means for the world."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Literal

from tests.torture.node import Node

Document = dict[str, Any]
Verdict = Literal["done", "undone", "either"]

VERDICTS: dict[str, Verdict] = {
    "completed": "done",
    "compensated": "undone",
    "failed": "undone",
    "skipped": "undone",
    "kept": "either",
    "compensation_failed": "either",
    "unknown": "either",
}


class Record:
    """All that the daemon says of the sagas that it has."""

    def __init__(self, node: Node) -> None:
        """Ask for everything."""
        self.sagas: dict[str, Document] = {each["id"]: each for each in node.all("/v1/sagas", "sagas")}
        for batch in node.all("/v1/batches", "batches"):
            whole = node.tell("GET", f"/v1/batches/{batch['id']}")[1]
            self.sagas.update({each["id"]: each for each in whole["sagas"] + whole["rollbacks"]})
        self.batches = {each["id"]: each for each in node.all("/v1/batches", "batches")}
        self.by_kind: defaultdict[str, list[Document]] = defaultdict(list)
        self.rollbacks: defaultdict[str, list[Document]] = defaultdict(list)
        for each in self.sagas.values():
            if each["rollback_of"]:
                self.rollbacks[each["rollback_of"]].append(each)
            else:
                self.by_kind[each["kind"]].append(each)

    def family(self, saga: str | None) -> str | None:
        """Name the batch that a saga is of, or of which it takes something back; else the saga itself."""
        document = self.sagas.get(saga or "")
        if document is None:
            return saga
        return document["batch"] or self.family(document["rollback_of"]) or saga

    def verdict(self, saga: Document, step: str) -> Verdict:
        """Say whether a step's change is to be seen, after all rollbacks of it and rollbacks of those."""
        none: Document = {"status": "skipped"}
        shown = next((each for each in saga["steps"] if each["name"] == step), none)
        said: Verdict = VERDICTS.get(shown["status"], "either")
        # What was left: it failed when it was done but for its hook, or in part; or it was skipped after that.
        if said == "undone" and any(each["step"] == step for each in saga["left_behind"]):
            hooked = shown["status"] == "failed" and shown["error"]["code"] == "hook_failed"
            said = "done" if hooked else "either"
        for rollback in self.rollbacks[saga["id"]]:
            if said == "undone" or not any(each["name"] == step for each in rollback["steps"]):
                continue
            taken = self.verdict(rollback, step)
            said = "undone" if taken == "done" else said if taken == "undone" else "either"
        return said
