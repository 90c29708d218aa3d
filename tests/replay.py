"""Every checkpoint rebuilt from its events and compared: what `audit replay` will do, for the tests to call."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import msgspec

from actors.saga import events as e
from actors.saga.evolve import NO_STATE, evolve
from actors.saga.state import State
from store import documents

_STATE = msgspec.msgpack.Decoder(State)


def check_replay(database: Path) -> int:
    """Fold every saga's events and hold the result against its checkpoint; give how many sagas there were.

    Raises AssertionError naming the first one that differs.
    """
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        sagas = db.execute("SELECT number, id, state, state_sum FROM sagas ORDER BY number").fetchall()
        for number, saga, encoded, checksum in sagas:
            if hashlib.sha256(encoded).digest()[:8] != checksum:
                continue  # damaged on purpose, and never written again
            state = NO_STATE
            rows = db.execute("SELECT seq, hash, body FROM events WHERE number = ? ORDER BY seq", (number,))
            for seq, hash_, body in rows:
                each = documents.event(seq, hash_, body)
                state = evolve(state, e.decode(each.type, each.version, each.data), each.at)
            checkpoint = _STATE.decode(encoded)
            assert state == checkpoint, (
                f"saga {saga}: its events fold to {state}, its checkpoint is {checkpoint}"
            )
        return len(sagas)
    finally:
        db.close()
