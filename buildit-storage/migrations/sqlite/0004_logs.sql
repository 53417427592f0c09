-- What becomes of the logs of runs that are closed.

-- The blob with its lines, once they are there and no longer in `log_chunks`.
ALTER TABLE job_logs ADD COLUMN archive_digest TEXT;
-- Its lines up to this one are in the index, and whether these are all.
ALTER TABLE job_logs ADD COLUMN indexed_line INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_logs ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
-- Whether its lines were removed.
ALTER TABLE job_logs ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_logs_by_archive ON job_logs (archive_digest) WHERE archive_digest IS NOT NULL;
CREATE INDEX job_logs_to_archive ON job_logs (place) WHERE archive_digest IS NULL AND removed = 0;
CREATE INDEX job_logs_to_index ON job_logs (place) WHERE indexed = 0 AND removed = 0;

-- Where in the blob the lines are: frames, one behind the other.
CREATE TABLE log_frames (
    job_log   INTEGER NOT NULL REFERENCES job_logs (place) ON DELETE CASCADE,
    last_line INTEGER NOT NULL,
    -- Where it begins in the blob and how long it is there, and the bytes of its text.
    offset    INTEGER NOT NULL,
    length    INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    -- The checksum that it has to have.
    sum       INTEGER NOT NULL,
    PRIMARY KEY (job_log, last_line)
) STRICT, WITHOUT ROWID;

-- The index: blocks of lines, and the terms of each as words of four hexadecimal digits.
CREATE TABLE log_blocks (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_log    INTEGER NOT NULL REFERENCES job_logs (place) ON DELETE CASCADE,
    first_line INTEGER NOT NULL,
    last_line  INTEGER NOT NULL
) STRICT;
CREATE INDEX log_blocks_of_log ON log_blocks (job_log);
CREATE VIRTUAL TABLE log_index USING fts5 (terms, content='', contentless_delete=1, detail=none, tokenize='ascii');
CREATE TRIGGER log_blocks_gone AFTER DELETE ON log_blocks BEGIN
    DELETE FROM log_index WHERE rowid = old.id;
END;
