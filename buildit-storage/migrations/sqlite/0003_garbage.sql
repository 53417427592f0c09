-- Which blobs are still needed is asked by address.
CREATE INDEX pipeline_runs_by_source ON pipeline_runs (source_digest) WHERE source_digest IS NOT NULL;
