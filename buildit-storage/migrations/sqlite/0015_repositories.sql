-- Repositories that tenants have connected, and which pipelines are of which.

CREATE TABLE repositories (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    name        TEXT NOT NULL,
    -- The address, without credentials.
    url         TEXT NOT NULL,
    -- JSON: what else is known of it.
    settings    TEXT NOT NULL,
    version     INTEGER NOT NULL,
    -- How it was fetched last.
    fetched_at  TEXT,
    fetch_error TEXT,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, url)
) STRICT, WITHOUT ROWID;

ALTER TABLE pipelines ADD COLUMN repository_id TEXT;
CREATE INDEX pipelines_of_repository ON pipelines (repository_id, name) WHERE repository_id IS NOT NULL;
