-- Channels, and what is to be sent to them. Tenants, pipelines and runs are referred to by their ids alone: what was sent
-- outlives them.

DROP TABLE notifications;

CREATE TABLE channels (
    id         UUID PRIMARY KEY,
    tenant_id  UUID NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    kind       TEXT NOT NULL,
    -- Where to, as far as everybody may know: the rest is a secret.
    target     TEXT NOT NULL,
    -- JSON: what pipelines tell it that say nothing else.
    rule       TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, name)
);

-- What a pipeline tells a channel, where it is not what the channel says.
CREATE TABLE channel_rules (
    channel_id  UUID NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    pipeline_id UUID NOT NULL,
    -- JSON.
    rule        TEXT NOT NULL,
    PRIMARY KEY (pipeline_id, channel_id)
);
CREATE INDEX channel_rules_by_channel ON channel_rules (channel_id);

CREATE TABLE notifications (
    id              UUID PRIMARY KEY,
    channel_id      UUID NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    pipeline_run_id UUID,
    -- What tells it from what else is told of the run.
    subject         TEXT NOT NULL,
    occasion        TEXT,
    -- JSON.
    message         TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    status          TEXT NOT NULL,
    tries           BIGINT NOT NULL DEFAULT 0,
    -- When it is due; while somebody sends it, when it is due again if they die.
    next_at         TIMESTAMPTZ NOT NULL,
    error           TEXT,
    ended_at        TIMESTAMPTZ,
    UNIQUE (channel_id, pipeline_run_id, subject)
);
CREATE INDEX notifications_due ON notifications (next_at, id) WHERE status = 'waiting';
CREATE INDEX notifications_of_channel ON notifications (channel_id, id);
CREATE INDEX notifications_by_end ON notifications (ended_at) WHERE ended_at IS NOT NULL;
