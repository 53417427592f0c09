-- Lists of a tenant's runs that are narrowed down are read along an index of their own, however many runs the tenant has.
-- Nobody narrows the runs of all tenants but by status.

DROP INDEX pipeline_runs_by_event;
DROP INDEX pipeline_runs_by_branch;
DROP INDEX pipeline_runs_by_author;
DROP INDEX pipeline_runs_by_pull_request;
DROP INDEX pipeline_runs_by_commit;
CREATE INDEX pipeline_runs_of_tenant_by_status ON pipeline_runs (tenant_id, status, created_at, place);
CREATE INDEX pipeline_runs_of_tenant_by_event ON pipeline_runs (tenant_id, event, created_at, place)
    WHERE event IS NOT NULL;
CREATE INDEX pipeline_runs_of_tenant_by_branch ON pipeline_runs (tenant_id, branch, created_at, place)
    WHERE branch IS NOT NULL;
CREATE INDEX pipeline_runs_of_tenant_by_author ON pipeline_runs (tenant_id, author, created_at, place)
    WHERE author IS NOT NULL;
CREATE INDEX pipeline_runs_of_tenant_by_pull_request ON pipeline_runs (tenant_id, pull_request, created_at, place)
    WHERE pull_request IS NOT NULL;
CREATE INDEX pipeline_runs_of_tenant_by_commit ON pipeline_runs (tenant_id, commit_id, created_at, place)
    WHERE commit_id IS NOT NULL;
