-- Which stack owns a resource, and what a later plan of it must know when the resource is no longer in its file: what it
-- needs, so that it is deleted before that, and whether it may be deleted at all.
ALTER TABLE resources ADD COLUMN stack   TEXT;
ALTER TABLE resources ADD COLUMN needs   BLOB    NOT NULL DEFAULT X'5B5D';
ALTER TABLE resources ADD COLUMN protect INTEGER NOT NULL DEFAULT 0;

CREATE INDEX resources_by_stack ON resources (stack) WHERE stack IS NOT NULL;
