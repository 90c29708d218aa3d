-- Every question that is put to the database, each under its name with a line that says what it answers.

-- name: saga_columns
-- The columns of records.Saga, in its order; the links of the other direction are looked up, not kept.
SELECT number, id, kind, status, hold, waiting, wake, plan, inputs, labels, state, state_sum, machine, submitted_by,
    reason, batch, rollback_of,
    (SELECT id FROM sagas AS r WHERE r.rollback_of = sagas.id AND r.status = 'completed'
     ORDER BY number DESC LIMIT 1) AS rolled_back_by,
    corrects,
    (SELECT id FROM sagas AS c WHERE c.corrects = sagas.id AND c.status = 'completed'
     ORDER BY number DESC LIMIT 1) AS corrected_by,
    created_at, updated_at, finished_at
FROM sagas

-- name: changed_since
-- A condition: the sagas that ended since, and the live ones that changed since. Indexing `updated_at` itself would
-- cost every commit of every saga.
number IN (
    SELECT number FROM sagas WHERE finished_at >= :since
    UNION ALL
    SELECT number FROM sagas WHERE status IN ('pending', 'running', 'compensating') AND updated_at >= :since
)

-- name: ids_by_prefix
-- The first two sagas whose ids begin so: one is an answer, two are an ambiguity.
SELECT id FROM sagas WHERE id >= :prefix AND id < :prefix || '~' ORDER BY id LIMIT 2

-- name: last_id
-- The saga that was submitted last. A batch is a saga too, but not one that is asked for so.
SELECT id FROM sagas WHERE batch IS NULL OR batch <> id ORDER BY number DESC LIMIT 1

-- name: batches_by_prefix
-- The first two batches whose ids begin so. A batch is the saga that is its own batch.
SELECT id FROM sagas WHERE batch >= :prefix AND batch < :prefix || '~' AND batch = id ORDER BY id LIMIT 2

-- name: last_batch
-- The batch that was submitted last.
SELECT id FROM sagas WHERE batch IS NOT NULL AND batch = id ORDER BY number DESC LIMIT 1

-- name: plan
-- A compiled saga file by its digest.
SELECT body FROM plans WHERE digest = ?

-- name: executions
-- A saga's executions, in the order in which they were started: records.Execution.
SELECT e.id, s.id, step, step_name, direction, nature, generation, operation, key, e.status, attempts, arguments,
    e.plan, outputs, after, handle, error, resource, compensates, actor, e.reason, started_at, e.finished_at
FROM executions AS e JOIN sagas AS s USING (number)
WHERE number = (SELECT number FROM sagas WHERE id = ?)
ORDER BY e.rowid

-- name: compensated_by
-- For each execution of a saga that was made up for: by which, in whatever saga.
SELECT c.compensates, c.id
FROM executions AS e JOIN executions AS c ON c.compensates = e.id
WHERE e.number = (SELECT number FROM sagas WHERE id = ?)
ORDER BY c.rowid

-- name: taken_back_by
-- Which executions took one back for good, and of what sagas: its undos, and the steps of rollback sagas. What only
-- makes up for it (a corrective saga) does not.
SELECT c.id, s.id FROM executions AS c JOIN sagas AS s USING (number)
WHERE c.compensates = ? AND c.status = 'completed' AND (c.direction = 'undo' OR s.rollback_of IS NOT NULL)
ORDER BY c.rowid

-- name: done_since
-- What was done on the way forward after an execution of this saga: links.Done. Walks the executions since then.
SELECT s.id, e.id, e.plan, e.compensates, s.rollback_of IS NOT NULL
FROM executions AS e JOIN sagas AS s USING (number)
WHERE e.rowid > (SELECT rowid FROM executions
        WHERE number = (SELECT number FROM sagas WHERE id = ?) AND key = ?)
    AND e.direction = 'forward' AND e.resource IS NOT NULL AND e.status IN ('completed', 'partial') AND ({0})
ORDER BY e.rowid

-- name: live_rollback
-- The saga in flight that takes back this one, or one of those that it takes back or that take it back.
WITH RECURSIVE up (id, of) AS (
    SELECT id, rollback_of FROM sagas WHERE id = :saga
    UNION SELECT s.id, s.rollback_of FROM up JOIN sagas AS s ON s.id = up.of
), down (id) AS (
    SELECT id FROM up WHERE of IS NULL
    UNION SELECT s.id FROM down JOIN sagas AS s ON s.rollback_of = down.id
)
SELECT s.id FROM down JOIN sagas AS s USING (id)
WHERE s.rollback_of IS NOT NULL AND s.status IN ('pending', 'running', 'compensating')

-- name: rollbacks
-- The sagas that take or took a saga back, in order of submission.
SELECT id FROM sagas WHERE rollback_of = ? ORDER BY number

-- name: resource_columns
-- The columns of records.Resource, in its order.
SELECT type, identity, name, id, spec, spec_version, outputs, saga, execution, created_at, updated_at,
    stack, needs, protect FROM resources

-- name: resources_called
-- The records of a type that go by a name, which is a label, or by an identity.
SELECT type, identity, name, id, spec, spec_version, outputs, saga, execution, created_at, updated_at,
    stack, needs, protect FROM resources
WHERE type = ?1 AND (name = ?2 OR identity = ?2) ORDER BY identity

-- name: resources_of_stack
-- What a stack owns.
SELECT type, identity, name, id, spec, spec_version, outputs, saga, execution, created_at, updated_at,
    stack, needs, protect FROM resources
WHERE stack = ?

-- name: resources_below
-- The records of what lies below a path: from `PATH/` up to `PATH0`, as `0` comes next after `/`.
SELECT type, identity, name, id, spec, spec_version, outputs, saga, execution, created_at, updated_at,
    stack, needs, protect FROM resources
WHERE identity > ? AND identity < ? ORDER BY identity, type

-- name: resources
-- A page of records, by type and name.
SELECT type, identity, name, id, spec, spec_version, outputs, saga, execution, created_at, updated_at,
    stack, needs, protect FROM resources
WHERE (type, name, identity) > (:after_type, :after_name, :after_identity)
    AND (:type IS NULL OR type = :type OR substr(type, 1, length(:type) + 1) = :type || '.')
    AND (:name IS NULL OR name = :name)
ORDER BY type, name, identity LIMIT :limit

-- name: due
-- Sagas that want to be looked at by now, by page in order of submission.
SELECT number, id, wake FROM sagas INDEXED BY sagas_by_wake
WHERE wake <= :now AND number > :after ORDER BY number LIMIT :limit

-- name: live
-- Checkpoints of sagas that have not ended or keep their locks, by page in order of submission.
SELECT number, id, batch, status, state, state_sum, machine FROM sagas
WHERE (status IN ('pending', 'running', 'compensating') OR wake = :kept) AND number > :after ORDER BY number LIMIT :limit

-- name: next_wake
-- When the next saga wants to be looked at, those in flight aside.
SELECT min(wake) FROM sagas WHERE wake > :now

-- name: overlooked
-- Sagas that should have gone on by then, or that nothing will ever wake though nothing holds them.
SELECT id FROM sagas INDEXED BY sagas_by_wake WHERE wake <= :then AND updated_at <= :then
UNION ALL
SELECT id FROM sagas
WHERE status IN ('pending', 'running', 'compensating') AND hold IS NULL AND wake IS NULL
AND waiting IS NOT 'queue' AND updated_at <= :then
LIMIT :limit

-- name: counts
-- How many sagas there are, by status and hold.
SELECT status, hold, count(*) FROM sagas GROUP BY status, hold

-- name: members_by_status
-- How many sagas of a batch have each status, and how many of those were taken back since.
SELECT status, count(*), sum(EXISTS (SELECT 1 FROM sagas AS r WHERE r.rollback_of = s.id AND r.status = 'completed'))
FROM sagas AS s WHERE batch = :batch AND id <> :batch AND rollback_of IS NULL GROUP BY status

-- name: members_held
-- The sagas of a batch that need somebody, and of those that take them back; and which saga of the batch each is about.
SELECT id, coalesce(rollback_of, id) FROM sagas
WHERE batch = :batch AND id <> :batch AND hold <> 'lock' AND status IN ('pending', 'running', 'compensating')
ORDER BY number

-- name: idempotency_key
-- What was submitted with this key.
SELECT saga, body FROM idempotency_keys WHERE key = ?

-- name: events_of_saga
-- A page of a saga's events as the insides of a JSON array, and how far it goes.
SELECT cast(group_concat(document, ',') AS BLOB), max(seq) FROM (
    SELECT seq, '{"seq":' || seq || ',"hash":"' || lower(hex(hash)) || '",' || substr(body, 2) AS document
    FROM events
    WHERE number = (SELECT number FROM sagas WHERE id = :saga) AND seq > :after AND body IS NOT NULL
    ORDER BY seq LIMIT :limit
)

-- name: events_of_all
-- A page of all events as the insides of a JSON array, and how far it goes.
SELECT cast(group_concat(document, ',') AS BLOB), max(seq) FROM (
    SELECT seq, '{"seq":' || seq || ',"hash":"' || lower(hex(hash)) || '",' || substr(body, 2) AS document
    FROM events
    WHERE seq > :after AND body IS NOT NULL
    ORDER BY seq LIMIT :limit
)

-- name: history
-- A saga's events from the first: what a checkpoint is folded from.
SELECT seq, hash, body FROM events
WHERE number = (SELECT number FROM sagas WHERE id = ?) AND seq > ? AND body IS NOT NULL ORDER BY seq LIMIT ?

-- name: checkpoints
-- A page of checkpoints in order of submission, with what was submitted: snapshot.Checkpoint.
SELECT number, id, kind, submitted_by, reason, rollback_of, corrects, plan, inputs, status, hold, updated_at,
    finished_at, machine, state_sum, state
FROM sagas WHERE number > ? ORDER BY number LIMIT ?

-- name: story
-- A saga's events from the first, also those whose bodies were pruned.
SELECT seq, hash, body FROM events WHERE number = ? ORDER BY seq

-- name: without_a_saga
-- Events that belong to a saga whose row is gone, though their bodies are not.
SELECT saga, min(seq) FROM events
WHERE number IN (SELECT number FROM events WHERE number IS NOT NULL EXCEPT SELECT number FROM sagas)
    AND body IS NOT NULL
GROUP BY saga ORDER BY 2

-- name: lost_sagas
-- The same, of the events behind one to another.
SELECT DISTINCT saga FROM events
WHERE seq > ? AND seq <= ? AND number IS NOT NULL AND body IS NOT NULL AND number NOT IN (SELECT number FROM sagas)

-- name: touched
-- Which steps of which sagas had to do with a resource: those whose intent names it, by its path or as `TYPE NAME`, or
-- whose execution does, as `TYPE/NAME`. Walks both tables, since an index would cost every intent that is written.
SELECT number, cast(body AS TEXT) ->> '$.step' FROM events
WHERE instr(body, :needle{0}) AND cast(body AS TEXT) ->> '$.resource' = :resource{0}
UNION
SELECT number, step_name FROM executions WHERE resource = :resource{0}

-- name: audited
-- A page of the events that all conditions let through, as the insides of a JSON array.
SELECT cast(group_concat(document, ',') AS BLOB) FROM (
    SELECT '{{"seq":' || seq || ',"hash":"' || lower(hex(hash)) || '",' || substr(body, 2) AS document
    FROM events WHERE seq > :after AND body IS NOT NULL AND {0} ORDER BY seq LIMIT :limit
)

-- name: had_its_time
-- A page of the sagas that ended so long ago that they need not be kept, in order of submission.
SELECT number, id FROM sagas
WHERE finished_at IS NOT NULL AND number > :after
    AND finished_at < CASE status WHEN 'completed' THEN :completed_before WHEN 'rolled_back' THEN :rolled_back_before
        WHEN 'failed' THEN :failed_before ELSE 0 END
ORDER BY number LIMIT :limit

-- name: kin
-- A saga with all that it takes back or corrects, that takes it back or corrects it, and its batch; whether each may go.
WITH RECURSIVE kin (id, of, corrects, batch) AS (
    SELECT id, rollback_of, corrects, batch FROM sagas WHERE id = :saga
    UNION SELECT s.id, s.rollback_of, s.corrects, s.batch FROM kin JOIN sagas AS s
        ON s.id IN (kin.of, kin.corrects, kin.batch)
        OR s.rollback_of = kin.id OR s.corrects = kin.id OR s.batch = kin.id
)
SELECT number, id, finished_at,
    finished_at IS NOT NULL AND wake IS NULL
    AND finished_at < CASE status WHEN 'completed' THEN :completed_before WHEN 'rolled_back' THEN :rolled_back_before
        WHEN 'failed' THEN :failed_before ELSE 0 END
FROM sagas WHERE id IN (SELECT id FROM kin) ORDER BY number

-- name: pruned_sagas
-- How many sagas are gone from the table, while their events' hashes stay.
SELECT count(*) FROM (SELECT number FROM events WHERE number IS NOT NULL EXCEPT SELECT number FROM sagas)

-- name: anything_kept
-- Whether there is any record.
SELECT 1 FROM resources LIMIT 1

-- name: kept_types
-- The types of which there are records.
SELECT DISTINCT type FROM resources ORDER BY type

-- name: kept_count
-- How many records of a type there are, or of those that go by a name.
SELECT count(*) FROM resources WHERE type = :type AND (:name IS NULL OR name = :name OR identity = :name)

-- name: kept_and_seen
-- A page of a type's records in the order of their identities: records.Resource, then drift.Seen.
SELECT r.type, r.identity, r.name, r.id, r.spec, r.spec_version, r.outputs, r.saga, r.execution, r.created_at,
    r.updated_at, r.stack, r.needs, r.protect, s.identity, s.type, s.round, s.state, s.live, s.seen_at, s.error, s.absent
FROM resources AS r LEFT JOIN seen AS s ON s.identity = r.identity AND s.type = r.type
WHERE r.type = :type AND r.identity > :after AND (:name IS NULL OR r.name = :name OR r.identity = :name)
    AND (:round IS NULL OR s.round IS NULL OR s.round <> :round)
ORDER BY r.identity LIMIT :limit

-- name: seen
-- What was last seen of a resource: drift.Seen.
SELECT identity, type, round, state, live, seen_at, error, absent FROM seen WHERE identity = ? AND type = ?

-- name: tally
-- What a round has found of a type; apart from those that were missed often enough before.
SELECT state, absent >= :missing_after, count(*) FROM seen WHERE type = :type AND round = :round GROUP BY 1, 2

-- name: seen_of_nobody
-- What was seen and is kept no longer.
SELECT identity, type FROM seen AS s
WHERE NOT EXISTS (SELECT 1 FROM resources AS r WHERE r.identity = s.identity AND r.type = s.type) LIMIT ?

-- name: drift
-- A page of records in the order of detection: number, drift.Drift.
SELECT number, id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift AS d
WHERE number > :after AND (:status IS NULL OR status = :status)
    AND (:type IS NULL OR type = :type OR substr(type, 1, length(:type) + 1) = :type || '.')
    AND (:name IS NULL OR name = :name OR identity = :name)
    AND (:now IS NULL OR NOT EXISTS (
        SELECT 1 FROM drift_rules AS r
        WHERE r.ended_at IS NULL AND (r.expires_at IS NULL OR r.expires_at > :now) AND r.type = d.type
            AND (r.identity IS NULL OR r.identity = d.identity)
            AND (r.field IS NULL OR r.field = d.field
                OR substr(d.field, 1, length(r.field) + 1) IN (r.field || '.', r.field || '['))))
ORDER BY number LIMIT :limit

-- name: drift_open_of
-- The open records of a resource: drift.Drift.
SELECT id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift WHERE type = ? AND identity = ? AND status = 'open' ORDER BY number

-- name: drift_of_nobody
-- Open records of resources that are kept no longer: drift.Drift.
SELECT id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift AS d
WHERE status = 'open' AND resolved_by IS NULL
    AND NOT EXISTS (SELECT 1 FROM resources AS r WHERE r.identity = d.identity AND r.type = d.type) LIMIT ?

-- name: drift_accepted_of
-- The records of a resource that were accepted, the newest first: drift.Drift.
SELECT id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift WHERE type = ? AND identity = ? AND status = 'accepted' ORDER BY number DESC

-- name: drift_at_work
-- The open records that a saga is to revert: drift.Drift.
SELECT id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift WHERE status = 'open' AND resolved_by IS NOT NULL AND (:saga IS NULL OR resolved_by = :saga)

-- name: drift_automatic
-- How many sagas have reverted a resource since then without anybody's word, or are at it.
SELECT count(DISTINCT resolved_by) FROM drift
WHERE type = ? AND identity = ? AND automatic = 1 AND status IN ('open', 'reverted')
    AND coalesce(resolved_at, last_seen) >= ?

-- name: drift_by_prefix
-- The first two records whose ids begin so: drift.Drift.
SELECT id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift WHERE id >= :prefix AND id < :prefix || '~' ORDER BY id LIMIT 2

-- name: drift_last
-- The record that was opened last: drift.Drift.
SELECT id, type, identity, name, field, kind, wanted, live, status, first_seen, last_seen, count, resolved_by,
    resolved_at, automatic, why
FROM drift ORDER BY number DESC LIMIT 1

-- name: drift_rules
-- The rules whose end is not on record, or all: drift.Rule.
SELECT id, type, identity, name, field, reason, owner, created_at, expires_at, ended_at, ended_by
FROM drift_rules WHERE :ended OR ended_at IS NULL ORDER BY number

-- name: drift_notes
-- What is remembered of a kind.
SELECT name, value FROM drift_notes WHERE kind = ?

-- name: drift_counts
-- How many open records there are, by kind.
SELECT kind, count(*) FROM drift WHERE status = 'open' GROUP BY kind

-- name: arguments_of
-- Operation and arguments of what was done to a resource by these labels, the latest first. Walks the executions.
SELECT operation, arguments FROM executions
WHERE resource IN ({0}) AND status = 'completed' AND nature <> 'restore' ORDER BY rowid DESC LIMIT ?
