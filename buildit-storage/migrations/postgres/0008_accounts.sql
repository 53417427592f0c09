-- Accounts: invitations, tokens, sessions by their hashes, and an audit log of organizations.

-- A row that is locked by whoever makes the first user.
CREATE TABLE installation (
    place      BIGINT PRIMARY KEY CHECK (place = 1),
    founded_at TIMESTAMPTZ
);
INSERT INTO installation (place) VALUES (1);

-- Compared and ordered as bytes follow, whatever the language of the database is.
DROP INDEX users_by_email;
ALTER TABLE users ALTER COLUMN email TYPE TEXT COLLATE "C";
CREATE UNIQUE INDEX users_by_email ON users (lower(email));
ALTER TABLE organizations ALTER COLUMN name TYPE TEXT COLLATE "C";
ALTER TABLE tenants ALTER COLUMN name TYPE TEXT COLLATE "C";

ALTER TABLE api_keys ADD COLUMN role TEXT NOT NULL DEFAULT 'viewer';
DROP INDEX api_keys_by_tenant;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

CREATE TABLE invitations (
    id              UUID PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           TEXT NOT NULL,
    role            TEXT NOT NULL,
    invited_by      UUID REFERENCES users (id) ON DELETE SET NULL,
    -- SHA-256 of the token that accepts it.
    token_hash      BYTEA NOT NULL UNIQUE,
    created_at      TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL
);
CREATE INDEX invitations_of_organization ON invitations (organization_id, id);
CREATE INDEX invitations_by_end ON invitations (expires_at);

-- What was sent to users, to be used once.
CREATE TABLE user_tokens (
    -- SHA-256 of the token.
    token_hash BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX user_tokens_by_user ON user_tokens (user_id, purpose);
CREATE INDEX user_tokens_by_end ON user_tokens (expires_at);

-- No version has written a session yet, and none of them would be one without its hash.
DROP TABLE sessions;
CREATE TABLE sessions (
    -- SHA-256 of the token.
    token_hash BYTEA PRIMARY KEY,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    data       BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- It outlives what it tells of, so it refers to nothing.
DROP INDEX audit_log_by_time;
ALTER TABLE audit_log ADD COLUMN organization_id UUID,
    ALTER COLUMN tenant_id DROP NOT NULL, ALTER COLUMN tenant_id DROP DEFAULT;
UPDATE audit_log SET tenant_id = NULL WHERE tenant_id = '00000000-0000-0000-0000-000000000000';
CREATE INDEX audit_log_of_organization ON audit_log (organization_id, place) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_log_of_tenant ON audit_log (tenant_id, place) WHERE tenant_id IS NOT NULL;
