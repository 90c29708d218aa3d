-- Executions of hooks: a third direction. SQLite cannot change a CHECK, so the table is made anew; its rows stay in
-- their order, by which they are read.
DROP INDEX executions_by_compensates;
ALTER TABLE executions RENAME TO executions_of_version_1;

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

INSERT INTO executions SELECT * FROM executions_of_version_1 ORDER BY rowid;
DROP TABLE executions_of_version_1;
