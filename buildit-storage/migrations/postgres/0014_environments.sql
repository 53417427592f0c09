-- Environments: how often each was written, and when last.

ALTER TABLE environments ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE environments ADD COLUMN updated_at TIMESTAMPTZ NOT NULL DEFAULT '1970-01-01T00:00:00Z';
-- Compared and ordered as bytes follow, whatever the language of the database is.
ALTER TABLE environments ALTER COLUMN name TYPE TEXT COLLATE "C";
