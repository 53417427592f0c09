-- Repositories that tenants have connected, and which pipelines are of which.

CREATE TABLE repositories (
    id          UUID PRIMARY KEY,
    tenant_id   UUID NOT NULL,
    -- Compared and ordered as bytes follow, whatever the language of the database is.
    name        TEXT COLLATE "C" NOT NULL,
    -- The address, without credentials.
    url         TEXT COLLATE "C" NOT NULL,
    -- JSON: what else is known of it.
    settings    TEXT NOT NULL,
    version     BIGINT NOT NULL,
    -- How it was fetched last.
    fetched_at  TIMESTAMPTZ,
    fetch_error TEXT,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, url)
);

ALTER TABLE pipelines ADD COLUMN repository_id UUID;
CREATE INDEX pipelines_of_repository ON pipelines (repository_id, name COLLATE "C") WHERE repository_id IS NOT NULL;
