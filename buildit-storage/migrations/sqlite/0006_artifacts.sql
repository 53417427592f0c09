-- An attempt may leave two artifacts of one name, and both blobs are needed.

CREATE TABLE artifacts_by_content (
    pipeline_run_id TEXT NOT NULL REFERENCES pipeline_runs (id) ON DELETE CASCADE,
    stage_name      TEXT NOT NULL,
    attempt         INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    digest          TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    PRIMARY KEY (pipeline_run_id, stage_name, attempt, kind, name, digest)
) STRICT, WITHOUT ROWID;
INSERT INTO artifacts_by_content SELECT * FROM artifacts;
DROP TABLE artifacts;
ALTER TABLE artifacts_by_content RENAME TO artifacts;
CREATE INDEX artifacts_by_digest ON artifacts (digest);

-- The rows that were left out, from what the events say. Attempt 0 is of an earlier run.
INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
SELECT e.pipeline_run_id, e.body ->> '$.stage', coalesce(e.body ->> '$.attempt', 0), 'artifact',
    a.value ->> '$.name', a.value ->> '$.digest', a.value ->> '$.bytes'
FROM run_events e, json_each(e.body, iif(e.body ->> '$.type' = 'result_taken',
    '$.result.products.artifacts', '$.outcome.products.artifacts')) a
WHERE e.body LIKE '%"artifacts"%' AND e.body ->> '$.type' IN ('attempt_finished', 'result_taken')
ON CONFLICT DO NOTHING;
INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
SELECT r.id, c.value ->> '$.stage', 0, 'artifact', a.value ->> '$.name', a.value ->> '$.digest', a.value ->> '$.bytes'
FROM pipeline_runs r, json_each(r.definition, '$.carried') c, json_each(c.value, '$.taken.products.artifacts') a
WHERE r.definition LIKE '%"carried"%'
ON CONFLICT DO NOTHING;
