//! Webhooks of Gitea, Forgejo and Gogs, which speak much as GitHub does.

use super::event::{ForgeEvent, Unreadable, body};
use super::github::{OfRequest, Push, deleted};

pub(super) fn read(name: &str, raw: &[u8]) -> Result<ForgeEvent, Unreadable> {
    match name {
        "push" => body::<Push>(raw)?.event(),
        // A new head has an event of its own in later versions, with the same body.
        "pull_request" | "pull_request_sync" => {
            body::<OfRequest>(raw)?.event(&["opened", "reopened", "synchronized", "synchronize"])
        }
        "delete" => deleted(raw),
        "create" => Ok(ForgeEvent::ignored("a push tells of the same")),
        other => Ok(ForgeEvent::ignored(format!("`{other}` starts nothing"))),
    }
}
