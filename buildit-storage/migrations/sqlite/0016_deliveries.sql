-- Webhooks that forges have delivered: kept until they are worked on, and for a while after that. Nothing was ever in the
-- table before.

DROP TABLE webhook_deliveries;
CREATE TABLE webhook_deliveries (
    id            TEXT PRIMARY KEY,
    repository_id TEXT NOT NULL,
    -- What the forge calls it.
    delivery_key  TEXT NOT NULL,
    forge         TEXT NOT NULL,
    event         TEXT NOT NULL,
    received_at   TEXT NOT NULL,
    state         TEXT NOT NULL,
    -- How often it was taken, and when it may be again.
    attempts      INTEGER NOT NULL,
    due_at        TEXT NOT NULL,
    -- What came of it.
    outcome       TEXT NOT NULL,
    body          BLOB NOT NULL,
    UNIQUE (repository_id, delivery_key)
) STRICT;
CREATE INDEX webhook_deliveries_of_repository ON webhook_deliveries (repository_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at, id) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (received_at);
