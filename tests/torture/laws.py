"""The laws, looked at from outside: what the daemon answers against the files, the commands' log and the fake."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Literal

from tests.daemon import ENDED
from tests.torture.book import Batch, Book
from tests.torture.node import Node
from tests.torture.sagas import Mark, Sent
from tests.torture.world import Place, Seen, World

Document = dict[str, Any]
Verdict = Literal["done", "undone", "either"]

FINAL = frozenset({"completed", "failed", "compensated", "compensation_failed", "kept", "skipped"})
OPEN_ENDED = FINAL | {"unknown"}
"""What an abandoned saga's steps may be."""
OF_COMPLETED = frozenset({"completed", "skipped"})
OF_ROLLED_BACK = frozenset({"compensated", "failed", "skipped", "kept"})
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

    def verdict(self, saga: Document, step: str) -> Verdict:
        """Say whether a step's change is to be seen, after all rollbacks of it and rollbacks of those."""
        status = next((each["status"] for each in saga["steps"] if each["name"] == step), "skipped")
        said: Verdict = VERDICTS.get(status, "either")
        for rollback in self.rollbacks[saga["id"]]:
            if said == "undone" or not any(each["name"] == step for each in rollback["steps"]):
                continue
            taken = self.verdict(rollback, step)
            said = "undone" if taken == "done" else said if taken == "undone" else "either"
        return said


class Laws:
    """Holds them; what is broken goes into the book."""

    def __init__(self, node: Node, world: World, book: Book) -> None:
        """Look at these."""
        self._node = node
        self._world = world
        self._book = book

    def hold(self) -> None:
        """Hold all of them. Everything must have ended."""
        record = Record(self._node)
        seen = self._world.look()
        for sent in self._book.sent:
            self._acknowledged(record, sent)
        for batch in self._book.batches:
            self._batch(record, batch)
        for saga in record.sagas.values():
            self._ended(saga)
        self._places(record, seen)
        self._shared(record)
        self._once(seen)
        executions = self._executions(record)
        self._objects(seen, executions)
        self._words()
        self._audit()
        for path in self._world.leftovers():
            self._book.wrong(f"left over: {path}")

    # -- acknowledged is there ---------------------------------------------------------------------------------------

    def _acknowledged(self, record: Record, sent: Sent) -> None:
        found = len(record.by_kind[sent.kind])
        if sent.acknowledged and found == 0:
            self._book.wrong(f"{sent.kind} was acknowledged and is not there")
        if found > 1:
            self._book.wrong(f"{sent.kind} was sent with one key and is there {found} times")

    def _batch(self, record: Record, batch: Batch) -> None:
        found = [each for each in record.batches.values() if each["batch"] == batch.name]
        members = [len(record.by_kind[each.kind]) for each in batch.members]
        if len(found) != 1 and (found or batch.acknowledged):
            self._book.wrong(f"batch {batch.name} is there {len(found)} times")
        if set(members) != {len(found)}:
            self._book.wrong(f"batch {batch.name} is there in part: {members}")
        if found and batch.mode == "all_or_nothing" and found[0]["status"] == "rolled_back":
            for sent in batch.members:
                self._taken_back(record, batch, sent)

    def _taken_back(self, record: Record, batch: Batch, sent: Sent) -> None:
        """Nothing of it that has a way back is there any more."""
        saga = record.by_kind[sent.kind][0]
        for mark in sent.marks:
            if mark.place.kind != "line" and record.verdict(saga, mark.step) == "done":
                self._book.wrong(
                    f"batch {batch.name} is rolled back, and {mark.step} of {_told(saga)} is not"
                )

    # -- one final status --------------------------------------------------------------------------------------------

    def _ended(self, saga: Document) -> None:
        statuses = {step["status"] for step in saga["steps"]}
        where = f"saga {saga['id']} ({saga['kind']}, {saga['status']})"
        if saga["status"] not in ENDED:
            self._book.wrong(f"{where} has not ended: {saga['hold'] or saga['waiting']}")
            return
        allowed = {"completed": OF_COMPLETED, "rolled_back": OF_ROLLED_BACK}.get(saga["status"], OPEN_ENDED)
        if not statuses <= allowed:
            self._book.wrong(f"{where} has steps {sorted(statuses)}")
        if saga["locks"]["held"] or saga["locks"]["awaits"]:
            self._book.wrong(f"{where} still has locks: {saga['locks']}")
        if saga["hold"] or saga["waiting"]:
            self._book.wrong(f"{where} still waits: {saga['hold'] or saga['waiting']}")
        if saga["status"] == "rolled_back":
            kept = {step["name"] for step in saga["steps"] if step["status"] == "kept"}
            if not kept <= {each["step"] for each in saga["left_behind"]}:
                self._book.wrong(f"{where} kept {sorted(kept)} and says {saga['left_behind']} is left behind")

    # -- completed is there, taken back is as before -------------------------------------------------------------------

    def _places(self, record: Record, seen: Seen) -> None:
        for sent in self._every():
            marks: defaultdict[Place, list[Mark]] = defaultdict(list)
            for mark in sent.marks:
                marks[mark.place].append(mark)
            for place, at in marks.items():
                self._place(record, seen, sent, place, at)

    def _every(self) -> Iterator[Sent]:
        yield from self._book.sent
        for batch in self._book.batches:
            yield from batch.members

    def _place(self, record: Record, seen: Seen, sent: Sent, place: Place, marks: list[Mark]) -> None:
        wanted = sent.before[place]
        saga = next(iter(record.by_kind[sent.kind]), None)
        verdicts = [record.verdict(saga, mark.step) if saga else "undone" for mark in marks]
        if "either" in verdicts:
            self._book.count("places not judged")
            return
        if place.kind == "line" and saga is not None:
            self._line(seen, saga, marks[0], verdicts[0])
            return
        for mark, verdict in zip(marks, verdicts, strict=True):
            wanted = mark.after if verdict == "done" else wanted
        found = self._world.at(place, seen)
        self._book.count("places judged")
        if found != wanted:
            steps = [f"{mark.step} {verdict}" for mark, verdict in zip(marks, verdicts, strict=True)]
            self._book.wrong(
                f"{place.kind} {place.name} of {_told(saga)}, {steps}: should be {_short(wanted)}, is {_short(found)}"
            )

    def _line(self, seen: Seen, saga: Document, mark: Mark, verdict: Verdict) -> None:
        """Hold what a command wrote. A line that was written stays; its undo, where it has one, writes another."""
        written = self._world.at(mark.place, seen)
        back = self._world.at(Place("line", f"{mark.place.name}-undo"), seen)
        where = f"line {mark.place.name} of {saga['id']} ({saga['status']})"
        step = next(each for each in saga["steps"] if each["name"] == mark.step)
        self._book.count("places judged")
        if verdict == "done" and not written:
            self._book.wrong(f"{where} is missing: the step is {step['status']}")
        if step["status"] in ("skipped", "failed") and step["attempts"] == 0 and written:
            self._book.wrong(f"{where} is there: the step is {step['status']}, and was never tried")
        if step["status"] == "compensated" and not back:
            self._book.wrong(f"{where} was not taken back: the step is compensated")

    def _shared(self, record: Record) -> None:
        """What stands in a shared file is what a step has written that is in effect."""
        for path in sorted(self._world.shared.iterdir()):
            kind, _, step = path.read_text().strip().partition(" ")
            saga = next(iter(record.by_kind.get(kind, [])), None)
            if saga is None:
                self._book.wrong(f"{path} was written by {kind}, which is not there")
            elif record.verdict(saga, step) == "undone":
                self._book.wrong(f"{path} has what {step} of {saga['id']} wrote, which was taken back")
            self._book.count("places judged")

    # -- nothing twice -----------------------------------------------------------------------------------------------

    def _once(self, seen: Seen) -> None:
        for line, count in seen.lines.items():
            if count > 1:
                self._book.wrong(f"`{line.name}` ran {count} times under the key {line.key}")
        self._book.count("lines by commands", sum(seen.lines.values()))

    def _objects(self, seen: Seen, executions: Counter[str]) -> None:
        """No more objects were ever made of a name than executions were to make one."""
        for sent in self._every():
            for place in (mark.place for mark in sent.marks if mark.place.kind == "cloud"):
                kind, _, name = place.name.partition("/")
                made = len(seen.census.get((kind, name), []))
                self._book.count("objects made", made)
                if made > executions[name]:
                    self._book.wrong(f"{place.name} was made {made} times by {executions[name]} executions")

    # -- linked both ways --------------------------------------------------------------------------------------------

    def _executions(self, record: Record) -> Counter[str]:
        """Hold the links, and count by name how often something was to be made in the cloud."""
        every: dict[str, Document] = {}
        for id_ in (*record.sagas, *record.batches):
            answer = self._node.tell("GET", f"/v1/sagas/{id_}/executions")[1]
            every.update({each["id"]: each for each in answer["executions"]})
        making: Counter[str] = Counter()
        for each in every.values():
            self._linked(every, each)
            if each["operation"].startswith("digitalocean.") and each["operation"].endswith(".create"):
                making[str(each["arguments"].get("name"))] += 1
        self._book.count("executions", len(every))
        return making

    def _linked(self, every: dict[str, Document], each: Document) -> None:
        if each["status"] in ("calling", "polling", "settling", "retrying"):
            self._book.wrong(f"execution {each['id']} of ended saga {each['saga']} is {each['status']}")
        original = every.get(each["compensates"] or "")
        if each["compensates"] and (original is None or each["id"] not in original["compensated_by"]):
            self._book.wrong(f"{each['id']} takes back {each['compensates']}, which does not name it")
        for other in each["compensated_by"]:
            if other not in every or every[other]["compensates"] != each["id"]:
                self._book.wrong(f"{each['id']} names {other}, which does not take it back")

    # -- the record ----------------------------------------------------------------------------------------------------

    def _words(self) -> None:
        """What an operator said and was told is accepted, is on the record."""
        found: set[str] = set()
        after = 0
        while events := self._node.tell("GET", f"/v1/events?after={after}")[1]["events"]:
            found.update(str(each["data"].get("reason")) for each in events)
            after = events[-1]["seq"]
        for word in sorted(self._book.words - found):
            self._book.wrong(f"`{word}` was accepted and is not on the record")
        self._book.count("events", after)

    def _audit(self) -> None:
        for what in ("verify", "replay"):
            answer = self._node.tell("GET", f"/v1/audit/{what}")[1]
            if not answer["ok"]:
                self._book.wrong(f"audit {what}: {answer}")


def _told(saga: Document | None) -> str:
    if saga is None:
        return "a saga that is not there"
    steps = ", ".join(f"{step['name']} {step['status']}" for step in saga["steps"])
    return f"{saga['id']} ({saga['status']}: {steps}; left behind {[each['step'] for each in saga['left_behind']]})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:60]}… ({len(text)})"
