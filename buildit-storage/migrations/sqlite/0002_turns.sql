-- Whose turn it is in the queue, and concurrency groups that hold among engines.

-- The tenants that ever had a run in the queue.
CREATE TABLE queue_tenants (
    tenant_id   TEXT PRIMARY KEY,
    -- The share of one that no organization has; one in `tenants` has what it says there.
    weight      INTEGER NOT NULL DEFAULT 1 CHECK (weight > 0),
    max_running INTEGER CHECK (max_running > 0),
    -- Its virtual time: the least goes next.
    turn        INTEGER NOT NULL,
    -- Whether it may have something to take: no, when it has surely not.
    is_ready    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_tenants_turn ON queue_tenants (turn);
CREATE INDEX queue_tenants_ready ON queue_tenants (turn) WHERE is_ready = 1;
INSERT INTO queue_tenants (tenant_id, turn, is_ready) SELECT DISTINCT tenant_id, 0, 1 FROM job_queue;

-- Two more words of `job_queue.status`: `scheduled` is not due, as far as it was looked at; `behind` waits for an
-- earlier run of its concurrency group.
DROP INDEX job_queue_order;
CREATE INDEX job_queue_waiting ON job_queue (tenant_id, priority DESC, place) WHERE status = 'waiting';
CREATE INDEX job_queue_scheduled ON job_queue (scheduled_for) WHERE status = 'scheduled';
CREATE INDEX job_queue_taken ON job_queue (tenant_id) WHERE status = 'taken';
-- A lease lasts until then at least: the run itself has the end of it.
CREATE INDEX job_queue_late ON job_queue (locked_until) WHERE status = 'taken';

-- Why it is to end, said by somebody who need not drive it.
ALTER TABLE pipeline_runs ADD COLUMN cancel_requested TEXT;
CREATE INDEX pipeline_runs_group ON pipeline_runs (pipeline_name, concurrency_group, number)
    WHERE concurrency_group IS NOT NULL AND status IN ('queued', 'running', 'waiting');
UPDATE job_queue SET status = 'behind'
WHERE status = 'waiting' AND EXISTS (
    SELECT 1 FROM pipeline_runs r JOIN pipeline_runs e
        ON e.pipeline_name = r.pipeline_name AND e.concurrency_group = r.concurrency_group
            AND e.number < r.number AND e.status IN ('queued', 'running', 'waiting')
    WHERE r.id = job_queue.subject);
