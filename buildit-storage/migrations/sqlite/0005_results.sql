-- Results of cacheable stages, each under the digest of what it is made of.

-- One row: what keys these digests, so that nobody finds out a secret by digesting guesses.
CREATE TABLE result_salt (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    salt BLOB NOT NULL
) STRICT;
INSERT INTO result_salt (id, salt) VALUES (1, randomblob(32));

CREATE TABLE kept_results (
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    scope           TEXT NOT NULL,
    key             TEXT NOT NULL,
    -- The run that made it, which may be gone.
    pipeline_run_id TEXT NOT NULL,
    stage_name      TEXT NOT NULL,
    -- JSON: the result as it is taken.
    result          TEXT NOT NULL,
    -- JSON: what it is made of, to tell later what differs.
    ingredients     TEXT NOT NULL,
    kept_at         TEXT NOT NULL,
    last_used_at    TEXT NOT NULL,
    UNIQUE (scope, key)
) STRICT;
CREATE INDEX kept_results_by_stage ON kept_results (scope, stage_name, place);
CREATE INDEX kept_results_by_use ON kept_results (scope, last_used_at);

-- The blobs that a result needs: artifacts, reports, a long log.
CREATE TABLE kept_result_blobs (
    place  INTEGER NOT NULL REFERENCES kept_results (place) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (place, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_result_blobs_by_digest ON kept_result_blobs (digest);
