-- What tenants want kept, and when each piece of upkeep was done last.

CREATE TABLE retention_policies (
    tenant_id  UUID PRIMARY KEY,
    config     TEXT NOT NULL,
    version    BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE upkeep_turns (
    work     TEXT PRIMARY KEY,
    taken_at TIMESTAMPTZ NOT NULL
);
