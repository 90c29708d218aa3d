"""References of one template: do they name something that is there by then, and of what kind is it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from actors.saga import references
from actors.saga.references import BadReference, Ref
from orchestrator.files.document import Report
from orchestrator.files.inputs import Input
from orchestrator.files.kinds import ANY, Kinds, kinds_of_type, say
from orchestrator.files.problems import Path, shown, suggest
from providers.contract import Verb

_INPUT_KINDS: dict[str, Kinds] = {
    "string": frozenset({"string"}),
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "number"}),
    "boolean": frozenset({"boolean"}),
    "list": frozenset({"list"}),
    "object": frozenset({"object"}),
    "any": ANY,
}
_SCALARS = frozenset({"string", "integer", "number", "boolean"})
_TEXT = frozenset({"string"})
_MOST_PIECES = 20
"""Looked at one by one in a text of which one is wrong."""
SAGA_FIELDS = ("id", "kind")


class Names(msgspec.Struct, frozen=True):
    """What the references of a file may name."""

    inputs: Mapping[str, Input] | None
    """None where the declarations could not be read: then any name will do."""
    steps: Mapping[str, int]
    """Step name -> index; of names that are there twice the first."""
    verbs: list[Verb | None]
    """By step; None where its operation is not known."""
    graph: bool
    stack: bool = False
    """They are resources of a stack file, and named so."""

    @property
    def word(self) -> str:
        """Give what one of them is called."""
        return "resource" if self.stack else "step"


class Scope:
    """The references that one step may make, in its arguments or in its hook and undo (where ``self`` has a meaning).

    ``check`` goes through a template and reports; afterwards ``used`` holds the inputs, ``refers`` the (step, field)
    pairs and ``secrets`` the names that it uses with a place of each, and ``kinds`` tells what each reference stands for.
    """

    def __init__(
        self, report: Report, names: Names, index: int, *, has_self: bool = False, shared_by: str = ""
    ) -> None:
        """Make the scope of the step with this index; ``shared_by``: its name, of a template that others share."""
        self.used: set[str] = set()
        self.refers: set[tuple[int, str]] = set()
        self.secrets: dict[str, Path] = {}
        self.late = False
        """Something here is not known before the saga runs (an output, a secret)."""
        self.sound = False
        """Its operation is known, and nothing was wrong with the arguments' references and types."""
        self._report = report
        self._names = names
        self._index = index
        self._has_self = has_self
        self._shared_by = shared_by
        self._kinds: dict[Ref, Kinds] = {}

    def kinds(self, ref: Ref) -> Kinds:
        """Tell what a reference may stand for; anything, where it has been reported."""
        return self._kinds.get(ref, ANY)

    def check(self, path: Path, template: Any) -> None:
        """Report every reference in the template that cannot resolve."""
        if isinstance(template, str):
            if "${" in template:
                self._check_text(path, template)
        elif isinstance(template, dict):
            for key, value in template.items():
                if "${" in key:
                    self._report.warn((*path, key), "references in a key are not resolved", key=True)
                self.check((*path, key), value)
        elif isinstance(template, list):
            for index, value in enumerate(template):
                self.check((*path, index), value)

    def _check_text(self, path: Path, text: str) -> None:
        try:
            parts = references.parse(text)
        except BadReference as error:
            self._check_pieces(path, references.pieces(text), str(error))
            return
        for part in parts:
            if isinstance(part, Ref):
                kinds = self._kinds[part] = self._check_ref(path, part)
                if len(parts) > 1 and not kinds & _SCALARS:
                    what = f"{shown(str(part))} is {say(kinds)} and cannot be put into a longer text"
                    self._report.problem(path, what, "use it as the whole value")

    def _check_pieces(self, path: Path, pieces: list[str], said: str) -> None:
        if len(pieces) == 1:
            self._report.problem(path, said)
            return
        for piece in pieces[:_MOST_PIECES]:
            self._check_text(path, piece)

    def _check_ref(self, path: Path, ref: Ref) -> Kinds:
        match ref.root:
            case "inputs":
                return self._input(path, ref)
            case "steps" | "resources":
                return self._step(path, ref)
            case "self":
                return self._self(path, ref)
            case "saga":
                return self._saga(path, ref)
        self.secrets.setdefault(ref.path[0], path)
        self.late = True
        return _TEXT

    def _bad(self, path: Path, ref: Ref, why: str, hint: str = "") -> Kinds:
        for_ = (
            f", for {self._names.word} {shown(self._shared_by)}"
            if self._shared_by and ref.root in ("self", "steps")
            else ""
        )
        self._report.problem(path, f"{shown(str(ref))}: {why}{for_}", hint)
        return ANY

    def _input(self, path: Path, ref: Ref) -> Kinds:
        name, inputs = ref.path[0], self._names.inputs
        if self._names.stack:
            return self._bad(path, ref, "a stack file has no inputs", "write the value")
        self.used.add(name)
        if inputs is None:
            return ANY
        if name not in inputs:
            hint = suggest(name, inputs) if inputs else f"declare it: `inputs: {{{name}: {{type: string}}}}`"
            return self._bad(path, ref, f"there is no input {shown(name)}", hint)
        return self._below(path, ref, 1, _INPUT_KINDS[inputs[name].type])

    def _saga(self, path: Path, ref: Ref) -> Kinds:
        if ref.path[0] not in SAGA_FIELDS:
            return self._bad(
                path, ref, f"a saga has no {shown(ref.path[0])}", suggest(ref.path[0], SAGA_FIELDS)
            )
        if self._names.stack and not self._has_self:
            hint = "a plan compares what is here with what is there; hooks may refer to the saga"
            return self._bad(path, ref, "it would be another with each apply", hint)
        return self._below(path, ref, 1, _TEXT)

    def _self(self, path: Path, ref: Ref) -> Kinds:
        if not self._has_self:
            hint = "the outputs of an earlier step are ${steps.NAME.FIELD}"
            return self._bad(path, ref, "a step's own outputs are there only in its undo and hooks", hint)
        self.late = True
        return self._output(path, ref, self._index, 0)

    def _step(self, path: Path, ref: Ref) -> Kinds:
        self.late = True
        name, steps, word = ref.path[0], self._names.steps, self._names.word
        if ref.root != f"{word}s":
            rest = ".".join(ref.path)
            what = f"a stack file has resources: write ${{resources.{rest}}}"
            return self._bad(path, ref, what if self._names.stack else "a saga file has steps, not resources")
        if self._names.stack and self._has_self:
            return self._bad(path, ref, "hooks are the same for all resources", "write ${self.FIELD}")
        if name not in steps:
            others = [other for other, index in steps.items() if index != self._index]
            return self._bad(path, ref, f"there is no {word} {shown(name)}", suggest(name, others))
        index = steps[name]
        if index == self._index:
            hint = "write ${self.FIELD}" if self._has_self else "use its arguments instead"
            return self._bad(path, ref, f"a {word} cannot refer to itself", hint)
        if index > self._index and not self._names.graph:
            hint = "move it up, or give the steps `needs` so that they form a graph"
            return self._bad(path, ref, f"the step {shown(name)} comes later", hint)
        if len(ref.path) == 1:
            hint = f"write ${{{word}s.{name}.FIELD}}; {suggest('', self._fields(index))}"
            return self._bad(path, ref, "it names no output", hint)
        self.refers.add((index, ref.path[1]))
        return self._output(path, ref, index, 1)

    def _fields(self, index: int) -> list[str]:
        verb = self._names.verbs[index]
        return list(verb.outputs) if verb else []

    def _output(self, path: Path, ref: Ref, index: int, at: int) -> Kinds:
        verb, field = self._names.verbs[index], ref.path[at]
        if verb is None:
            return ANY
        if field in verb.outputs:
            return self._below(path, ref, at + 1, kinds_of_type(verb.outputs[field]))
        if verb.open_outputs:
            return ANY
        hint = suggest(field, verb.outputs) if verb.outputs else "it has no outputs"
        return self._bad(path, ref, f"there is no output {shown(field)}", hint)

    def _below(self, path: Path, ref: Ref, at: int, kinds: Kinds) -> Kinds:
        """Tell what lies below a value of these kinds; report where nothing can."""
        if len(ref.path) == at:
            return kinds
        if not kinds & {"list", "object"}:
            return self._bad(path, ref, f"it is {say(kinds)} and has no {shown(ref.path[at])}")
        if "object" not in kinds and not ref.path[at].isdecimal():
            return self._bad(path, ref, "it is a list", "take an item by its number, from 0")
        return ANY
