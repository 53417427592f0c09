//! `buildit init`.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use buildit::config::{self, Options};
use buildit_executors::source::Source;

use crate::args::{DEFAULT_FILE, InitArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::init::detect;
use crate::look::Look;
use crate::out::Out;
use crate::report::Mark;
use crate::text::clean;
use crate::{source, whole};

pub(crate) async fn init(args: &InitArgs, look: Look) -> Outcome {
    let folder = args
        .dir
        .canonicalize()
        .map_err(|error| Failure::usage(format!("cannot look at {}: {error}", args.dir.display())))?;
    let name = folder.file_name().map_or_else(|| "pipeline".into(), |name| name.to_string_lossy().into_owned());
    let files = known(&folder).await;
    let is_source = |file: &str| files.as_ref().is_none_or(|files| files.contains(Path::new(file)));
    let draft = detect(&folder, is_source, &name, &branch(&folder));
    let text = draft.text();
    // What is written must be valid whatever the folder is named; anything else is a mistake of ours, told as one.
    config::parse(DEFAULT_FILE, &text, &Options::default()).map_err(Failure::refused)?;
    let file = args.dir.join(DEFAULT_FILE);
    let write = if args.force && file.exists() { whole::replace } else { whole::create };
    write(&file, &text).map_err(|error| {
        Failure::usage(match error.kind() {
            ErrorKind::AlreadyExists => format!("{} is there already; --force replaces it", file.display()),
            _ => format!("cannot write {}: {error}", file.display()),
        })
    })?;
    let found = if draft.found.is_empty() { "nothing that it knows".into() } else { draft.found.join(", ") };
    let stages: Vec<&str> = draft.stages.iter().map(|stage| stage.name.as_str()).collect();
    let mut out = Out::stdout();
    let theme = look.stdout();
    out.line(&format!(
        "{}{} from {found}: {}",
        theme.shape(Mark::Succeeded),
        clean(&file.display().to_string()),
        stages.join(", ")
    ));
    out.line(&format!("  {}", theme.faint("next: buildit run")));
    Ok(Exit::Succeeded)
}

/// The files that git has or would take. `None` outside of a repository, where all are part of the source, and where
/// git cannot be asked: a first pipeline is of use then, too.
async fn known(folder: &Path) -> Option<HashSet<PathBuf>> {
    source::repository(folder)?;
    let source = Source::open(folder, &[]).await.ok()?;
    Some(source.files().iter().cloned().collect())
}

/// The branch that is worked on here, or `main`. Read from the repository's own file: it may have no commit yet.
fn branch(folder: &Path) -> String {
    let head = source::repository(folder)
        .and_then(|root| std::fs::read_to_string(source::git_folder(&root).join("HEAD")).ok());
    head.as_deref().and_then(|head| head.trim().strip_prefix("ref: refs/heads/")).unwrap_or("main").to_owned()
}
