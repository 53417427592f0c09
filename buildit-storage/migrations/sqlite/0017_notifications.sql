-- Channels, and what is to be sent to them. Tenants, pipelines and runs are referred to by their ids alone: what was sent
-- outlives them.

DROP TABLE notifications;

CREATE TABLE channels (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    -- Where to, as far as everybody may know: the rest is a secret.
    target     TEXT NOT NULL,
    -- JSON: what pipelines tell it that say nothing else.
    rule       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

-- What a pipeline tells a channel, where it is not what the channel says.
CREATE TABLE channel_rules (
    channel_id  TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    pipeline_id TEXT NOT NULL,
    -- JSON.
    rule        TEXT NOT NULL,
    PRIMARY KEY (pipeline_id, channel_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX channel_rules_by_channel ON channel_rules (channel_id);

CREATE TABLE notifications (
    id              TEXT PRIMARY KEY,
    channel_id      TEXT NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    pipeline_run_id TEXT,
    -- What tells it from what else is told of the run.
    subject         TEXT NOT NULL,
    occasion        TEXT,
    -- JSON.
    message         TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    status          TEXT NOT NULL,
    tries           INTEGER NOT NULL DEFAULT 0,
    -- When it is due; while somebody sends it, when it is due again if they die.
    next_at         TEXT NOT NULL,
    error           TEXT,
    ended_at        TEXT,
    UNIQUE (channel_id, pipeline_run_id, subject)
) STRICT;
CREATE INDEX notifications_due ON notifications (next_at, id) WHERE status = 'waiting';
CREATE INDEX notifications_of_channel ON notifications (channel_id, id);
CREATE INDEX notifications_by_end ON notifications (ended_at) WHERE ended_at IS NOT NULL;
