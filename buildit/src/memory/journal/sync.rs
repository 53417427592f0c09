//! Makes what was written durable, without holding up a runtime.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// Syncs these files, one after another: an outcome is never durable before the log that led to it.
///
/// With a tokio runtime it happens on a thread for such work, so that a slow disk holds up neither timers nor the logs
/// of other jobs; the syncs of many runs are under way at once, and the file system commits them together.
pub(in super::super) async fn sync(files: Vec<Arc<File>>) -> io::Result<()> {
    let all = move || files.iter().try_for_each(|file| file.sync_data());
    #[cfg(feature = "engine")]
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        return match runtime.spawn_blocking(all).await {
            Ok(synced) => synced,
            Err(_) => Err(io::Error::other("the runtime has stopped")),
        };
    }
    all()
}
