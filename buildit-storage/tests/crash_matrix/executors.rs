//! The executors under test.

use std::path::Path;
use std::sync::Arc;

use buildit::executor::Executor;

/// Jobs of this host, with their spool in this folder.
pub(crate) fn local(state: &Path) -> Arc<dyn Executor> {
    Arc::new(buildit_executors::local::executor(state))
}

/// Containers that see the folder of side effects as `/effects`.
pub(crate) async fn docker(effects: &Path) -> Arc<dyn Executor> {
    let options = buildit_executors::docker::DockerOptions::new().with_mount(effects.to_string_lossy(), "/effects");
    Arc::new(buildit_executors::docker::connect(options).await.expect("the daemon answers"))
}
