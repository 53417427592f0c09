//! What a run is started with, from the arguments and the repository.

use buildit::pipeline::RunContext;
use buildit::plan::Plan;
use buildit_executors::source::{Base, Source};
use indexmap::IndexMap;

use super::env_file;
use crate::args::{ContextArgs, Pair};
use crate::exit::Failure;

/// The context of a run of this source with these arguments.
pub(crate) async fn context(args: &ContextArgs, source: &Source, plan: &Plan) -> Result<RunContext, Failure> {
    let mut git = source.git().clone();
    let set = |value: &mut String, given: &Option<String>| {
        if let Some(given) = given {
            value.clone_from(given);
        }
    };
    set(&mut git.branch, &args.branch);
    set(&mut git.tag, &args.tag);
    set(&mut git.sha, &args.sha);
    set(&mut git.message, &args.message);
    if let Some(tag) = &args.tag {
        git.reference = format!("refs/tags/{tag}");
    } else if let Some(branch) = &args.branch {
        git.reference = format!("refs/heads/{branch}");
    }
    // What a push from here would bring; for anything else there is no base to compare with.
    let changes = match args.event.as_str() {
        "push" => source.changes(&Base::Upstream).await.map_err(Failure::refused)?,
        _ => None,
    };
    let globs = plan.checksums().into_iter().collect();
    Ok(RunContext {
        event: args.event.clone(),
        git,
        params: map(&args.params),
        env: environment(args)?,
        custom: map(&args.custom),
        changes,
        checksums: source.checksums(globs).await.map_err(Failure::refused)?,
        only: args.stages.clone(),
        ..RunContext::default()
    })
}

fn map(pairs: &[Pair]) -> IndexMap<String, String> {
    pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect()
}

/// The variables of the files, in their order, and of `--env`, which wins.
fn environment(args: &ContextArgs) -> Result<IndexMap<String, String>, Failure> {
    let mut variables = IndexMap::new();
    for path in &args.env_files {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("--env-file: cannot read {shown}: {error}")))?;
        let read = env_file::parse(&text)
            .map_err(|(line, reason)| Failure::usage(format!("--env-file: {shown}, line {line}: {reason}")))?;
        variables.extend(read);
    }
    variables.extend(map(&args.env));
    Ok(variables)
}
