//! Asks a person at the terminal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use buildit::event::Approval;
use buildit::pipeline::ApprovalField;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::Answers;
use crate::out::Out;
use crate::report::{Mark, Theme};
use crate::text::{clean, width, wrap};

/// A question that is on the terminal. Dropping it takes the question back.
#[derive(Debug)]
pub(crate) struct Asked {
    answer: JoinHandle<Option<Approval>>,
    /// Whether a prompt stands there whose line nobody has ended.
    is_prompting: Arc<AtomicBool>,
}

impl Asked {
    /// The answer; `None` when the terminal is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; what was typed so far is kept.
    pub(crate) async fn answer(&mut self) -> Option<Approval> {
        (&mut self.answer).await.ok().flatten()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer.abort();
        // What is printed next begins a line of its own.
        if self.is_prompting.load(Ordering::Relaxed) {
            Out::stderr().line("");
        }
    }
}

/// Asks whether a stage may go on, and for its fields.
pub(crate) fn ask(stage: &str, message: &str, fields: &[ApprovalField], answers: &Answers, theme: Theme) -> Asked {
    let columns = console::Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns));
    let head = format!("{stage} waits for approval");
    let mut title: Vec<String> = wrap(&head, columns.saturating_sub(3))
        .iter()
        .zip(std::iter::once(theme.shape(Mark::Waiting)).chain(std::iter::repeat("  ".to_owned())))
        .map(|(line, before)| format!("{before}{}", theme.strong(line)))
        .collect();
    // What is asked when a pipeline says nothing is said already.
    if message != format!("Approve `{stage}`?") {
        title.extend(indented(&clean(message), columns));
    }
    let title = title.join("\n");
    let (fields, answers, lines) = (fields.to_vec(), answers.clone(), typed());
    let is_prompting = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_prompting);
    let answer = tokio::spawn(async move {
        let mut lines = lines.lock().await;
        let mut person = Person { lines: &mut lines, out: Out::stderr(), columns, is_prompting: seen };
        converse(&title, &fields, &answers, &mut person).await
    });
    Asked { answer, is_prompting }
}

/// Text below a question.
fn indented(text: &str, columns: usize) -> impl Iterator<Item = String> {
    wrap(text, columns.saturating_sub(3)).into_iter().map(|line| format!("  {line}"))
}

/// What is typed, line by line.
struct Typed {
    wanted: std::sync::mpsc::Sender<()>,
    lines: UnboundedReceiver<String>,
    /// Whether a line is wanted that has not come.
    open: bool,
}

impl Typed {
    /// The next line; `None` when the terminal is closed.
    async fn line(&mut self) -> Option<String> {
        if !self.open {
            self.wanted.send(()).ok()?;
            self.open = true;
        }
        let line = self.lines.recv().await;
        self.open = false;
        line
    }
}

/// Reading a terminal cannot be broken off, so one thread does it for the whole life of the process, and a question
/// that is taken back leaves nobody behind who swallows the next answer. It reads only what was asked for: a shell
/// that is opened later reads the same terminal.
fn typed() -> Arc<Mutex<Typed>> {
    static TYPED: OnceLock<Arc<Mutex<Typed>>> = OnceLock::new();
    Arc::clone(TYPED.get_or_init(|| {
        let (wanted, wants) = std::sync::mpsc::channel();
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            let mut typed = std::io::stdin().lines();
            while let (Ok(()), Some(Ok(line))) = (wants.recv(), typed.next()) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Arc::new(Mutex::new(Typed { wanted, lines, open: false }))
    }))
}

/// Where questions are put.
struct Person<'a> {
    lines: &'a mut Typed,
    out: Out,
    /// How wide the terminal is.
    columns: usize,
    is_prompting: Arc<AtomicBool>,
}

impl Person<'_> {
    async fn answer(&mut self, prompt: &str) -> Option<String> {
        self.is_prompting.store(true, Ordering::Relaxed);
        self.out.text(prompt);
        let line = self.lines.line().await?;
        self.is_prompting.store(false, Ordering::Relaxed);
        Some(line.trim().to_owned())
    }
}

async fn converse(
    title: &str,
    fields: &[ApprovalField],
    answers: &Answers,
    person: &mut Person<'_>,
) -> Option<Approval> {
    person.out.line(title);
    loop {
        match person.answer("  Approve? [y/n] ").await?.to_lowercase().as_str() {
            "y" | "yes" => break,
            "n" | "no" => return Some(Approval::no(answers.by())),
            _ => {}
        }
    }
    let mut approval = Approval::yes(answers.by());
    for field in fields {
        let value = fill_in(field, answers.field(field), person).await?;
        approval = approval.with_field(&field.name, value);
    }
    Some(approval)
}

/// The room that an answer should have beside its question; otherwise what describes the field goes above it.
const ANSWER: usize = 20;

/// Asks for a field until the answer is allowed.
async fn fill_in(field: &ApprovalField, default: Option<&str>, person: &mut Person<'_>) -> Option<String> {
    let described = field.description.as_ref().map(|text| clean(text)).unwrap_or_default();
    let mut hint = if described.is_empty() { String::new() } else { format!(", {described}") };
    let choices =
        if field.choices.is_empty() { String::new() } else { format!(" ({})", clean(&field.choices.join(", "))) };
    let preset = default.map(|default| format!(" [{}]", clean(default))).unwrap_or_default();
    if width(&format!("  {}{hint}{choices}{preset}: ", field.name)) + ANSWER > person.columns {
        indented(&described, person.columns).for_each(|line| person.out.line(&line));
        hint.clear();
    }
    loop {
        let answer = person.answer(&format!("  {}{hint}{choices}{preset}: ", field.name)).await?;
        let value = if answer.is_empty() { default.unwrap_or_default() } else { &answer };
        if field.required && value.is_empty() {
            person.out.line("  it must not be empty");
        } else if !field.choices.is_empty() && !value.is_empty() && !field.choices.iter().any(|choice| choice == value)
        {
            person.out.line("  it must be one of the choices");
        } else {
            return Some(value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Page;

    fn fields() -> Vec<ApprovalField> {
        vec![
            ApprovalField {
                name: "note".into(),
                required: true,
                description: Some("why now".into()),
                ..Default::default()
            },
            ApprovalField {
                name: "speed".into(),
                choices: vec!["slow".into(), "fast".into()],
                default: Some("slow".into()),
                ..Default::default()
            },
        ]
    }

    async fn talk(answers: &[&str]) -> (Option<Approval>, String) {
        let (sender, lines) = unbounded_channel();
        let (wanted, _wants) = std::sync::mpsc::channel();
        answers.iter().for_each(|answer| sender.send((*answer).to_owned()).unwrap());
        drop(sender);
        let page = Page::default();
        let mut lines = Typed { wanted, lines, open: false };
        let mut person = Person { lines: &mut lines, out: page.out(), columns: 80, is_prompting: Arc::default() };
        let approval = converse("ship waits for approval", &fields(), &Answers::default(), &mut person).await;
        // What a person types ends the line; here nobody types.
        (approval, page.text().replace("] ", "]\n").replace(": ", ":\n"))
    }

    #[tokio::test]
    async fn fields_are_asked_for_until_they_are_right() {
        let (approval, said) = talk(&["maybe", "y", "", "it is time", "quick", ""]).await;
        assert_eq!(approval, Some(Approval::yes("").with_field("note", "it is time").with_field("speed", "slow")));
        insta::assert_snapshot!(said);
    }

    #[tokio::test]
    async fn a_no_asks_nothing_more_and_a_closed_terminal_is_no_answer() {
        assert_eq!(talk(&["n"]).await.0, Some(Approval::no("")));
        assert_eq!(talk(&["y"]).await.0, None);
    }
}
