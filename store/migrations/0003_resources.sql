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
    PRIMARY KEY (identity, type)         -- in this order, so that what lies below a path lies together
) STRICT, WITHOUT ROWID;

CREATE INDEX resources_by_name ON resources (type, name);
