"""What callers ask for (SPEC §8): the bodies of POST requests, as the service takes them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A saga to run or to check: as a document (`saga`), or as the text of a file (`source` and its `format`).

    `inputs_as_text`: the inputs are words from a command line, to be read as what the file declares them to be.
    """

    saga: dict[str, Any] | None = None
    source: str | None = None
    format: Literal["yaml", "toml", "json"] | None = None
    inputs: dict[str, Any] = {}
    inputs_as_text: bool = False
    labels: dict[str, str] = {}
    reason: str | None = None


class BatchSubmission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sagas to run together: a batch file as it is (`batch`, `sagas`, …), as `batch: {…}`, or as text (`source`, `format`).

    `files`: the texts of the saga files that it names, by their names; a suffix says how each is written.
    """

    batch: str | dict[str, Any] | None = None
    mode: Literal["all_or_nothing", "best_effort"] | None = None
    parallel: int | None = None
    on_failure: Literal["compensate", "stop", "hold"] | None = None
    sagas: list[dict[str, Any]] | None = None
    source: str | None = None
    format: Literal["yaml", "toml", "json"] | None = None
    files: dict[str, str] = {}
    labels: dict[str, str] = {}
    reason: str | None = None


class FileSubmission(Submission, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to check or to try out: a saga file, or a stack file, as a document (`stack`) or as text."""

    stack: dict[str, Any] | None = None


class StackSubmission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stack file to plan or to apply: as it is (`stack`, `resources`, …), as `stack: {…}`, or as text (`source`, `format`).

    To apply, also a plan: as `plan: {…}`, or as it is (`hash`, `hashes`, `file`, `actions`). A file beside a plan is held
    against the one that it was made from.
    """

    stack: str | dict[str, Any] | None = None
    resources: list[dict[str, Any]] | None = None
    description: str | None = None
    labels: dict[str, str] | None = None
    on_failure: Literal["compensate", "stop", "hold"] | None = None
    on_undo_failure: Literal["continue", "hold"] | None = None
    on_conflict: Literal["hold", "force", "skip"] | None = None
    deadline: str | None = None
    policy: dict[str, Any] | None = None
    hooks: dict[str, Any] | None = None
    source: str | None = None
    format: Literal["yaml", "toml", "json"] | None = None
    plan: dict[str, Any] | None = None
    hash: str | None = None
    hashes: dict[str, str] | None = None
    file: dict[str, Any] | None = None
    actions: list[dict[str, Any]] | None = None
    warnings: list[Any] | None = None
    destroy: bool | None = None
    """As if the file named no resources any more."""
    revert_accepted: bool = False
    """Also put back what was accepted as drift."""
    reason: str | None = None


class BatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said along with a batch's cancel (`now`) or rollback (`preview`)."""

    reason: str | None = None
    now: bool = False
    preview: bool = False


class VerbBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """What is said along with a verb; `VERBS` says which of it each verb takes."""

    step: str | None = None
    reason: str | None = None
    now: bool = False
    force: bool = False
    as_: Literal["done", "failed", "retry"] | None = None
    output: dict[str, Any] | None = None
    to_step: str | None = None
    preview: bool = False
    past_irreversible: bool = False
    saga: dict[str, Any] | None = None
    source: str | None = None
    format: Literal["yaml", "toml", "json"] | None = None
    inputs: dict[str, Any] | None = None
    inputs_as_text: bool = False


class Import(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said along with an import: the resource's id, where it has one, and what is to be kept of it.

    Without `spec` that is the resource as it is.
    """

    id: str | None = None
    spec: dict[str, Any] | None = None
    reason: str | None = None


class Forget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said along when a resource is to be kept no longer."""

    reason: str | None = None


class Detect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be looked at: a type or family, and of that one resource, by its name, id or path. Else everything."""

    type: str | None = None
    name: str | None = None


class DriftBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said along when drift is accepted or reverted."""

    reason: str | None = None


class RevertAll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which open drift is to be reverted together: of a type or family, else all that nobody ignores."""

    type: str | None = None
    reason: str | None = None


class Ignore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What nobody wants to hear of any more: this field of the resource, all of the resource, or the field of the type.

    `expires`: a duration, `7d`; without it for ever.
    """

    reason: str
    scope: Literal["field", "resource", "type"] = "field"
    expires: str | None = None


class Verb(msgspec.Struct, frozen=True):
    """What a verb takes beside `reason`, and what it must be given."""

    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


VERBS = {
    "cancel": Verb(("now",)),
    "pause": Verb(),
    "resume": Verb(),
    "retry": Verb(("step", "force")),
    "skip": Verb(("step", "output"), needs=("step",)),
    "resolve": Verb(("step", "as", "output"), needs=("step", "as")),
    "approve": Verb(("step",)),
    "reject": Verb(("step",)),
    "abandon": Verb(needs=("reason",)),
    "rollback": Verb(("to_step", "preview", "past_irreversible")),
    "correct": Verb(("saga", "source", "format", "inputs", "inputs_as_text")),
}
