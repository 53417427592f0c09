-- What tenants want kept, and when each piece of upkeep was done last.

CREATE TABLE retention_policies (
    tenant_id  TEXT PRIMARY KEY,
    config     TEXT NOT NULL,
    version    INTEGER NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE upkeep_turns (
    work     TEXT PRIMARY KEY,
    taken_at TEXT NOT NULL
) STRICT;
