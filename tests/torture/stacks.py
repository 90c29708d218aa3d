"""A stack that is applied again and again, each time another way: what is there must be what was applied last."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.daemon import ENDED
from tests.torture.book import Book
from tests.torture.node import Node
from tests.torture.world import content

FILES = 6
NO_DESCRIPTORS = "Too many open files"
"""Where what is there cannot be read, there is no plan; whoever wants it asks again."""
FINAL_OUTCOMES = frozenset(
    {"success", "error", "delete_failed", "compensated", "compensation_failed", "skipped"}
)


class Stack:
    """One stack, and who looks after it."""

    def __init__(self, name: str, folder: Path, chance: random.Random, node: Node, book: Book) -> None:
        """Have nothing applied yet."""
        self.name = name
        self._folder = folder
        self._chance = chance
        self._node = node
        self._book = book
        self._version = 0
        self._sent: dict[str, Any] | None = None
        self._wanted: dict[str, str] = {}
        self._is: dict[str, str] | None = {}
        """What should be there; None: that cannot be said any more, since something was given up."""
        self._saga: str | None = None

    def _file(self) -> tuple[dict[str, Any], dict[str, str]]:
        folder = {"type": "local.directory", "name": "folder", "spec": {"path": str(self._folder)}}
        chosen = sorted(self._chance.sample(range(FILES), self._chance.randint(0, FILES)))
        texts = {f"f{index}": f"{self.name} {self._version} {index}\n" for index in chosen}
        files = [
            {
                "type": "local.file",
                "name": name,
                "spec": {"path": f"${{resources.folder.path}}/{name}", "content": text},
            }
            for name, text in texts.items()
        ]
        return {"stack": self.name, "resources": [folder, *files]}, texts

    def step(self) -> None:
        """Apply the next version, if the last one has come to its end. Raises OSError where nobody answers."""
        if self._saga is not None and not self._judged():
            return
        if self._sent is None:
            self._version += 1
            self._sent, self._wanted = self._file()
        status, answer = self._node.tell(
            "POST", "/v1/plans/apply", self._sent, {"Idempotency-Key": f"{self.name}-{self._version}"}
        )
        if status in (200, 201):
            self._sent = None
            self._saga = answer.get("id")
            self._book.count("stacks applied")
            if self._saga is None:
                self._look(answer, self._wanted)
        elif status == 422 and NO_DESCRIPTORS not in str(answer):
            self._book.wrong(f"stack {self.name} version {self._version} was refused: {answer}")
            self._sent = None
        else:
            # 409: the saga before was still at it, or what was planned has moved; 503: no room. Ask anew.
            self._book.count(f"stacks put off: {answer.get('code')}")

    def _judged(self) -> bool:
        document = self._node.tell("GET", f"/v1/sagas/{self._saga}")[1]
        if document["status"] not in ENDED:
            return False
        self._saga = None
        outcomes = document["outcomes"] or []
        if [each["index"] for each in outcomes] != list(range(len(outcomes))) or not outcomes:
            self._book.wrong(f"stack {self.name}: outcomes of {document['id']} are {outcomes}")
        if not {each["status"] for each in outcomes} <= FINAL_OUTCOMES:
            self._book.wrong(f"stack {self.name}: outcomes of {document['id']} are {outcomes}")
        if document["status"] == "failed":
            self._is = None
        elif document["status"] == "completed" and any(s["status"] != "completed" for s in document["steps"]):
            self._is = None  # an operator has skipped some of it
        elif self._is is not None or document["status"] == "completed":
            self._look(document, self._wanted if document["status"] == "completed" else self._is)
        return True

    def _look(self, document: dict[str, Any], wanted: dict[str, str] | None) -> None:
        if wanted is None:
            return
        self._is = wanted
        there = {path.name: content(path) for path in self._folder.glob("*")}
        self._book.count("places judged", FILES)
        if there != wanted:
            what = f"{document.get('id')} {document.get('status')}"
            self._book.wrong(f"stack {self.name}: after {what} there is {there}, wanted was {wanted}")

    def finish(self) -> None:
        """Look at the last version."""
        if self._saga is not None and not self._judged():
            self._book.wrong(f"stack {self.name}: saga {self._saga} has not ended")
