//! `--shell-on-failure`: a shell where a stage failed.

use std::process::Command;

use buildit::id::JobId;
use buildit::pipeline::PipelineSpec;

use crate::look::Look;
use crate::out::Out;
use crate::report::{Board, Mark};
use crate::session::Executors;

/// Opens a shell for each stage that failed, one after another, if there is a person.
pub(crate) async fn open_shells(board: &Board, executors: &Executors, plan: &PipelineSpec, look: Look) {
    let mut out = Out::stderr();
    if !look.is_interactive() {
        out.line("buildit: --shell-on-failure needs a terminal");
        return;
    }
    for (stage, shown) in board.stages.iter().filter(|(_, shown)| shown.has_failed()) {
        let job = JobId { run: board.run, stage: stage.clone(), attempt: shown.attempt };
        let Some(folder) = executors.workspace(&job) else {
            out.line(&format!("buildit: nothing is left of {stage} to look at"));
            continue;
        };
        out.line(&format!("{}a shell where {stage} failed; exit leaves it", look.stderr().shape(Mark::Failed)));
        let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let variables = plan.stage(stage).map(|stage| stage.env.clone()).unwrap_or_default();
        let mut command = Command::new(shell);
        command.current_dir(folder).envs(variables).env("BUILDIT_STAGE_NAME", stage.as_str());
        let opened = tokio::task::spawn_blocking(move || command.status()).await;
        if let Ok(Err(error)) = opened {
            out.line(&format!("buildit: cannot open a shell: {error}"));
        }
    }
}
