-- Whose a run is, what lists of runs are narrowed by, and pipelines that are kept. Foreign keys are off meanwhile: a
-- table that is made anew would take what refers to it along.

-- A pipeline has a place of its own, so that its runs stay with it when it is renamed. `id` is there once it is kept;
-- without one it is bare: what runs have made by its name.
CREATE TABLE pipelines_by_place (
    place       INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT UNIQUE,
    -- Its name, and whose it is: empty for none.
    tenant_id   TEXT NOT NULL DEFAULT '',
    name        TEXT NOT NULL,
    -- The name in lower case, to be searched; of one that is kept.
    folded      TEXT,
    -- The number of its last run, whether or not that is still there.
    last_number INTEGER NOT NULL DEFAULT 0,
    version     INTEGER NOT NULL DEFAULT 0,
    -- JSON: where its definition comes from, and what else is known of it.
    source      TEXT,
    settings    TEXT NOT NULL DEFAULT '{}',
    -- The digest of its stages, as its latest run had them.
    stages      TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT,
    UNIQUE (tenant_id, name)
) STRICT;
INSERT INTO pipelines_by_place (tenant_id, name, last_number, created_at)
SELECT tenant_id, name, last_number, created_at FROM pipelines ORDER BY created_at;

-- Nothing was ever in it.
DROP TABLE pipeline_stages;
CREATE TABLE pipeline_stages (
    pipeline   INTEGER NOT NULL REFERENCES pipelines (place) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    stage_name TEXT NOT NULL,
    -- JSON: the names of the stages that it needs.
    needs      TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (pipeline, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE pipeline_runs_of_tenants (
    -- Its place in the order of creation.
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    tenant_id       TEXT NOT NULL DEFAULT '',
    pipeline        INTEGER NOT NULL REFERENCES pipelines (place),
    number          INTEGER NOT NULL,
    status          TEXT NOT NULL,
    -- What lists show of it; null for what it has not.
    event           TEXT,
    branch          TEXT,
    commit_id       TEXT,
    message         TEXT,
    author          TEXT,
    pull_request    INTEGER,
    created_at      TEXT NOT NULL,
    started_at      TEXT,
    finished_at     TEXT,
    -- From the start of the first attempt to the end of the last one.
    duration_ms     INTEGER,
    concurrency_group TEXT,
    -- Why it is to end, said by somebody who need not drive it.
    cancel_requested TEXT,
    -- The archive of its source.
    source_digest   TEXT,
    -- JSON: the compiled plan and whatever else it was created with.
    definition      TEXT NOT NULL,
    -- JSON: what its events add up to.
    progress        TEXT NOT NULL,
    last_seq        INTEGER NOT NULL DEFAULT 0,
    -- Whether nothing of it is left at any executor.
    closed          INTEGER NOT NULL DEFAULT 0,
    -- The lease.
    fencing_token   INTEGER NOT NULL DEFAULT 0,
    locked_by       TEXT,
    locked_until    TEXT,
    -- The open store of the one who holds it, whose end ends the lease.
    locked_session  TEXT,
    UNIQUE (pipeline, number)
) STRICT;
INSERT INTO pipeline_runs_of_tenants (place, id, tenant_id, pipeline, number, status, event, branch, commit_id, message,
    author, pull_request, created_at, started_at, finished_at, duration_ms, concurrency_group, cancel_requested,
    source_digest, definition, progress, last_seq, closed, fencing_token, locked_by, locked_until, locked_session)
SELECT r.place, r.id, r.tenant_id, p.place, r.number, r.status,
    nullif(r.definition ->> '$.context.event', ''), nullif(r.definition ->> '$.context.git.branch', ''),
    nullif(r.definition ->> '$.context.git.sha', ''),
    nullif(substr(replace(substr(r.definition ->> '$.context.git.message', 1,
        instr((r.definition ->> '$.context.git.message') || char(10), char(10)) - 1), char(13), ''), 1, 200), ''),
    nullif(r.definition ->> '$.context.git.author', ''), r.definition ->> '$.context.pull_request.number',
    r.created_at, r.started_at, r.finished_at, r.duration_ms, r.concurrency_group, r.cancel_requested,
    r.source_digest, r.definition, r.progress, r.last_seq, r.closed, r.fencing_token, r.locked_by, r.locked_until,
    r.locked_session
FROM pipeline_runs r JOIN pipelines_by_place p ON p.tenant_id = r.tenant_id AND p.name = r.pipeline_name;

-- Places are not given again, those of runs that are gone neither.
DELETE FROM sqlite_sequence WHERE name = 'pipeline_runs_of_tenants';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'pipeline_runs_of_tenants', seq FROM sqlite_sequence WHERE name = 'pipeline_runs';
DROP TABLE pipeline_runs;
ALTER TABLE pipeline_runs_of_tenants RENAME TO pipeline_runs;
DROP TABLE pipelines;
ALTER TABLE pipelines_by_place RENAME TO pipelines;

CREATE INDEX pipelines_by_name ON pipelines (name);
-- Those that are kept, as they are listed.
CREATE INDEX pipelines_kept ON pipelines (tenant_id, name) WHERE id IS NOT NULL;

CREATE INDEX pipeline_runs_open ON pipeline_runs (place) WHERE closed = 0;
CREATE INDEX pipeline_runs_open_of_pipeline ON pipeline_runs (pipeline) WHERE closed = 0;
CREATE INDEX pipeline_runs_held ON pipeline_runs (locked_session) WHERE locked_session IS NOT NULL;
CREATE INDEX pipeline_runs_by_source ON pipeline_runs (source_digest) WHERE source_digest IS NOT NULL;
CREATE INDEX pipeline_runs_group ON pipeline_runs (pipeline, concurrency_group, number)
    WHERE concurrency_group IS NOT NULL AND status IN ('queued', 'running', 'waiting');

-- Lists, the newest first: all, those of a tenant, those of a pipeline, and each narrowed by one thing.
CREATE INDEX pipeline_runs_by_time ON pipeline_runs (created_at, place);
CREATE INDEX pipeline_runs_of_tenant ON pipeline_runs (tenant_id, created_at, place);
CREATE INDEX pipeline_runs_of_pipeline ON pipeline_runs (pipeline, created_at, place);
CREATE INDEX pipeline_runs_by_status ON pipeline_runs (status, created_at, place);
CREATE INDEX pipeline_runs_by_event ON pipeline_runs (event, created_at, place) WHERE event IS NOT NULL;
CREATE INDEX pipeline_runs_by_branch ON pipeline_runs (branch, created_at, place) WHERE branch IS NOT NULL;
CREATE INDEX pipeline_runs_by_author ON pipeline_runs (author, created_at, place) WHERE author IS NOT NULL;
CREATE INDEX pipeline_runs_by_pull_request ON pipeline_runs (pull_request, created_at, place)
    WHERE pull_request IS NOT NULL;
CREATE INDEX pipeline_runs_of_pipeline_by_status ON pipeline_runs (pipeline, status, created_at, place);
CREATE INDEX pipeline_runs_of_pipeline_by_event ON pipeline_runs (pipeline, event, created_at, place)
    WHERE event IS NOT NULL;
CREATE INDEX pipeline_runs_of_pipeline_by_branch ON pipeline_runs (pipeline, branch, created_at, place)
    WHERE branch IS NOT NULL;
CREATE INDEX pipeline_runs_of_pipeline_by_author ON pipeline_runs (pipeline, author, created_at, place)
    WHERE author IS NOT NULL;
CREATE INDEX pipeline_runs_of_pipeline_by_pull_request ON pipeline_runs (pipeline, pull_request, created_at, place)
    WHERE pull_request IS NOT NULL;
