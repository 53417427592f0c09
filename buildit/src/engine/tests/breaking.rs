//! Executors that break, and what they leave.

use super::*;

#[derive(Debug)]
struct Panics;

#[async_trait::async_trait]
impl crate::executor::Executor for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn supports(&self, _: &crate::job::JobSpec) -> Result<(), crate::executor::Unsupported> {
        Ok(())
    }

    async fn run(
        &self,
        _: &crate::job::JobSpec,
        _: crate::executor::JobContext,
    ) -> Result<JobOutcome, crate::executor::ExecutorError> {
        panic!("as a careless executor does")
    }
}

#[tokio::test(start_paused = true)]
async fn g7_an_executor_that_panics_fails_its_job_and_nothing_else() {
    let engine = Engine::builder().executor(Panics).clock(clock()).build().unwrap();
    let run = engine.start(&chain(), options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, RunStatus::Failed);
    let finished = events(&run).await.into_iter().find_map(|event| match event.body {
        EventBody::AttemptFinished { outcome, .. } => outcome.cause,
        _ => None,
    });
    assert_eq!(finished, Some(Cause::Infrastructure));
}

/// An executor that gives each of its remains away once, and takes a while to remove it.
#[derive(Debug, Default)]
struct Littering {
    left: std::sync::Mutex<Vec<crate::id::JobId>>,
    removed: std::sync::Mutex<Vec<crate::id::JobId>>,
}

#[async_trait::async_trait]
impl crate::executor::Executor for Littering {
    fn name(&self) -> &str {
        "littering"
    }

    fn supports(&self, _: &crate::job::JobSpec) -> Result<(), crate::executor::Unsupported> {
        Ok(())
    }

    async fn run(
        &self,
        job: &crate::job::JobSpec,
        ctx: crate::executor::JobContext,
    ) -> Result<JobOutcome, crate::executor::ExecutorError> {
        self.left.lock().unwrap().push(job.id.clone());
        ctx.log_line(&job.id, crate::job::Stream::Stdout, "a line").await?;
        let bytes = "and half of one".into();
        ctx.log(&job.id, crate::executor::LogWrite { stream: crate::job::Stream::Stdout, bytes, position: None })
            .await?;
        assert!(&*job.id.stage != "panics", "as it was asked to");
        Ok(JobOutcome::succeeded())
    }

    async fn release(&self, job: &crate::id::JobId) -> Result<(), crate::executor::ExecutorError> {
        let found = self.left.lock().unwrap().iter().position(|left| left == job);
        if let Some(at) = found {
            self.left.lock().unwrap().swap_remove(at);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.removed.lock().unwrap().push(job.clone());
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn g8_what_is_removed_is_removed_once_and_to_the_end() {
    let executor = Arc::new(Littering::default());
    let engine = Engine::builder().executor(Arc::clone(&executor)).clock(clock()).build().unwrap();
    engine.start(&chain(), options()).await.unwrap().wait().await.unwrap();
    assert_eq!(executor.removed.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn g3_the_log_of_a_job_whose_executor_panics_is_whole() {
    let engine = Engine::builder().executor(Littering::default()).clock(clock()).build().unwrap();
    let pipeline = PipelineBuilder::new("shop").stage(StageBuilder::run("panics", "true")).build();
    let run = engine.start(&pipeline, options()).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.stage("panics").unwrap().status, Status::Failed);
    let log: Vec<_> = run.logs("panics").try_collect().await.unwrap();
    let text: Vec<u8> = log.iter().flat_map(|log| log.chunk.text.to_vec()).collect();
    assert_eq!(String::from_utf8(text).unwrap().lines().collect::<Vec<_>>(), ["a line", "and half of one"]);
}
