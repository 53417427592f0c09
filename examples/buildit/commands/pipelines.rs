//! `buildit pipelines`.

use crate::args::{DataOutput, PipelinesArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::remote::{Client, Pipeline};
use crate::report::Mark;
use crate::text::{clean, fit_middle, pad, width};

/// How wide a name is shown at most.
const NAME: usize = 40;

pub(crate) async fn pipelines(args: PipelinesArgs, look: Look) -> Outcome {
    let client = Client::open(&args.server.server()?)?;
    let query: Vec<_> = args.search.iter().map(|text| ("search", text.as_str())).collect();
    let found: Vec<Pipeline> = client.list(&["pipelines"], &query, args.limit).await?;
    let mut out = Out::stdout();
    match args.output {
        DataOutput::Json => {
            for pipeline in &found {
                out.line(&serde_json::to_string(pipeline).map_err(Failure::backend)?);
            }
        }
        DataOutput::Human if found.is_empty() => Out::stderr().line("there are no pipelines on this server"),
        DataOutput::Human => {
            let theme = look.stdout();
            let name = |pipeline: &Pipeline| fit_middle(&clean(&pipeline.name), NAME);
            let columns = found.iter().map(|pipeline| width(&name(pipeline))).max().unwrap_or_default();
            for pipeline in &found {
                let name = theme.strong(&pad(&name(pipeline), columns));
                let (shape, last) = match &pipeline.last_run {
                    Some(run) => {
                        let mark = Mark::of_run(run.status);
                        let made = run.created_at.strftime("%Y-%m-%d %H:%M");
                        let status = theme.mark(mark, &pad(run.status.as_str(), 9));
                        (theme.shape(mark), format!("#{}  {status}  {made}", run.number))
                    }
                    None => (theme.shape(Mark::Queued), theme.faint("no runs")),
                };
                out.line(&format!("{shape}{name}  {last}"));
            }
        }
    }
    Ok(Exit::Succeeded)
}
