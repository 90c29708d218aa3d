"""The laws, looked at from outside: what the daemon answers against the files, the commands' log and the fake."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.daemon import ENDED
from tests.torture.book import Batch, Book
from tests.torture.node import Node
from tests.torture.operators import MEDDLER, is_of
from tests.torture.record import Document, Record, Verdict
from tests.torture.sagas import Mark, Sent
from tests.torture.world import Place, Seen, World, content

FINAL = frozenset({"completed", "failed", "compensated", "compensation_failed", "kept", "skipped"})
OPEN_ENDED = FINAL | {"unknown"}
"""What an abandoned saga's steps may be."""
OF_COMPLETED = frozenset({"completed", "skipped"})
OF_ROLLED_BACK = frozenset({"compensated", "failed", "skipped", "kept"})


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
        executions, events = self._executions(record), self._events()
        self._places(record, seen)
        self._shared(record, executions, events)
        self._once(seen, events)
        self._links(executions)
        self._objects(seen, executions)
        self._words(events)
        self._apart(record, events)
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
        never = step["attempts"] == 0 and not back  # what was taken back and then begun anew has none yet
        if step["status"] in ("skipped", "failed") and never and written:
            self._book.wrong(f"{where} is there: the step is {step['status']}, and was never tried")
        if step["status"] == "compensated" and not back:
            self._book.wrong(f"{where} was not taken back: the step is compensated")

    def _shared(self, record: Record, executions: list[Document], events: list[Document]) -> None:
        """What stands in a shared file is what the last step has written that is in effect, as if one saga ran at a time."""
        done = {
            (each["saga"], each["step"]): each["seq"] for each in events if each["type"] == "step.succeeded"
        }
        writes: defaultdict[str, list[tuple[int, Document]]] = defaultdict(list)
        for each in executions:
            path = str(each["arguments"].get("path"))
            if path.startswith(f"{self._world.shared}/") and each["direction"] == "forward":
                writes[path].append((done.get((each["saga"], each["step"]), 0), each))
        for path, written in writes.items():
            verdicts = [(seq, self._by(record, each), each) for seq, each in written]
            if any(verdict == "either" for _, verdict, _ in verdicts):
                self._book.count("places not judged")
                continue
            last = max(
                (each for each in verdicts if each[1] == "done"), default=None, key=lambda each: each[0]
            )
            wanted = None if last is None else last[2]["arguments"]["content"]
            self._book.count("places judged")
            if (found := content(Path(path))) != wanted:
                self._book.wrong(f"{path} should be {_short(wanted)} and is {_short(found)}")

    def _by(self, record: Record, execution: Document) -> Verdict:
        """Say whether what an execution wrote is to be seen. What takes another saga back writes nothing of its own."""
        saga = record.sagas[execution["saga"]]
        return "undone" if saga["rollback_of"] else record.verdict(saga, execution["step"])

    # -- nothing twice -----------------------------------------------------------------------------------------------

    def _once(self, seen: Seen, events: list[Document]) -> None:
        """But for whoever says `retry` to an undo of which nobody knows, without a look: it is made again, as said."""
        blindly = Counter(
            f"{each['saga']}-{each['data']['step']}-u"
            for each in events
            if each["type"] == "undo.reset" and is_of(MEDDLER, each["data"]["reason"])
        )
        for line, count in seen.lines.items():
            if count > 1 + blindly[line.key.rpartition("-")[0]]:
                self._book.wrong(f"`{line.name}` ran {count} times under the key {line.key}")
        self._book.count("lines by commands", sum(seen.lines.values()))

    def _objects(self, seen: Seen, executions: list[Document]) -> None:
        """No more objects were ever made of a name than executions were to make one."""
        making = Counter(
            str(each["arguments"].get("name"))
            for each in executions
            if each["operation"].startswith("digitalocean.") and each["operation"].endswith(".create")
        )
        for sent in self._every():
            for place in (mark.place for mark in sent.marks if mark.place.kind == "cloud"):
                kind, _, name = place.name.partition("/")
                made = len(seen.census.get((kind, name), []))
                self._book.count("objects made", made)
                if made > making[name]:
                    self._book.wrong(f"{place.name} was made {made} times by {making[name]} executions")

    # -- linked both ways --------------------------------------------------------------------------------------------

    def _executions(self, record: Record) -> list[Document]:
        every: list[Document] = []
        for id_ in (*record.sagas, *record.batches):
            every += self._node.tell("GET", f"/v1/sagas/{id_}/executions")[1]["executions"]
        self._book.count("executions", len(every))
        return every

    def _links(self, executions: list[Document]) -> None:
        every = {each["id"]: each for each in executions}
        for each in executions:
            self._linked(every, each)

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

    def _events(self) -> list[Document]:
        every: list[Document] = []
        while events := self._node.tell("GET", f"/v1/events?after={every[-1]['seq'] if every else 0}")[1][
            "events"
        ]:
            every += events
        self._book.count("events", len(every))
        return every

    def _words(self, events: list[Document]) -> None:
        """What an operator said and was told is accepted, is on the record."""
        for word in sorted(self._book.words - {str(each["data"].get("reason")) for each in events}):
            self._book.wrong(f"`{word}` was accepted and is not on the record")

    def _apart(self, record: Record, events: list[Document]) -> None:
        """No two sagas have the lock of one path at once, but for those of one batch."""
        holders: defaultdict[str, set[str]] = defaultdict(set)
        for event in events:
            family = record.family(event["saga"])
            if event["type"] == "lock.taken" and (path := event["data"]["resource"].get("path")):
                if others := {other for other in holders[path] if record.family(other) != family}:
                    self._book.wrong(
                        f"{event['saga']} took the lock of {path}, which {others} had: event {event['seq']}"
                    )
                holders[path].add(event["saga"])
            elif event["type"] == "lock.released":
                for resource in event["data"]["resources"]:
                    holders[resource.get("path")].discard(event["saga"])

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
