//! What is told, in the words of each kind of channel.

use buildit::id::NotificationId;
use buildit::store::{Notification, Occasion};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::view::words;

/// What is told of a run, as it was when that was noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// Of what it tells; none for a try-out.
    pub(crate) occasion: Option<Occasion>,
    pub(crate) pipeline: String,
    pub(crate) number: u64,
    pub(crate) run: Option<Uuid>,
    /// The run's page.
    pub(crate) url: String,
    pub(crate) branch: String,
    pub(crate) commit: String,
    /// The first line of the commit's message.
    pub(crate) message: String,
    pub(crate) author: String,
    /// How long the run took, once it has ended.
    pub(crate) seconds: Option<u64>,
    /// The stage that waits, and what it asks.
    pub(crate) stage: Option<String>,
    pub(crate) question: Option<String>,
    pub(crate) time: Timestamp,
}

impl Notice {
    /// What tries a channel out.
    pub(crate) fn try_out(channel: &str, url: String, time: Timestamp) -> Self {
        Self {
            occasion: None,
            pipeline: channel.to_owned(),
            number: 0,
            run: None,
            url,
            branch: String::new(),
            commit: String::new(),
            message: String::new(),
            author: String::new(),
            seconds: None,
            stage: None,
            question: None,
            time,
        }
    }

    /// As it is kept.
    pub(crate) fn into_kept(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(kept)) => kept,
            // Its fields are texts, numbers and times.
            _ => Map::new(),
        }
    }

    /// What was kept.
    pub(crate) fn of_kept(kept: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        serde_json::from_value(Value::Object(kept.clone()))
    }

    /// One line.
    pub(crate) fn title(&self) -> String {
        let Self { pipeline, number, branch, .. } = self;
        let on = if branch.is_empty() { String::new() } else { format!(" on {branch}") };
        let stage = self.stage.as_deref().unwrap_or_default();
        match self.occasion {
            None => format!("A try-out of the channel {pipeline}"),
            Some(Occasion::Failed) => format!("{pipeline} #{number} failed{on}"),
            Some(Occasion::Fixed) => format!("{pipeline} #{number} is fixed{on}"),
            Some(Occasion::Succeeded) => format!("{pipeline} #{number} succeeded{on}"),
            Some(Occasion::Cancelled) => format!("{pipeline} #{number} was cancelled{on}"),
            Some(Occasion::Waiting) => format!("{pipeline} #{number} waits for approval of {stage}{on}"),
            Some(other) => format!("{pipeline} #{number}: {other}{on}"),
        }
    }

    /// What else there is to say, a line for each thing.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.question.clone().filter(|question| !question.is_empty()));
        if !self.message.is_empty() {
            let author = if self.author.is_empty() { String::new() } else { format!(" ({})", self.author) };
            lines.push(format!("{}{author}", self.message));
        }
        if !self.commit.is_empty() {
            lines.push(format!("Commit {}", self.commit.chars().take(12).collect::<String>()));
        }
        lines.extend(self.seconds.map(|seconds| format!("Took {}", words::duration(seconds.saturating_mul(1000)))));
        lines
    }

    /// The text of a mail.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.title());
        for line in self.lines() {
            text.push_str(&format!("\n{line}"));
        }
        text.push_str(&format!("\n\n{}\n", self.url));
        text
    }

    /// What Slack is sent.
    pub(crate) fn slack(&self) -> Value {
        let mut text = format!("<{}|{}>", escaped(&self.url), escaped(&self.title()));
        for line in self.lines() {
            text.push_str(&format!("\n> {}", escaped(&line)));
        }
        json!({ "text": text, "unfurl_links": false })
    }

    /// The word for what happened, for programs.
    pub(crate) fn event(&self) -> String {
        self.occasion.map_or_else(|| "test".to_owned(), |occasion| format!("run.{occasion}"))
    }

    /// What a webhook is sent, for programs.
    pub(crate) fn json(&self, id: NotificationId) -> Value {
        let run = self.run.map(|run| {
            json!({
                "id": run,
                "pipeline": self.pipeline,
                "number": self.number,
                "url": self.url,
                "branch": self.branch,
                "commit": self.commit,
                "message": self.message,
                "author": self.author,
                "seconds": self.seconds,
            })
        });
        let stage = self.stage.as_ref().map(|name| json!({ "name": name, "message": self.question }));
        json!({ "id": id, "event": self.event(), "title": self.title(), "time": self.time, "run": run, "stage": stage })
    }
}

impl TryFrom<&Notification> for Notice {
    type Error = serde_json::Error;

    fn try_from(notification: &Notification) -> Result<Self, serde_json::Error> {
        Self::of_kept(&notification.message)
    }
}

/// A text in which nothing means something to Slack: no link, no mention of everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\u{2758}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            occasion: Some(Occasion::Failed),
            pipeline: "shop <!channel>".into(),
            number: 12,
            run: Some(Uuid::nil()),
            url: "https://ci.example.com/acme/main/pipelines/shop/runs/12".into(),
            branch: "main".into(),
            commit: "0123456789abcdef0123".into(),
            message: "Sell & ship".into(),
            author: "Ada".into(),
            seconds: Some(75),
            ..Notice::try_out("", String::new(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn slack_is_told_in_its_own_words_and_no_more() {
        let text = notice().slack()["text"].as_str().unwrap().to_owned();
        let expected = "<https://ci.example.com/acme/main/pipelines/shop/runs/12|shop &lt;!channel&gt; #12 failed on main>\n\
            > Sell &amp; ship (Ada)\n> Commit 0123456789ab\n> Took 1 m 15 s";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_mail_has_all_of_it_and_the_link() {
        let expected = "shop <!channel> #12 failed on main\n\nSell & ship (Ada)\nCommit 0123456789ab\nTook 1 m 15 s\n\n\
            https://ci.example.com/acme/main/pipelines/shop/runs/12\n";
        assert_eq!(notice().text(), expected);
    }

    #[test]
    fn what_is_kept_is_what_is_told() {
        let waits = Notice {
            occasion: Some(Occasion::Waiting),
            stage: Some("deploy".into()),
            question: Some("Go?".into()),
            ..notice()
        };
        let kept = Notice::of_kept(&waits.clone().into_kept()).unwrap();
        assert_eq!(kept, waits);
        let told = kept.json(Uuid::nil().into());
        assert_eq!(told["event"], "run.waiting");
        assert_eq!(told["stage"], json!({ "name": "deploy", "message": "Go?" }));
        assert_eq!(told["run"]["number"], 12);
        assert_eq!(kept.title(), "shop <!channel> #12 waits for approval of deploy on main");
    }
}
