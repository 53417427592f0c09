//! `buildit trigger`, and `buildit rerun` on a server: runs that go on there.

use buildit::store::RunSummary;
use indexmap::IndexMap;
use reqwest::Method;
use serde::Serialize;

use super::super::kept::find;
use super::super::runs;
use super::session::Session;
use crate::args::{RerunArgs, RunOutput, TriggerArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::{Client, RemoteRecords, RunLine, body, named, nothing};
use crate::session::Signals;
use crate::text::clean;

/// What a run is started with.
#[derive(Serialize)]
struct Trigger<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    params: IndexMap<&'a str, &'a str>,
}

/// `buildit trigger`.
pub(crate) async fn trigger(args: TriggerArgs, look: Look) -> Outcome {
    let records = RemoteRecords::new(Client::open(&args.server.server()?)?);
    let pipeline = named(records.client(), &args.pipeline).await?;
    let trigger = Trigger {
        branch: args.branch.as_deref(),
        commit: args.commit.as_deref(),
        params: args.params.iter().map(|param| (&*param.name, &*param.value)).collect(),
    };
    let key: Vec<_> = args.idempotency_key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
    let path = ["pipelines", &pipeline.id, "runs"];
    // Before there is a run: from here on a signal cancels it.
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let made: RunLine = records.client().ask(Method::POST, &path, &key, body(&trigger)?).await?;
    if args.wait {
        return Session::again(args.given(), look)?.watch(&records, made.id, &mut signals).await;
    }
    let run = RunSummary::from(made);
    let mut out = Out::stdout();
    match args.output {
        Some(RunOutput::Json) => out.line(&runs::line(&run)?),
        _ => out.line(&format!("{} #{}  {}", clean(&run.pipeline), run.number, run.id)),
    }
    Ok(Exit::Succeeded)
}

/// `buildit rerun` on a server: the run is followed, as one that goes on here is.
pub(super) async fn rerun(server: &str, args: RerunArgs, look: Look) -> Outcome {
    if !args.given.secrets.is_empty() || !args.given.secret_files.is_empty() {
        return Err(Failure::usage("a run on a server has the secrets that the server keeps: `buildit secrets set`"));
    }
    let records = RemoteRecords::new(Client::open(server)?);
    let run = find(&records, &args.run).await?.to_string();
    let way = if args.from_failed { "rerun-from-failed" } else { "rerun" };
    let mut signals = Signals::open().map_err(Failure::backend)?;
    let made: RunLine = records.client().ask(Method::POST, &["runs", &run, way], &[], nothing()).await?;
    Session::again(args.given, look)?.watch(&records, made.id, &mut signals).await
}
