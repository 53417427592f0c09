-- When pipelines run by the clock. They refer to nothing: whoever finds one of a pipeline that is gone removes it.

CREATE TABLE schedules (
    pipeline_id TEXT NOT NULL,
    cron        TEXT NOT NULL,
    timezone    TEXT NOT NULL,
    next_at     TEXT NOT NULL,
    paused      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline_id, cron, timezone)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_at) WHERE NOT paused;
