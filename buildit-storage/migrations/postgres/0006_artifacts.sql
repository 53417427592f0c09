-- An attempt may leave two artifacts of one name, and both blobs are needed.

ALTER TABLE artifacts DROP CONSTRAINT artifacts_pkey,
    ADD PRIMARY KEY (pipeline_run_id, stage_name, attempt, kind, name, digest);

-- The rows that were left out, from what the events say. Attempt 0 is of an earlier run. No text here holds a NUL, and
-- none is longer than an index can hold.
INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
SELECT e.pipeline_run_id, e.body ->> 'stage', coalesce((e.body ->> 'attempt')::bigint, 0), 'artifact',
    left(a.value ->> 'name', 225), a.value ->> 'digest', (a.value ->> 'bytes')::bigint
FROM (
    SELECT pipeline_run_id, replace(body, '\u0000', '\ufffd')::json AS body FROM run_events
    WHERE body LIKE '%"artifacts"%'
) e CROSS JOIN LATERAL json_array_elements(
    coalesce(e.body #> '{outcome,products,artifacts}', e.body #> '{result,products,artifacts}', '[]')
) a
WHERE NOT EXISTS (
    SELECT FROM artifacts k WHERE k.pipeline_run_id = e.pipeline_run_id AND k.stage_name = e.body ->> 'stage'
        AND k.attempt = coalesce((e.body ->> 'attempt')::bigint, 0) AND k.digest = a.value ->> 'digest')
ON CONFLICT DO NOTHING;
INSERT INTO artifacts (pipeline_run_id, stage_name, attempt, kind, name, digest, bytes)
SELECT r.id, c.value ->> 'stage', 0, 'artifact', left(a.value ->> 'name', 225), a.value ->> 'digest',
    (a.value ->> 'bytes')::bigint
FROM (
    SELECT id, replace(definition, '\u0000', '\ufffd')::json AS body FROM pipeline_runs
    WHERE definition LIKE '%"carried"%'
) r CROSS JOIN LATERAL json_array_elements(coalesce(r.body -> 'carried', '[]')) c
CROSS JOIN LATERAL json_array_elements(coalesce(c.value #> '{taken,products,artifacts}', '[]')) a
WHERE NOT EXISTS (
    SELECT FROM artifacts k WHERE k.pipeline_run_id = r.id AND k.stage_name = c.value ->> 'stage' AND k.attempt = 0
        AND k.digest = a.value ->> 'digest')
ON CONFLICT DO NOTHING;
