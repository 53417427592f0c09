-- Accounts elsewhere that let users in, what somebody who is about to sign in comes back to, and runs that a collector of
-- traces is to be told of.

CREATE TABLE linked_accounts (
    issuer     TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- What people know it by; it may be empty.
    label      TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX linked_accounts_of_user ON linked_accounts (user_id, issuer, subject);

CREATE TABLE sign_ins (
    -- SHA-256 of what the browser has.
    token_hash BYTEA PRIMARY KEY,
    data       BYTEA NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX sign_ins_by_end ON sign_ins (expires_at);

-- It says nothing of a run that is gone, so it refers to none.
CREATE TABLE run_exports (
    run_id  UUID PRIMARY KEY,
    tries   BIGINT NOT NULL DEFAULT 0,
    next_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX run_exports_by_time ON run_exports (next_at);
