"""Where a resource has gone: taking back its deletion may have given it another id, and who knew it by the old one follows.

What is written down about an execution holds ids in its resource, arguments, outputs and images. They are values among
others, so an id is known by where it stands:

    in                                       is the old id, if it equals it
    `id`, `ids`                              of an execution on the same type
    `NOUN_id`, `NOUN_ids`                    of any, NOUN being the last word of the type: `droplet_id` of a droplet
    anywhere else                            if it is text that cannot be a mere number

A number stays a number where the new id is one. Keys are never touched, nor is text of which an id is only a part: what is
made of references is made anew, from what these give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from actors.saga.state import Move
from providers.contract import Image, Resource

Moves = Sequence[Move]
"""In the order in which they happened."""


def follow(moves: Moves, type: str, id: str) -> str:
    """Give the id under which a resource is known now."""
    there = {move.id: move.to for move in moves if move.type == type}
    now, seen = id, {id}
    while (to := there.get(now)) is not None and to not in seen:
        seen.add(to)
        now = to
    return now


def followed(moves: Moves, value: Any, own: str) -> Any:
    """Give a JSON value of an execution on type ``own`` with the ids that count now."""
    for move in moves:
        value = _walk(move, value, own, named=False)
    return value


def resource(moves: Moves, was: Resource | None) -> Resource | None:
    """Give a resource as it is known now; what was named by its id is so still."""
    if was is None or was.id is None:
        return was
    now = follow(moves, was.type, was.id)
    return was if now == was.id else replace(was, id=now, name=now if was.name == was.id else was.name)


def image(moves: Moves, was: Image | None, own: str) -> Image | None:
    """Give an image with the ids that count now."""
    return was if was is None or not moves else replace(was, fields=followed(moves, was.fields, own))


def made_by(was: Resource | None, outputs: dict[str, Any] | None, type: str, *, gone: bool) -> Move | None:
    """Give the move that an execution of ``type`` made which has taken back one on ``was``, as that was known.

    ``gone``: what it took back had removed the resource. None: it has put out no other id.
    """
    to = id_of(outputs)
    if was is None or was.id is None or was.path is not None or not gone or to in (None, was.id):
        return None
    return Move(type=type, id=was.id, to=str(to)) if was.type == type else None


def id_of(outputs: dict[str, Any] | None) -> str | None:
    """Give the id among outputs."""
    found = (outputs or {}).get("id")
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None


def _walk(move: Move, value: Any, own: str, *, named: bool) -> Any:
    """``named``: what stands here is an id of the move's type, by its key."""
    if isinstance(value, dict):
        return {key: _walk(move, each, own, named=_names(move, key, own)) for key, each in value.items()}
    if isinstance(value, list):
        return [_walk(move, each, own, named=named) for each in value]
    return _put(move, value) if named or not move.id.isdecimal() else value


def _names(move: Move, key: str, own: str) -> bool:
    noun = move.type.rpartition(".")[2]
    return key in (f"{noun}_id", f"{noun}_ids") or (key in ("id", "ids") and own == move.type)


def _put(move: Move, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int) or str(value) != move.id:
        return value
    return int(move.to) if isinstance(value, int) and move.to.isdecimal() else move.to
