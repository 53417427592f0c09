//! `buildit graph`.

use crate::args::{GraphArgs, GraphFormat};
use crate::diagnostics::Teller;
use crate::exit::{Exit, Failure, Outcome};
use crate::look::Look;
use crate::out::Out;
use crate::{graph as draw, pipelines};

pub(crate) fn graph(args: GraphArgs, look: Look) -> Outcome {
    let compiled = pipelines::compile(&pipelines::file(args.file), Teller::Human(look.stderr()))?;
    let (spec, graph) = (compiled.plan.spec(), compiled.plan.graph());
    let text = match args.format {
        GraphFormat::Text => draw::text(&graph.layout(spec)),
        GraphFormat::Dot => graph.to_dot(spec),
        GraphFormat::Mermaid => graph.to_mermaid(spec),
        GraphFormat::Svg => draw::svg(&graph.layout(spec)),
        GraphFormat::Json => serde_json::to_string(&graph.layout(spec)).map_err(Failure::refused)? + "\n",
    };
    Out::stdout().text(&text);
    Ok(Exit::Succeeded)
}
