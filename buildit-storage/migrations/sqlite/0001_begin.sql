-- Ids are hyphenated UUIDs as text. Times are text in UTC with nine digits after the second, so that they sort as
-- they follow. What is JSON or binary says so.

-- Who there is.

CREATE TABLE organizations (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    plan          TEXT NOT NULL DEFAULT 'free',
    billing_email TEXT,
    created_at    TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    email          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    email_verified INTEGER NOT NULL DEFAULT 0,
    name           TEXT NOT NULL DEFAULT '',
    password_hash  TEXT,
    created_at     TEXT NOT NULL
) STRICT;

CREATE TABLE org_memberships (
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            TEXT NOT NULL,
    invited_by      TEXT REFERENCES users (id) ON DELETE SET NULL,
    created_at      TEXT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX org_memberships_by_user ON org_memberships (user_id);

CREATE TABLE tenants (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    -- Its share of the workers, beside the others'.
    weight          INTEGER NOT NULL DEFAULT 1 CHECK (weight > 0),
    -- How many of its runs may be under way at once.
    max_running     INTEGER CHECK (max_running > 0),
    created_at      TEXT NOT NULL,
    UNIQUE (organization_id, name)
) STRICT;

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id      TEXT REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    -- SHA-256 of the key, and the part of it that may be shown.
    key_hash     BLOB NOT NULL UNIQUE,
    key_prefix   TEXT NOT NULL,
    -- JSON: a list of words.
    scopes       TEXT NOT NULL DEFAULT '[]',
    expires_at   TEXT,
    last_used_at TEXT,
    created_at   TEXT NOT NULL
) STRICT;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id);

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE,
    data       BLOB NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Pipelines and their runs.

CREATE TABLE pipelines (
    -- Its name, and whose it is: empty for none.
    tenant_id   TEXT NOT NULL DEFAULT '',
    name        TEXT NOT NULL,
    -- The number of its last run, whether or not that is still there.
    last_number INTEGER NOT NULL DEFAULT 0,
    -- Where its definition comes from, and its text when it is kept here.
    source      TEXT,
    definition  TEXT,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- The stages of each pipeline as its latest run had them.
CREATE TABLE pipeline_stages (
    tenant_id     TEXT NOT NULL DEFAULT '',
    pipeline_name TEXT NOT NULL,
    stage_name    TEXT NOT NULL,
    position      INTEGER NOT NULL,
    -- JSON: the names of the stages that it needs.
    needs         TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, pipeline_name, stage_name),
    FOREIGN KEY (tenant_id, pipeline_name) REFERENCES pipelines (tenant_id, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE pipeline_runs (
    -- Its place in the order of creation.
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    tenant_id       TEXT NOT NULL DEFAULT '',
    pipeline_name   TEXT NOT NULL,
    number          INTEGER NOT NULL,
    status          TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    started_at      TEXT,
    finished_at     TEXT,
    -- From the start of the first stage to the end of the last one.
    duration_ms     INTEGER,
    concurrency_group TEXT,
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
    UNIQUE (tenant_id, pipeline_name, number),
    FOREIGN KEY (tenant_id, pipeline_name) REFERENCES pipelines (tenant_id, name)
) STRICT;
CREATE INDEX pipeline_runs_by_time ON pipeline_runs (created_at, place);
CREATE INDEX pipeline_runs_of_pipeline ON pipeline_runs (pipeline_name, created_at, place);
CREATE INDEX pipeline_runs_open ON pipeline_runs (place) WHERE closed = 0;
CREATE INDEX pipeline_runs_held ON pipeline_runs (locked_session) WHERE locked_session IS NOT NULL;

CREATE TABLE run_events (
    pipeline_run_id TEXT NOT NULL REFERENCES pipeline_runs (id) ON DELETE CASCADE,
    seq             INTEGER NOT NULL,
    time            TEXT NOT NULL,
    -- JSON.
    body            TEXT NOT NULL,
    PRIMARY KEY (pipeline_run_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE stage_results (
    pipeline_run_id TEXT NOT NULL REFERENCES pipeline_runs (id) ON DELETE CASCADE,
    stage_name      TEXT NOT NULL,
    status          TEXT NOT NULL,
    attempt         INTEGER,
    executor        TEXT,
    exit_code       INTEGER,
    error           TEXT,
    started_at      TEXT,
    finished_at     TEXT,
    -- It failed and that does not count; it was not run because an earlier result was taken.
    allowed         INTEGER NOT NULL DEFAULT 0,
    cached          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline_run_id, stage_name)
) STRICT, WITHOUT ROWID;

-- Logs: one row of `job_logs` for each job, and its lines in compressed chunks.

CREATE TABLE job_logs (
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline_run_id TEXT NOT NULL REFERENCES pipeline_runs (id) ON DELETE CASCADE,
    stage_name      TEXT NOT NULL,
    attempt         INTEGER NOT NULL,
    -- How far it is stored: its last line, the bytes of its lines, and the raw bytes of each output.
    last_line       INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    stdout          INTEGER NOT NULL,
    stderr          INTEGER NOT NULL,
    UNIQUE (pipeline_run_id, stage_name, attempt)
) STRICT;

CREATE TABLE log_chunks (
    job_log    INTEGER NOT NULL REFERENCES job_logs (place) ON DELETE CASCADE,
    last_line  INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    -- The bytes of the lines before it, and of its own.
    offset     INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    time       TEXT NOT NULL,
    data       BLOB NOT NULL,
    PRIMARY KEY (job_log, last_line)
) STRICT, WITHOUT ROWID;

-- What jobs left, by content.

CREATE TABLE artifacts (
    pipeline_run_id TEXT NOT NULL REFERENCES pipeline_runs (id) ON DELETE CASCADE,
    stage_name      TEXT NOT NULL,
    attempt         INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    digest          TEXT NOT NULL,
    bytes           INTEGER NOT NULL,
    PRIMARY KEY (pipeline_run_id, stage_name, attempt, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifacts_by_digest ON artifacts (digest);

CREATE TABLE caches (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    scope        TEXT NOT NULL,
    key          TEXT NOT NULL,
    digest       TEXT NOT NULL,
    bytes        INTEGER,
    saved_at     TEXT NOT NULL,
    last_used_at TEXT NOT NULL,
    UNIQUE (scope, key)
) STRICT;
CREATE INDEX caches_by_use ON caches (last_used_at);
CREATE INDEX caches_by_digest ON caches (digest);

CREATE TABLE secrets (
    -- `organization`, `tenant`, `pipeline` or `environment`, and which one.
    scope      TEXT NOT NULL,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    key_id     TEXT NOT NULL,
    nonce      BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (scope, owner, name)
) STRICT, WITHOUT ROWID;

-- What waits.

CREATE TABLE job_queue (
    -- Its place in the order of taking within one priority.
    place         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_type      TEXT NOT NULL,
    -- What it is about: the id of a run.
    subject       TEXT NOT NULL,
    -- JSON.
    payload       TEXT NOT NULL DEFAULT '{}',
    tenant_id     TEXT NOT NULL,
    priority      INTEGER NOT NULL,
    -- `waiting`, `taken` or `dead`.
    status        TEXT NOT NULL DEFAULT 'waiting',
    attempts      INTEGER NOT NULL DEFAULT 0,
    max_attempts  INTEGER NOT NULL,
    scheduled_for TEXT NOT NULL,
    locked_by     TEXT,
    locked_until  TEXT,
    fencing_token INTEGER,
    -- The order in which dead letters died.
    died          INTEGER,
    UNIQUE (subject, job_type)
) STRICT;
CREATE INDEX job_queue_order ON job_queue (priority DESC, place) WHERE status <> 'dead';
CREATE INDEX job_queue_dead ON job_queue (died) WHERE status = 'dead';

-- Deployments.

CREATE TABLE deployment_targets (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL DEFAULT '',
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    -- JSON.
    config     TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE environments (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL DEFAULT '',
    name       TEXT NOT NULL,
    target_id  TEXT REFERENCES deployment_targets (id) ON DELETE SET NULL,
    -- JSON.
    config     TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE services (
    id             TEXT PRIMARY KEY,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    -- JSON.
    config         TEXT NOT NULL DEFAULT '{}',
    created_at     TEXT NOT NULL,
    UNIQUE (environment_id, name)
) STRICT;

CREATE TABLE releases (
    id              TEXT PRIMARY KEY,
    service_name    TEXT NOT NULL,
    version         TEXT NOT NULL,
    -- JSON: what is deployed, by digest.
    content         TEXT NOT NULL,
    pipeline_run_id TEXT,
    created_at      TEXT NOT NULL
) STRICT;

CREATE TABLE deployments (
    id              TEXT PRIMARY KEY,
    environment_id  TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    service_id      TEXT REFERENCES services (id) ON DELETE CASCADE,
    release_id      TEXT REFERENCES releases (id),
    pipeline_run_id TEXT,
    status          TEXT NOT NULL,
    -- JSON: where it is.
    state           TEXT NOT NULL DEFAULT '{}',
    created_at      TEXT NOT NULL,
    started_at      TEXT,
    finished_at     TEXT
) STRICT;
CREATE INDEX deployments_of_environment ON deployments (environment_id, created_at);

-- Stacks.

CREATE TABLE stacks (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL DEFAULT '',
    name          TEXT NOT NULL,
    tool          TEXT NOT NULL,
    tool_version  TEXT,
    source        TEXT,
    folder        TEXT NOT NULL DEFAULT '',
    -- JSON.
    config        TEXT NOT NULL DEFAULT '{}',
    locked_by     TEXT,
    locked_until  TEXT,
    fencing_token INTEGER NOT NULL DEFAULT 0,
    created_at    TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE stack_variables (
    stack_id  TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    name      TEXT NOT NULL,
    value     TEXT,
    -- The secret that it is, instead of a value.
    secret    TEXT,
    is_env    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (stack_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE stack_runs (
    id              TEXT PRIMARY KEY,
    stack_id        TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    pipeline_run_id TEXT,
    number          INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    status          TEXT NOT NULL,
    -- The digest of the plan that an approval binds.
    plan_digest     TEXT,
    changes_add     INTEGER,
    changes_change  INTEGER,
    changes_destroy INTEGER,
    error           TEXT,
    created_at      TEXT NOT NULL,
    started_at      TEXT,
    finished_at     TEXT,
    UNIQUE (stack_id, number)
) STRICT;

CREATE TABLE stack_state (
    stack_id   TEXT PRIMARY KEY REFERENCES stacks (id) ON DELETE CASCADE,
    serial     INTEGER NOT NULL,
    lineage    TEXT NOT NULL,
    digest     TEXT NOT NULL,
    -- JSON: the lock that the tool holds on it.
    lock       TEXT,
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE stack_state_versions (
    stack_id     TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    serial       INTEGER NOT NULL,
    digest       TEXT NOT NULL,
    stack_run_id TEXT,
    created_at   TEXT NOT NULL,
    PRIMARY KEY (stack_id, serial, digest)
) STRICT, WITHOUT ROWID;

-- What happened around it all.

CREATE TABLE audit_log (
    place     INTEGER PRIMARY KEY AUTOINCREMENT,
    time      TEXT NOT NULL,
    tenant_id TEXT NOT NULL DEFAULT '',
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    -- JSON.
    details   TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX audit_log_by_time ON audit_log (tenant_id, time);

CREATE TABLE webhook_deliveries (
    source      TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    received_at TEXT NOT NULL,
    event       TEXT NOT NULL,
    payload     BLOB NOT NULL,
    status      TEXT NOT NULL,
    error       TEXT,
    PRIMARY KEY (source, delivery_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    channel         TEXT NOT NULL,
    pipeline_run_id TEXT,
    -- JSON.
    payload         TEXT NOT NULL,
    status          TEXT NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    scheduled_for   TEXT NOT NULL,
    sent_at         TEXT,
    error           TEXT
) STRICT;
