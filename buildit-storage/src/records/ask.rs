//! What is asked of runs, but for reading it: of many runs at once each database reads in its own way.

use async_trait::async_trait;
use buildit::id::RunId;
use buildit::store::{Ask, AskSubject, StoreError};

use super::{Change, News, Records, Statements, sql};
use crate::sql::to_json;

#[derive(Debug)]
struct Put {
    run: RunId,
    ask: Ask,
}

#[async_trait]
impl Change for Put {
    type Answer = bool;

    async fn change(&self, to: &mut dyn Statements) -> Result<bool, StoreError> {
        if matches!(self.ask, Ask::Cancel { .. }) {
            // Before the run, as everywhere: an ask holds on to its run.
            let recall = sql("UPDATE job_queue SET status = 'scheduled', died = NULL, attempts = max_attempts - 1
                 WHERE subject = $1 AND job_type = 'run' AND status = 'dead'");
            to.run(recall.bind(self.run)).await?;
        }
        let put = sql("INSERT INTO run_asks (pipeline_run_id, subject, body)
             SELECT id, $2, $3 FROM pipeline_runs WHERE id = $1 ON CONFLICT (pipeline_run_id, subject) DO NOTHING");
        let put = put.bind(self.run).bind(to_json(&self.ask.subject())?).bind(to_json(&self.ask)?);
        if to.run(put).await? > 0 {
            return Ok(true);
        }
        let run = to.rows(sql("SELECT 1 FROM pipeline_runs WHERE id = $1").bind(self.run)).await?;
        if run.is_empty() { Err(StoreError::NoRun(self.run)) } else { Ok(false) }
    }
}

pub(crate) async fn ask(store: &impl Records, run: RunId, ask: Ask) -> Result<bool, StoreError> {
    let ends = matches!(ask, Ask::Cancel { .. });
    let is_new = store.change(Put { run, ask }).await?;
    store.announce(News::Asks).await;
    if ends {
        store.announce(News::Queue).await;
    }
    Ok(is_new)
}

pub(crate) async fn settle(store: &impl Records, run: RunId, subject: &AskSubject) -> Result<(), StoreError> {
    let settle = sql("DELETE FROM run_asks WHERE pipeline_run_id = $1 AND subject = $2");
    store.run(settle.bind(run).bind(to_json(subject)?)).await.map(drop)
}
