-- Environments: how often each was written, and when last.

ALTER TABLE environments ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE environments ADD COLUMN updated_at TEXT NOT NULL DEFAULT '1970-01-01T00:00:00.000000000Z';
