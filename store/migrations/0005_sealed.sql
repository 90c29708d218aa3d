-- Sensitive outputs, sealed (sealing.py). A row is written in the commit of the outcome that put its value out; wherever
-- else the value would stand, its reference does. It stays as long as its saga's record, or a resource's that has it.
CREATE TABLE sealed (
    execution TEXT    NOT NULL,          -- id of the execution whose output it is
    name      TEXT    NOT NULL,          -- the output's; before.FIELD or after.FIELD of what is in an image
    number    INTEGER NOT NULL,          -- the saga's
    box       BLOB    NOT NULL,
    PRIMARY KEY (execution, name)
) STRICT, WITHOUT ROWID;
