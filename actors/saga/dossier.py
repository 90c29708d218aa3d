"""A saga's payloads in memory: what its executions were asked to do, what they gave, and how references find it.

The machine knows only digests; the dossier holds what they are digests of, for as long as the actor lives. It is read
from the executions' rows when an actor is woken, and grows with each intent and outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from actors.saga import keys, moved
from actors.saga.plan import Plan
from actors.saga.references import BadReference, Lookup, Ref, dig
from actors.saga.state import Direction, Move, State
from providers.contract import Approved, Image, Resource
from store.records import Execution, NewExecution, Sealed
from store.records import Resource as Record
from store.sealed import name_of, referred

PAYLOAD = 1 << 20
"""Arguments, outputs and images of one execution, together, in bytes (SPEC §4)."""


class Intent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the engine needs of an execution to go on with it, also in another process (``executions.plan``)."""

    verb: str
    name: str
    driver: str
    """``TYPE version``"""
    resource: Resource | None = None
    before: Image | None = None
    after: Image | None = None
    fields: tuple[str, ...] = ()
    restore: bool = False
    """A derived inverse: ``after`` is the image to be put back."""
    typed_as: str = ""
    """Of a restore: the verb whose arguments it was given, which are those of what it restores."""
    settle: int = 0
    limit: int | None = None
    """Milliseconds an attempt may take."""
    secrets: tuple[str, ...] = ()
    mark: str = ""
    """Fingerprint of the secrets' values when the intent was written."""
    approved: Approved | None = None
    """Who has approved it, where that is what the step waits for."""
    recorded: tuple[Record, ...] | None = None
    """What was on record about the resource: its own record first, then those of what goes with it. None: it has no
    part in the registry."""
    alias: str | None = None
    """What the step calls its resource, where it has a part in the registry."""


class Entry(msgspec.Struct):
    """One execution: its intent, its arguments as recorded, and what came of it."""

    id: str
    key: str
    direction: Direction
    operation: str
    generation: int
    arguments: Any
    intent: Intent
    outputs: dict[str, Any] | None = None
    after: Image | None = None
    handle: Any = None
    status: str = "running"
    """As its row has it."""

    @property
    def saga(self) -> str:
        """Give the saga that it is of."""
        return self.key.partition("-")[0]

    @property
    def verb(self) -> str:
        """Give the verb that its arguments are of."""
        return self.intent.typed_as or self.operation.rpartition(".")[2]

    @property
    def told(self) -> dict[str, Any] | None:
        """Give its outputs as references find them: of what is sealed, the reference to that."""
        return None if self.outputs is None else as_told(self.id, self.outputs)

    @property
    def type(self) -> str:
        """Give the type that it is of."""
        return self.operation.rpartition(".")[0]

    @property
    def known(self) -> Resource | None:
        """Give its resource with the id that it is known by since then."""
        resource, known = self.intent.resource, moved.id_of(self.outputs)
        if resource is None or resource.path is not None or known in (None, resource.id):
            return resource
        return msgspec.structs.replace(resource, id=known)

    @property
    def left(self) -> Image | None:
        """Give the image that it left behind, as far as is known."""
        return self.after or self.intent.after


def as_told(id: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """Give the outputs of the execution with this id as references find them.

    Only what is its own and in its own place is a reference. A text that looks like another one came from outside, and
    must not bring a secret to light.
    """
    return {name: _own(value, name_of(id, name)) for name, value in outputs.items()}


def _own(value: Any, name: str) -> Any:
    return Ref("secret", (name,)) if referred(value) == name else value


class Carry(msgspec.Struct):
    """Payloads that go to disk with the events which their message brings about."""

    entry: Entry | None = None
    row: NewExecution | None = None
    outputs: dict[str, Any] | None = None
    after: Image | None = None
    handle: Any = None
    before: Image | None = None
    """What a forced undo overwrote."""
    sealed: list[Sealed] = []
    """What of it is sensitive: elsewhere its references stand."""


INTENT = msgspec.msgpack.Decoder(Intent)
IMAGE = msgspec.msgpack.Decoder(Image)


class Header(msgspec.Struct, frozen=True):
    """What never changes about a saga but its links: the part of its row that is not the checkpoint."""

    id: str
    kind: str
    inputs: bytes
    labels: bytes
    submitted_by: str
    reason: str | None
    created_at: int
    batch: str | None = None
    rollback_of: str | None = None
    rolled_back_by: str | None = None
    corrects: str | None = None
    corrected_by: str | None = None


class Past(msgspec.Struct, frozen=True):
    """The saga that another one takes back or corrects, as it ended: what the other one's executions are made from."""

    dossier: Dossier
    state: State
    moves: tuple[Move, ...] = ()
    """By what it has taken back itself, and by what others have taken back of it."""


class Dossier:
    """The payloads of one saga."""

    def __init__(self, header: Header, plan: Plan, past: Past | None = None) -> None:
        """Begin with nothing done. ``past``: the saga that this one takes back or corrects."""
        self.header = header
        self.plan = plan
        self.past = past
        self.entries: dict[tuple[int, Direction], Entry] = {}
        self.moves: tuple[Move, ...] = () if past is None else past.moves
        """Which resources have other ids by now than the record says."""
        self.records: dict[tuple[str, str], Record | None] = {}
        """What the saga has made of the registry since it is in memory, by type and identity."""
        self._inputs: dict[str, Any] | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """Give the values of the saga's inputs."""
        if self._inputs is None:
            self._inputs = msgspec.json.decode(self.header.inputs)
        return self._inputs

    def recall(self, state: State) -> None:
        """Take in what the saga itself has moved so far, by its state."""
        self.moves = (*(() if self.past is None else self.past.moves), *state.moves)

    def load(self, executions: Iterable[Execution]) -> None:
        """Take in what is on disk, the latest generation of each step and direction. Rows come in order of start."""
        for row in executions:
            self.entries[row.step, row.direction] = Entry(
                id=row.id,
                key=row.key,
                direction=row.direction,
                operation=row.operation,
                generation=row.generation,
                arguments=msgspec.json.decode(row.arguments),
                intent=INTENT.decode(row.plan),
                outputs=None if row.outputs is None else msgspec.json.decode(row.outputs),
                after=None if row.after is None else IMAGE.decode(row.after),
                handle=None if row.handle is None else msgspec.msgpack.decode(row.handle),
                status=row.status,
            )

    def original(self, step: int, direction: Direction) -> Entry | None:
        """Give the execution that one of this step makes up for: its own, or that of the saga which it takes back."""
        if direction == "undo":
            return self._as_now(self.entries.get((step, "forward")))
        theirs = self.plan.steps[step].takes_back
        if theirs is None or self.past is None:
            return None
        return self._as_now(self.past.dossier.entries.get((theirs, "forward")))

    def _as_now(self, entry: Entry | None) -> Entry | None:
        """Give an execution with the ids under which things are known now. What was on record before it stays as it was."""
        if entry is None or not self.moves:
            return entry
        own, intent = entry.type, entry.intent
        followed = partial(moved.followed, self.moves, own=own)
        return msgspec.structs.replace(
            entry,
            arguments=followed(entry.arguments),
            outputs=followed(entry.outputs),
            after=moved.image(self.moves, entry.after, own),
            intent=msgspec.structs.replace(
                intent,
                resource=moved.resource(self.moves, intent.resource),
                before=moved.image(self.moves, intent.before, own),
                after=moved.image(self.moves, intent.after, own),
            ),
        )

    def move(self, step: int, direction: Direction, outputs: dict[str, Any] | None) -> Move | None:
        """Tell whether an execution that has put this out has given a resource another id: what it takes back deleted it."""
        entry = self.entries.get((step, direction))
        original = None if direction == "hook" else self.original(step, direction)
        if entry is None or original is None:
            return None
        left = original.left
        gone = original.verb == "delete" if left is None else not left.exists
        return moved.made_by(original.known, outputs, entry.type, gone=gone)

    def lookup(self, state: State, self_: int | None = None, moves: moved.Moves | None = None) -> Lookup:
        """Give what resolves references for this saga; ``self_`` is the step whose hook or undo asks. Secrets are not its.

        ``moves``: those that count, where it is another saga that asks.
        """
        moves = self.moves if moves is None else moves

        def find(ref: Ref) -> Any:
            if ref.root == "inputs":
                return dig(self.inputs, ref.path, ref)
            if ref.root == "saga":
                return dig({"id": self.header.id, "kind": self.header.kind}, ref.path, ref)
            if ref.root == "self" and self_ is not None:
                return dig(self._outputs_of(state, self_, ref, moves), ref.path, ref)
            if ref.root == "steps" and ref.path[0] in self.plan.by_name:
                step = self.plan.by_name[ref.path[0]]
                return dig(self._outputs_of(state, step, ref, moves), ref.path[1:], ref)
            msg = f"{ref} does not resolve here"
            raise BadReference(msg)

        return find

    def _outputs_of(self, state: State, step: int, ref: Ref, moves: moved.Moves) -> dict[str, Any]:
        now = state.steps[step]
        outputs = self._told(state, step)
        if outputs is not None:
            own = self.plan.steps[step].operation.rpartition(".")[0]
            return moved.followed(moves, outputs, own) if moves else outputs
        msg = f"{ref} does not resolve: step {self.plan.steps[step].name} has no outputs (it is {now.status})"
        raise BadReference(msg)

    def _told(self, state: State, step: int) -> dict[str, Any] | None:
        """Give what a step put out, or was given for it: of what is sealed, the reference to that."""
        given = state.steps[step].given
        if given is not None:
            return as_told(keys.given_id(self.header.id, step), dict(given))
        entry = self.entries.get((step, "forward"))
        return None if entry is None else entry.told
