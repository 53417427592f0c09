-- Accounts: invitations, tokens, sessions by their hashes, and an audit log of organizations.

-- A row that is locked by whoever makes the first user.
CREATE TABLE installation (
    place      INTEGER PRIMARY KEY CHECK (place = 1),
    founded_at TEXT
) STRICT;
INSERT INTO installation (place) VALUES (1);

CREATE UNIQUE INDEX users_by_email ON users (lower(email));

ALTER TABLE api_keys ADD COLUMN role TEXT NOT NULL DEFAULT 'viewer';
DROP INDEX api_keys_by_tenant;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

CREATE TABLE invitations (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           TEXT NOT NULL,
    role            TEXT NOT NULL,
    invited_by      TEXT REFERENCES users (id) ON DELETE SET NULL,
    -- SHA-256 of the token that accepts it.
    token_hash      BLOB NOT NULL UNIQUE,
    created_at      TEXT NOT NULL,
    expires_at      TEXT NOT NULL
) STRICT;
CREATE INDEX invitations_of_organization ON invitations (organization_id, id);
CREATE INDEX invitations_by_end ON invitations (expires_at);

-- What was sent to users, to be used once.
CREATE TABLE user_tokens (
    -- SHA-256 of the token.
    token_hash BLOB PRIMARY KEY,
    purpose    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX user_tokens_by_user ON user_tokens (user_id, purpose);
CREATE INDEX user_tokens_by_end ON user_tokens (expires_at);

-- No version has written a session yet, and none of them would be one without its hash.
DROP TABLE sessions;
CREATE TABLE sessions (
    -- SHA-256 of the token.
    token_hash BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    data       BLOB NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- It outlives what it tells of, so it refers to nothing.
ALTER TABLE audit_log RENAME TO audit_log_before;
DROP INDEX audit_log_by_time;
CREATE TABLE audit_log (
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    time            TEXT NOT NULL,
    organization_id TEXT,
    tenant_id       TEXT,
    actor           TEXT NOT NULL,
    action          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    -- JSON.
    details         TEXT NOT NULL DEFAULT '{}'
) STRICT;
INSERT INTO audit_log (place, time, tenant_id, actor, action, subject, details)
SELECT place, time, nullif(tenant_id, ''), actor, action, subject, details FROM audit_log_before;
DROP TABLE audit_log_before;
CREATE INDEX audit_log_of_organization ON audit_log (organization_id, place) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_log_of_tenant ON audit_log (tenant_id, place) WHERE tenant_id IS NOT NULL;
