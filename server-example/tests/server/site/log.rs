//! What a server writes to its log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

/// One that is kept, whole.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What is written by this thread.
    pub(crate) fn here() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let written = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(written))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// The path of the last link below this one, once there is one.
    pub(crate) async fn link(&self, path: &str) -> String {
        loop {
            let text = self.text();
            if let Some(at) = text.rfind(&format!("/{path}/{path}_")) {
                let rest = &text[at..];
                let is_of_link = |character: char| character.is_ascii_alphanumeric() || "/_-".contains(character);
                return rest[..rest.find(|character| !is_of_link(character)).unwrap()].to_owned();
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
