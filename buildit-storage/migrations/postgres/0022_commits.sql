-- Runs are looked for by their commit.

CREATE INDEX pipeline_runs_by_commit ON pipeline_runs (commit_id, created_at, place) WHERE commit_id IS NOT NULL;
CREATE INDEX pipeline_runs_of_pipeline_by_commit ON pipeline_runs (pipeline, commit_id, created_at, place)
    WHERE commit_id IS NOT NULL;
