-- When pipelines run by the clock. They refer to nothing: whoever finds one of a pipeline that is gone removes it.

CREATE TABLE schedules (
    pipeline_id UUID NOT NULL,
    cron        TEXT COLLATE "C" NOT NULL,
    timezone    TEXT COLLATE "C" NOT NULL,
    next_at     TIMESTAMPTZ NOT NULL,
    paused      BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (pipeline_id, cron, timezone)
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE NOT paused;
