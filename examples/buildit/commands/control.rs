//! `buildit approve` and `buildit cancel`: what is asked of a run on a server.

use reqwest::Method;

use super::kept::find;
use crate::args::{ApproveArgs, CancelArgs, Pair};
use crate::exit::{Exit, Outcome};
use crate::remote::{Client, RemoteRecords, answer, nothing};

pub(crate) async fn approve(args: ApproveArgs) -> Outcome {
    let records = RemoteRecords::new(Client::open(&args.server.server()?)?);
    let run = find(&records, &args.run).await?.to_string();
    let way = if args.reject { "reject" } else { "approve" };
    let fields = args.fields.into_iter().map(|Pair { name, value }| (name, value)).collect();
    let body = answer(&args.stage, &fields)?;
    records.client().tell(Method::POST, &["runs", &run, way], body).await?;
    Ok(Exit::Succeeded)
}

pub(crate) async fn cancel(args: CancelArgs) -> Outcome {
    let records = RemoteRecords::new(Client::open(&args.server.server()?)?);
    let run = find(&records, &args.run).await?.to_string();
    records.client().tell(Method::POST, &["runs", &run, "cancel"], nothing()).await?;
    Ok(Exit::Succeeded)
}
