//! `buildit fmt`.

use std::path::Path;

use buildit::config::{self, FormatError};

use crate::args::FmtArgs;
use crate::diagnostics::Teller;
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::pipelines;
use crate::text::clean;
use crate::whole;

pub(crate) fn fmt(args: FmtArgs, look: Look) -> Outcome {
    let mut exit = Exit::Succeeded;
    for file in pipelines::files(args.files) {
        let done = one(&file, args.check, look);
        exit = exit.worst(match done {
            Ok(exit) => exit,
            Err(failure) => {
                if let Failure::Refused(error) | Failure::Backend(error) = &failure {
                    Out::stderr().line(&clean(&format!("{}: {error:#}", file.display())));
                }
                failure.exit()
            }
        });
    }
    Ok(exit)
}

fn one(file: &Path, check: bool, look: Look) -> Outcome {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(Failure::refused)?;
    let formatted = config::format(&name, &text).map_err(|error| match error {
        FormatError::Invalid(invalid) => {
            Teller::Human(look.stderr()).tell(&invalid.diagnostics, &invalid.sources, &name);
            Failure::Told
        }
        other => Failure::refused(other),
    })?;
    if formatted == text {
        return Ok(Exit::Succeeded);
    }
    if check {
        Out::stdout().line(&clean(&name));
        return Ok(Exit::Failed);
    }
    whole::replace(file, &formatted).map_err(Failure::refused)?;
    Out::stdout().line(&clean(&name));
    Ok(Exit::Succeeded)
}
