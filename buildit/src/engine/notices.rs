//! What people are told of a run that its record cannot tell: that it waits for something outside of it, which may be
//! the record itself.

use std::error::Error;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::bus::RunBus;

/// What keeps a run waiting, if something does. Many calls fail of one cause, so those that overlap are one trouble
/// and give one notice.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// How many calls wait now.
    waiting: usize,
    /// How many troubles there were.
    count: u64,
    /// What the last one began with.
    text: Arc<str>,
}

/// A call that is made again until it succeeds or nobody has patience any more.
#[derive(Debug)]
pub(super) struct Waiting(Arc<RunBus>);

impl Waiting {
    /// Tells of a call that failed, unless another one waits already.
    pub(super) fn tell(bus: &Arc<RunBus>, text: impl FnOnce() -> String) -> Self {
        bus.trouble.send_if_modified(|trouble| {
            trouble.waiting += 1;
            let is_new = trouble.waiting == 1;
            if is_new {
                trouble.count += 1;
                trouble.text = text().into();
            }
            is_new
        });
        Self(Arc::clone(bus))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.trouble.send_if_modified(|trouble| {
            trouble.waiting -= 1;
            false
        });
    }
}

/// The notices from now on, and that of a trouble that is not over, until the driver ends.
pub(super) fn notices(bus: &RunBus) -> BoxStream<'static, Arc<str>> {
    let (trouble, ended) = (bus.trouble.subscribe(), bus.ended.subscribe());
    let told = {
        let trouble = trouble.borrow();
        trouble.count - u64::from(trouble.waiting > 0)
    };
    stream::unfold((trouble, ended, told), |(mut trouble, mut ended, told)| async move {
        let (count, text) = next(&mut trouble, &mut ended, told).await?;
        Some((text, (trouble, ended, count)))
    })
    // A reader of several streams asks again after the end of one.
    .fuse()
    .boxed()
}

async fn next<T>(
    trouble: &mut watch::Receiver<Trouble>,
    ended: &mut watch::Receiver<Option<T>>,
    told: u64,
) -> Option<(u64, Arc<str>)> {
    tokio::select! {
        biased;
        found = trouble.wait_for(|trouble| trouble.count > told) => {
            let found = found.ok()?;
            Some((found.count, Arc::clone(&found.text)))
        }
        _ = ended.wait_for(Option::is_some) => None,
    }
}

/// An error with all that it goes back to.
pub(super) fn described(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
