-- A run is leased, renewed and let go far more often than anything of it that an index holds is changed. Half of each page
-- is left for that, so that such a change stays on its page and touches no index.
ALTER TABLE pipeline_runs SET (fillfactor = 50);
