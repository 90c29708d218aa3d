-- sagad's database. This file is the truth; migrations/ leads there, and a test holds the two against each other.
-- Times are UTC milliseconds. What is JSON or MessagePack is a BLOB: the store never looks inside.
-- A saga has two names: its id, which everybody uses, and its number, which keeps what belongs together close
-- together on disk. Ids are random: an index led by them would dirty a page of its own for every row of a group.

-- One row: which node this is, and where the record ends.
CREATE TABLE meta (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    node    TEXT    NOT NULL,            -- random, made with the database
    sagas   INTEGER NOT NULL DEFAULT 0,  -- the last saga number given; numbers are never used again
    seq     INTEGER NOT NULL DEFAULT 0,  -- the last event's
    head    BLOB    NOT NULL,            -- the last event's hash; 32 zero bytes before the first
    mac     BLOB    NOT NULL             -- of node, seq and head, by the node's key
) STRICT;

-- A compiled saga file, shared by all sagas that were compiled to the same.
CREATE TABLE plans (
    digest  BLOB PRIMARY KEY,
    body    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a saga: what was submitted, and its checkpoint.
CREATE TABLE sagas (
    number       INTEGER PRIMARY KEY,    -- order of submission
    id           TEXT    NOT NULL UNIQUE,
    kind         TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN (
        'pending',                       -- -> running, rolled_back (nothing had started), failed (abandon)
        'running',                       -- -> completed, compensating, failed
        'completed',                     -- an end
        'compensating',                  -- -> rolled_back, failed, running (retry of what was taken back)
        'rolled_back',                   -- an end
        'failed'                         -- -> compensating (retry of failed undos), rolled_back (the last one closed)
    )),
    hold         TEXT    CHECK (hold IN (
        'approval',                      -- until approve or reject
        'paused',                        -- until resume
        'attention',                     -- until resolve, retry, skip or rollback
        'quarantined',                   -- too many crashes: until resume
        'lock'                           -- until another saga lets go
    )),
    waiting      TEXT,                   -- timer, retry, queue, provider, storage, drain
    wake         INTEGER,                -- 0: in flight; a time: not before; NULL: only a person or another saga can
    plan         BLOB    NOT NULL,       -- plans.digest
    machine      INTEGER NOT NULL,       -- the version of the machine that wrote the state
    submitted_by TEXT    NOT NULL,
    reason       TEXT,
    batch        TEXT,
    rollback_of  TEXT,                   -- id of the saga that this one takes back
    corrects     TEXT,                   -- id of the saga that this one makes up for
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    labels       BLOB    NOT NULL,       -- JSON object
    inputs       BLOB    NOT NULL,       -- JSON object
    state_sum    BLOB    NOT NULL,       -- the first 8 bytes of the state's SHA-256
    state        BLOB    NOT NULL        -- the checkpoint: a cache of what folding the events gives
) STRICT;

CREATE INDEX sagas_by_wake ON sagas (wake) WHERE wake IS NOT NULL;
CREATE INDEX sagas_by_status ON sagas (status, hold);
CREATE INDEX sagas_by_kind ON sagas (kind);
CREATE INDEX sagas_by_end ON sagas (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX sagas_by_rollback_of ON sagas (rollback_of) WHERE rollback_of IS NOT NULL;
CREATE INDEX sagas_by_corrects ON sagas (corrects) WHERE corrects IS NOT NULL;
CREATE INDEX sagas_by_batch ON sagas (batch) WHERE batch IS NOT NULL;

-- The journal. Append only: a row never changes, but for pruning, which swaps the body for its digest.
CREATE TABLE events (
    seq      INTEGER PRIMARY KEY,        -- 1, 2, 3, ... without a gap
    number   INTEGER,                    -- the saga's, for the index
    saga     TEXT,                       -- the saga's id, which outlives the body; NULL: of the node or a resource
    body     BLOB,                       -- JSON: saga, resource, at, type, version, step, actor, data; NULL: pruned
    digest   BLOB CHECK ((digest IS NULL) <> (body IS NULL)),  -- SHA-256 of the body that was pruned
    hash     BLOB    NOT NULL            -- SHA-256 of previous hash, seq, the body's digest and saga: chain.py
) STRICT;

CREATE INDEX events_by_saga ON events (number) WHERE number IS NOT NULL;

-- One row for each governed operation on the world.
CREATE TABLE executions (
    id           TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    step         INTEGER NOT NULL,       -- its index in the plan
    direction    TEXT    NOT NULL CHECK (direction IN ('forward', 'hook', 'undo')),
    generation   INTEGER NOT NULL,
    step_name    TEXT    NOT NULL,
    nature       TEXT    NOT NULL CHECK (nature IN ('forward', 'restore', 'correct')),
    operation    TEXT    NOT NULL,       -- TYPE.VERB
    key          TEXT    NOT NULL,       -- the idempotency key that the driver is given
    status       TEXT    NOT NULL,       -- running -> completed, failed, unknown, partial, ...: the engine's words
    attempts     INTEGER NOT NULL,
    resource     TEXT,
    compensates  TEXT,                   -- id of the execution that this one makes up for
    actor        TEXT,
    reason       TEXT,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER,
    error        BLOB,                   -- JSON {code, message}
    outputs      BLOB,                   -- JSON object
    handle       BLOB,                   -- what `poll` needs
    after        BLOB,                   -- the image left behind, where it is not the planned one
    arguments    BLOB    NOT NULL,       -- JSON, secrets as references
    plan         BLOB    NOT NULL,       -- what the engine needs to go on after a crash
    UNIQUE (number, step, direction, generation)
) STRICT;

CREATE INDEX executions_by_compensates ON executions (compensates) WHERE compensates IS NOT NULL;

-- A client's key for its submission: kept for ever, longer than the saga.
CREATE TABLE idempotency_keys (
    key   TEXT    PRIMARY KEY,
    saga  TEXT    NOT NULL,
    body  BLOB    NOT NULL,              -- digest of what was submitted
    at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The registry: what sagad created or adopted and now keeps. A row is written in the commit of the outcome that made it
-- so, and what it was before stays with that outcome's execution (`executions.plan`), from which an undo puts it back.
CREATE TABLE resources (
    identity     TEXT    NOT NULL,       -- the real path of what is a place; else the id, once it is known; else the name
    type         TEXT    NOT NULL,
    name         TEXT    NOT NULL,       -- a label: what a step calls it, or its driver
    id           TEXT,
    spec         BLOB    NOT NULL,       -- JSON object: the fields that were set, merged
    spec_version INTEGER NOT NULL,       -- each change is one more
    outputs      BLOB    NOT NULL,       -- JSON object
    saga         TEXT,                   -- id of the saga that made it; NULL: imported
    execution    TEXT,                   -- id of the execution that did
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    stack        TEXT,                   -- the stack that owns it; NULL: a saga file made it, or it was imported
    needs        BLOB    NOT NULL DEFAULT X'5B5D',  -- JSON list: names of those of its stack that it needs
    protect      INTEGER NOT NULL DEFAULT 0,        -- 1: its stack's plans neither delete nor replace it
    PRIMARY KEY (identity, type)         -- in this order, so that what lies below a path lies together
) STRICT, WITHOUT ROWID;

CREATE INDEX resources_by_name ON resources (type, name);
CREATE INDEX resources_by_stack ON resources (stack) WHERE stack IS NOT NULL;

-- Sensitive outputs, sealed (sealing.py). A row is written in the commit of the outcome that put its value out; wherever
-- else the value would stand, its reference does. It stays as long as its saga's record, or a resource's that has it.
CREATE TABLE sealed (
    execution TEXT    NOT NULL,          -- id of the execution whose output it is
    name      TEXT    NOT NULL,          -- the output's; before.FIELD or after.FIELD of what is in an image
    number    INTEGER NOT NULL,          -- the saga's
    box       BLOB    NOT NULL,
    PRIMARY KEY (execution, name)
) STRICT, WITHOUT ROWID;
