-- What forges are to say of commits: of each commit in each context once, what is to be said last. Repositories and runs are
-- referred to by their ids alone.

CREATE TABLE commit_statuses (
    id              UUID NOT NULL UNIQUE,
    repository_id   UUID NOT NULL,
    commit_sha      TEXT NOT NULL,
    context         TEXT NOT NULL,
    -- A name by which the commit may be found.
    reference       TEXT NOT NULL,
    pipeline_run_id UUID,
    -- The run's number and its event's: what is newer has higher ones.
    run_number      BIGINT NOT NULL,
    seq             BIGINT NOT NULL,
    state           TEXT NOT NULL,
    description     TEXT NOT NULL,
    url             TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    progress        TEXT NOT NULL,
    tries           BIGINT NOT NULL DEFAULT 0,
    -- When it is due; while somebody sends it, when it is due again if they die.
    next_at         TIMESTAMPTZ NOT NULL,
    -- What somebody is sending: this one, or the one whose place it took.
    sending_id      UUID,
    error           TEXT,
    ended_at        TIMESTAMPTZ,
    PRIMARY KEY (repository_id, commit_sha, context)
);
CREATE INDEX commit_statuses_of_repository ON commit_statuses (repository_id, id);
CREATE INDEX commit_statuses_due ON commit_statuses (next_at, id) WHERE progress = 'waiting';
CREATE INDEX commit_statuses_sending ON commit_statuses (sending_id) WHERE sending_id IS NOT NULL;
CREATE INDEX commit_statuses_by_end ON commit_statuses (ended_at) WHERE ended_at IS NOT NULL;

-- JSON: how it stands with the webhook at the forge.
ALTER TABLE repositories ADD COLUMN webhook TEXT;
