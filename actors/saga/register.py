"""From an outcome to the registry of resources: what it makes of a record, and what an undo puts back.

Before an execution begins, its intent notes what was on record about its resource (`before`). When its outcome is known,
what becomes of that follows from the intent and the outcome alone (`after`): a crash between the two loses nothing, and
an undo finds in the intent of its original what is to be put back. The saga has the resource's lock for all that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from actors.resources import Key, Resources, encoded, key_of
from actors.saga import moved
from actors.saga.dossier import Dossier, Entry, Intent
from actors.saga.moved import id_of
from actors.saga.plan import Action, Stack
from actors.saga.state import Direction
from providers import contract
from providers.contract import Image
from store.records import Resource, ResourceChange
from store.sealed import referred

_DECODER = msgspec.json.Decoder(dict[str, Any])

Found = tuple[Resource, ...]


class Done(NamedTuple):
    """An execution that has its outcome: done, or partly."""

    step: int
    direction: Direction
    partly: bool
    at: int


# --- before it begins -----------------------------------------------------------------------------------------------


def before(
    resources: Resources,
    dossier: Dossier,
    intent: Intent,
    alias: str | None,
    original: Entry | None,
    over: str | None = None,
) -> Found:
    """Give what is on record about the resource of an intent; of a place that is to go, also about all that is below it.

    ``over``: the identity of the record that what is to be created stands in for.
    """
    resource = intent.resource
    assert resource is not None
    outputs = original.outputs if original is not None and intent.restore else None
    key = _followed(dossier, (resource.type, identity(resource, outputs)))
    own = _look(resources, dossier, key if over is None else (resource.type, over))
    if own is None and _may_have_an_id(intent):
        named = resources.called(resource.type, alias or resource.name)
        own = _look(resources, dossier, key_of(named[0])) if len(named) == 1 else None
    found = () if own is None else (own,)
    if resource.path is None or not _gone(intent, intent.after):
        return found
    return (*found, *resources.below(resource.path))


def _may_have_an_id(intent: Intent) -> bool:
    """Tell whether what is meant by its name alone is there, so that its record is under an id."""
    by_name = intent.resource is not None and intent.resource.path is None and intent.resource.id is None
    return by_name and not intent.restore and intent.before is not None and intent.before.exists


def _look(resources: Resources, dossier: Dossier, key: Key) -> Resource | None:
    """What the saga itself has made of a record may not be on the disk yet, and nobody else changes it meanwhile."""
    return dossier.records[key] if key in dossier.records else resources.find(key)


def identity(resource: contract.Resource, outputs: dict[str, Any] | None) -> str:
    """Give what a resource is known by: its real path; else its id, once it is known; else its name."""
    return resource.path or id_of(outputs) or resource.id or resource.name


def _followed(dossier: Dossier, key: Key) -> Key:
    """Give the key under which a resource is known now: taking back a delete may have given it another id."""
    return key[0], moved.follow(dossier.moves, *key)


# --- once its outcome is known --------------------------------------------------------------------------------------


def after(resources: Resources, dossier: Dossier, done: Done) -> list[ResourceChange]:
    """Give what an execution makes of the registry now that it has its outcome.

    What takes something back puts back what was on record before, by whatever operation. Where that is one of its own
    with the same resource, what it does counts.
    """
    entry = dossier.entries.get((done.step, done.direction))
    original = None if done.direction == "hook" else dossier.original(done.step, done.direction)
    changes: dict[Key, Resource | None] = {}
    if original is not None and original.intent.recorded is not None:
        changes |= _put_back(resources, dossier, original, entry, done.at)
    if entry is not None and not entry.intent.restore and entry.intent.recorded is not None:
        action = dossier.plan.action_of.get(done.step) if done.direction == "forward" else None
        changes |= _owned(_made(resources, entry, done), dossier.plan.stack, action)
    dossier.records |= changes
    return [ResourceChange(*key, record) for key, record in changes.items()]


def _put_back(
    resources: Resources, dossier: Dossier, original: Entry, undo: Entry | None, at: int
) -> dict[Key, Resource | None]:
    """Put back what was on record before the original, and take away what it had put there.

    There may be no undo on record: of one that was blocked, and then done by hand.
    """
    resource, recorded = original.intent.resource, original.intent.recorded
    assert resource is not None
    assert recorded is not None
    made = _followed(dossier, (resource.type, identity(resource, original.outputs)))
    now = {} if undo is None else {key_of(each): each for each in undo.intent.recorded or ()}
    changes: dict[Key, Resource | None] = dict.fromkeys([made, *now])
    outputs = {} if undo is None else resources.presentable(resource.type, undo.outputs or {})
    for record in recorded:
        newest = now.get(key_of(record)) or now.get(made) or record
        version = max(record.spec_version + (undo is None), newest.spec_version) + 1
        back = _with_id(record, _followed(dossier, key_of(record))[1], outputs)
        back = msgspec.structs.replace(back, spec_version=version, updated_at=at)
        changes[key_of(record)] = None
        changes[key_of(back)] = back
    return changes


def _with_id(record: Resource, id_: str, outputs: dict[str, Any]) -> Resource:
    """Give a record under the id that its resource has now: created again, it may be another."""
    if record.id in (None, id_):
        return record
    merged = _DECODER.decode(record.outputs) | outputs | {"id": id_}
    return msgspec.structs.replace(record, id=id_, identity=id_, outputs=encoded(merged))


def _made(resources: Resources, entry: Entry, done: Done) -> dict[Key, Resource | None]:
    """Give what an operation that was no restore leaves on record."""
    intent, resource = entry.intent, entry.intent.resource
    assert resource is not None
    recorded = intent.recorded or ()
    if _gone(intent, entry.left):
        return {key_of(each): None for each in recorded}
    own = next((each for each in recorded if resource.path in (None, each.identity)), None)
    record = _record(resources, entry, resource, own, done)
    return {**({} if own is None else {key_of(own): None}), key_of(record): record}


def _owned(
    changes: dict[Key, Resource | None], stack: Stack | None, action: Action | None
) -> dict[Key, Resource | None]:
    """Say of what a step of a stack has made or changed that the stack owns it."""
    if stack is None or action is None:
        return changes
    own = {"stack": stack.name, "needs": encoded(list(action.needs)), "protect": int(action.protect)}
    return {
        key: None if record is None else msgspec.structs.replace(record, **own)
        for key, record in changes.items()
    }


def _gone(intent: Intent, left: Image | None) -> bool:
    """Tell whether there is nothing any more after it. A driver without images can only be taken at the verb's word."""
    return intent.verb == "delete" if left is None else not left.exists


def _record(
    resources: Resources, entry: Entry, resource: contract.Resource, earlier: Resource | None, done: Done
) -> Resource:
    """Give the record of what was created, or changed: then the fields that were set are merged into the earlier ones."""
    intent, type_ = entry.intent, resource.type
    spec = resources.presentable(type_, dict(_set(entry, resources.spec_fields(type_), partly=done.partly)))
    outputs = resources.presentable(type_, entry.outputs or {})
    created = intent.verb == "create" or (intent.before is not None and not intent.before.exists)
    merged = None if created else earlier
    if merged is not None:
        spec = _DECODER.decode(merged.spec) | spec
        outputs = _DECODER.decode(merged.outputs) | outputs
    return Resource(
        type=type_,
        identity=resource.path
        or id_of(entry.outputs)
        or (earlier.identity if earlier else identity(resource, None)),
        name=_name(entry, resource, earlier),
        id=None
        if resource.path
        else id_of(entry.outputs) or resource.id or (earlier.id if earlier else None),
        spec=encoded(spec),
        spec_version=1 if earlier is None else earlier.spec_version + 1,
        outputs=encoded(outputs),
        saga=entry.saga if merged is None else merged.saga,
        execution=entry.id if merged is None else merged.execution,
        created_at=done.at if merged is None else merged.created_at,
        updated_at=done.at,
        stack=None if merged is None else merged.stack,
        needs=b"[]" if merged is None else merged.needs,
        protect=0 if merged is None else merged.protect,
    )


def _name(entry: Entry, resource: contract.Resource, earlier: Resource | None) -> str:
    """Give the label: what the step calls it, else what it is called already, else what its driver does."""
    return entry.intent.alias or (earlier.name if earlier is not None else resource.name)


def _set(entry: Entry, kept: frozenset[str] | None, *, partly: bool) -> Iterator[tuple[str, Any]]:
    """Give the fields that an execution was to set, with what it was to set them to; of one partly done what they are."""
    intent = entry.intent
    planned = {} if intent.after is None else intent.after.fields
    there = {} if entry.after is None else entry.after.fields
    arguments = entry.arguments if isinstance(entry.arguments, dict) else {}
    sources = (there,) if partly and there else (planned, arguments, there)
    for name in intent.fields:
        found = next((source for source in sources if name in source), None)
        if found is None or (kept is not None and name not in kept):
            continue
        # A field in which a secret is stands sealed in the image; the argument says which secret.
        sealed = referred(found[name]) is not None and name in arguments
        yield name, arguments[name] if sealed else found[name]
