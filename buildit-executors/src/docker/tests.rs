//! What the tests of this module share, and the snapshots of what containers are made of.

use std::sync::Arc;

use buildit::id::{JobId, RunId};
use buildit::job::JobSpec;
use buildit::pipeline::{Action, Command, ImageSpec, RunAction, StageSpec};

/// A job of this stage, always of the same run, that runs `echo hi` in `busybox:local`.
pub(super) fn job(stage: &str) -> JobSpec {
    let commands = vec![Command::new("echo hi")];
    let mut spec = StageSpec::new(stage, Action::Run(RunAction { commands, ..Default::default() }));
    spec.image = Some(Box::new(ImageSpec::new("busybox:local")));
    let run: RunId = uuid_of_tests();
    JobSpec {
        id: JobId { run, stage: stage.into(), attempt: 1 },
        stage: Arc::new(spec),
        index: 0,
        run_variables: Arc::default(),
        variables: Default::default(),
        pipeline_env: Arc::default(),
        given_env: Arc::default(),
    }
}

fn uuid_of_tests() -> RunId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}
