//! The stored log of a stage, read back after the clock has stopped: a bench of logs that lost one would be quick.

use buildit::id::{JobId, RunId};
use buildit::job::Stream;
use buildit::memory::MemoryStore;
use buildit::store::LogStore;

/// How much is read at once.
const PAGE: usize = 4 * 1024 * 1024;

/// Calls `each` with every line of standard output of a stage's first attempt, in order, without its line end.
///
/// # Panics
///
/// When the store cannot be read.
#[expect(clippy::expect_used, reason = "a bench stops when it cannot measure")]
pub async fn each_line(store: &MemoryStore, run: RunId, stage: &str, mut each: impl FnMut(&[u8])) {
    let job = JobId { run, stage: stage.into(), attempt: 1 };
    let mut after = 0;
    loop {
        let page = store.read_log(&job, after, PAGE).await.expect("the log is read");
        let Some(last) = page.chunks.last() else { return };
        after = last.last_line();
        for chunk in page.chunks.iter().filter(|chunk| chunk.stream == Stream::Stdout) {
            chunk.text.strip_suffix(b"\n").unwrap_or(&chunk.text).split(|byte| *byte == b'\n').for_each(&mut each);
        }
    }
}
