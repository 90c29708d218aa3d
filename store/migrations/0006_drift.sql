-- What was last seen of each resource of the registry: the sync writes it, the sweep compares it with the spec.
CREATE TABLE seen (
    identity TEXT    NOT NULL,           -- as in resources
    type     TEXT    NOT NULL,
    round    INTEGER NOT NULL,           -- the sync that wrote the row: when that began
    state    TEXT    NOT NULL CHECK (state IN ('there', 'absent', 'unknown')),
    live     BLOB,                       -- JSON object: the fields of what was last seen, secrets as references
    seen_at  INTEGER,                    -- from before the question that was answered last; NULL: none ever was
    error    TEXT,                       -- why it is unknown
    absent   INTEGER NOT NULL,           -- so many syncs in a row did not find it, though others of its provider
    PRIMARY KEY (identity, type)
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_by_round ON seen (type, round, state);

-- A difference between a resource's spec and what is really there. Those that are resolved are history.
CREATE TABLE drift (
    number      INTEGER PRIMARY KEY,     -- order of detection
    id          TEXT    NOT NULL UNIQUE,
    type        TEXT    NOT NULL,
    identity    TEXT    NOT NULL,        -- as in resources
    name        TEXT    NOT NULL,
    field       TEXT    NOT NULL,        -- its path in the spec, `rules[0].port`; empty: the resource itself
    kind        TEXT    NOT NULL CHECK (kind IN ('changed', 'missing')),
    wanted      BLOB    NOT NULL,        -- JSON: what the spec says there
    live        BLOB    NOT NULL,        -- JSON: what is there; what is sensitive is hidden
    status      TEXT    NOT NULL CHECK (status IN (
        'open',                          -- -> accepted, reverted, stale
        'accepted',                      -- what is there was made the spec
        'reverted',                      -- a saga has set the spec back
        'stale'                          -- it went away by itself
    )),
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    count       INTEGER NOT NULL,        -- sweeps that have seen it
    resolved_by TEXT,                    -- who has accepted it, or the saga that reverts it; while open: that is at it
    resolved_at INTEGER,
    automatic   INTEGER NOT NULL,        -- 1: nobody asked for the revert but the settings
    why         TEXT                     -- what became of the last revert, where it is open again after one
) STRICT;

CREATE UNIQUE INDEX drift_open ON drift (type, identity, field) WHERE status = 'open';
CREATE INDEX drift_at_work ON drift (resolved_by) WHERE status = 'open' AND resolved_by IS NOT NULL;
CREATE INDEX drift_by_resource ON drift (type, identity, status);

-- Differences that somebody does not want to hear of.
CREATE TABLE drift_rules (
    number     INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    type       TEXT    NOT NULL,
    identity   TEXT,                     -- NULL: every resource of the type
    name       TEXT,
    field      TEXT,                     -- and what lies in it; NULL: every field
    reason     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,                  -- NULL: never
    ended_at   INTEGER,                  -- when its end was put on record; NULL: it holds, or nobody has noticed yet
    ended_by   TEXT
) STRICT;

-- Small things to remember between two rounds: `job`, when each is due; `alarm`, what health warns of; `sighting`, some
-- ids that a type's list has shown, by which it is known again.
CREATE TABLE drift_notes (
    kind  TEXT NOT NULL CHECK (kind IN ('job', 'alarm', 'sighting')),
    name  TEXT NOT NULL,
    value BLOB NOT NULL,                 -- JSON
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
