//! `buildit validate`.

use crate::args::{DataOutput, ValidateArgs};
use crate::exit::{Exit, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::pipelines;
use crate::report::Mark;
use crate::text::clean;

pub(crate) fn validate(args: ValidateArgs, look: Look) -> Outcome {
    let teller = args.output.teller(look);
    let mut exit = Exit::Succeeded;
    for file in pipelines::files(args.files) {
        match pipelines::compile(&file, teller) {
            Ok(compiled) if args.output == DataOutput::Human => {
                let stages = compiled.plan.spec().stages.len();
                let plural = if stages == 1 { "" } else { "s" };
                let mark = look.stdout().shape(Mark::Succeeded);
                Out::stdout().line(&format!("{mark}{}: {stages} stage{plural}", clean(&file.display().to_string())));
            }
            Ok(_) => {}
            Err(failure) => exit = exit.worst(failure.exit()),
        }
    }
    Ok(exit)
}
