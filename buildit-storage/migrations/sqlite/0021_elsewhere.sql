-- Accounts elsewhere that let users in, what somebody who is about to sign in comes back to, and runs that a collector of
-- traces is to be told of.

CREATE TABLE linked_accounts (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- What people know it by; it may be empty.
    label      TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT;
CREATE INDEX linked_accounts_of_user ON linked_accounts (user_id, issuer, subject);

CREATE TABLE sign_ins (
    -- SHA-256 of what the browser has.
    token_hash BLOB PRIMARY KEY,
    data       BLOB NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);

-- It says nothing of a run that is gone, so it refers to none.
CREATE TABLE run_exports (
    run_id  TEXT PRIMARY KEY,
    tries   INTEGER NOT NULL DEFAULT 0,
    next_at TEXT NOT NULL
) STRICT;
CREATE INDEX run_exports_by_time ON run_exports (next_at);
