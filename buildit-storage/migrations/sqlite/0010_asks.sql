-- What people ask of runs, whichever engine drives them; requests that may come twice; who takes runs, and from whom.

CREATE TABLE run_asks (
    place           INTEGER PRIMARY KEY,
    pipeline_run_id TEXT NOT NULL REFERENCES pipeline_runs (id) ON DELETE CASCADE,
    -- JSON: what it is about, of which there is one.
    subject         TEXT NOT NULL,
    -- JSON.
    body            TEXT NOT NULL,
    UNIQUE (pipeline_run_id, subject)
) STRICT;

CREATE TABLE requests (
    tenant_id       TEXT NOT NULL,
    -- What whoever asked calls it.
    key             TEXT NOT NULL,
    -- The digest of what was asked for.
    content         TEXT NOT NULL,
    -- The run that it makes, which may not be there yet, or no more.
    pipeline_run_id TEXT NOT NULL,
    expires_at      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT;
CREATE INDEX requests_by_end ON requests (expires_at);

-- Those who claim runs of the queue.
CREATE TABLE workers (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    since      TEXT NOT NULL,
    -- How many runs it drives at once at most; none when it takes none anyway.
    runs       INTEGER CHECK (runs > 0),
    seen_until TEXT NOT NULL,
    -- Whether it is given nothing for the moment.
    paused     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX workers_by_end ON workers (seen_until);

-- Whether nothing new is taken of a tenant, and of any. One that is paused is not ready.
ALTER TABLE queue_tenants ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN queue_paused INTEGER NOT NULL DEFAULT 0;

-- The queue of a tenant as it is listed; claims read it too.
DROP INDEX job_queue_waiting;
DROP INDEX job_queue_taken;
CREATE INDEX job_queue_of_tenant ON job_queue (tenant_id, status, priority DESC, place);
