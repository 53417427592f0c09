//! What a stage does: `run`, `deploy`, `terraform` or `build-image`.

use super::super::env;
use super::super::findings::{Findings, list, shown};
use super::super::node::Node;
use super::super::shape::{self, Args, Field, Shape};
use super::super::values::{self, Bad};
use super::text;
use crate::pipeline::{
    Action, BuildImageAction, CanaryStep, Command, DeployAction, DeployStrategy, Origin, Origins, RunAction, Shell,
    TerraformAction, TerraformVerb,
};

const DEPLOY: Shape =
    Shape { args: Args::No, fields: &["service", "environment", "image"], nodes: &["strategy"], many: &[] };

const STRATEGY: Shape = Shape { args: Args::One("a strategy"), fields: &[], nodes: &["step"], many: &["step"] };

const STEP: Shape = Shape { args: Args::No, fields: &["weight", "pause"], nodes: &[], many: &[] };

const TERRAFORM: Shape = Shape { args: Args::No, fields: &["stack", "action"], nodes: &[], many: &[] };

const BUILD_IMAGE: Shape = Shape {
    args: Args::No,
    fields: &["dockerfile", "context", "tags", "target", "push"],
    nodes: &["args"],
    many: &["tags", "args"],
};

const VERBS: &[(&str, TerraformVerb)] =
    &[("plan", TerraformVerb::Plan), ("apply", TerraformVerb::Apply), ("destroy", TerraformVerb::Destroy)];

/// The actions of a stage as they are read; in the end there must be one.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// Each action, `None` where it could not be read, with its place.
    found: Vec<(Origin, Option<Action>)>,
    commands: Vec<Command>,
    shell: Option<(Origin, Shell)>,
}

impl Actions {
    /// Reads one of the nodes that are about the action.
    pub(crate) fn take(&mut self, node: Node<'_>, origins: &mut Origins, out: &mut Findings) {
        let action = match node.name() {
            "run" => return self.run(node, origins, out),
            "shell" => {
                if let Some(value) = super::single(node, "shell", "the name of a shell", origins, out) {
                    let program = value.parsed("bad-shell", values::filled, out);
                    self.shell = program.map(|program| (node.origin(), Shell::new(program)));
                }
                return;
            }
            "deploy" => deploy(node, origins, out).map(Action::Deploy),
            "terraform" => terraform(node, origins, out).map(Action::Terraform),
            _ => build_image(node, origins, out).map(Action::BuildImage),
        };
        self.found.push((node.origin(), action));
    }

    fn run(&mut self, node: Node<'_>, origins: &mut Origins, out: &mut Findings) {
        shape::check(node, &Shape::leaf(Args::Some("a command")), out);
        if self.commands.is_empty() {
            self.found.push((node.name_origin(), Some(Action::Run(RunAction::default()))));
        }
        for value in node.args() {
            origins.insert(format!("run[{}]", self.commands.len()), value.origin());
            // Kept as written: what looks like a reference of the older spelling may be the shell's own.
            let command = value.raw_text(out).unwrap_or_default();
            if command.contains('\0') {
                out.error("bad-command", value.origin(), "a command cannot hold a NUL");
            }
            self.commands.push(Command::new(command));
        }
    }

    /// The stage's only action; `misspelt` when the stage has a node that is not known.
    pub(crate) fn finish(self, stage: Node<'_>, misspelt: bool, out: &mut Findings) -> Option<Action> {
        let runs = !self.commands.is_empty();
        if let Some((origin, _)) = self.shell.as_ref().filter(|_| !runs) {
            out.warning("unused-shell", origin.clone(), "`shell` has no effect without `run`", "take it away");
        }
        let mut found = self.found.into_iter();
        let Some((first, action)) = found.next() else {
            // The node that is not known may well be the action.
            if misspelt {
                return None;
            }
            let help = format!("add one of {}", list(&["run", "deploy", "terraform", "build-image"]));
            let name = stage.arg().map_or_else(String::new, |name| format!(" `{}`", shown(name.written())));
            out.hinted("no-action", stage.origin(), format!("the stage{name} does nothing"), help);
            return None;
        };
        for (second, _) in found {
            let message = "a stage has one action";
            out.related("several-actions", second, message, (first.clone(), "its first action is here"));
        }
        match action? {
            Action::Run(_) => {
                let shell = self.shell.map(|(_, shell)| shell).unwrap_or_default();
                Some(Action::Run(RunAction { commands: self.commands, shell }))
            }
            other => Some(other),
        }
    }
}

/// A required text, as a property or a node.
fn required(
    node: Node<'_>,
    name: &'static str,
    part: &str,
    origins: &mut Origins,
    out: &mut Findings,
) -> Option<String> {
    match Field::one(node, name, out) {
        Some(value) => {
            origins.insert(format!("{part}.{name}"), value.origin());
            text(value, "bad-text", values::filled, out)
        }
        None => {
            if Field::all(node, name).next().is_none() {
                shape::missing(node, &[name], out);
            }
            None
        }
    }
}

fn optional(
    node: Node<'_>,
    name: &'static str,
    part: &str,
    read: fn(&str) -> Result<String, Bad>,
    origins: &mut Origins,
    out: &mut Findings,
) -> Option<String> {
    let value = Field::one(node, name, out)?;
    origins.insert(format!("{part}.{name}"), value.origin());
    text(value, "bad-text", read, out)
}

fn deploy(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<DeployAction> {
    shape::check(node, &DEPLOY, out);
    origins.insert("deploy", node.origin());
    let service = required(node, "service", "deploy", origins, out);
    let environment = required(node, "environment", "deploy", origins, out);
    let image = optional(node, "image", "deploy", values::filled, origins, out);
    let strategy = node.children().find(|child| child.name() == "strategy");
    let strategy = strategy.and_then(|child| strategy_of(child, origins, out)).unwrap_or_default();
    Some(DeployAction { service: service?, environment: environment?, image, strategy })
}

fn strategy_of(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<DeployStrategy> {
    shape::check(node, &STRATEGY, out);
    origins.insert("deploy.strategy", node.origin());
    let names = ["rolling", "recreate", "blue-green", "canary"];
    let words: Vec<(&str, usize)> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let chosen = node.arg()?.word(&words, out);
    let steps: Vec<Node<'_>> = node.children().filter(|child| child.name() == "step").collect();
    let strategy = match chosen? {
        0 => DeployStrategy::Rolling,
        1 => DeployStrategy::Recreate,
        2 => DeployStrategy::BlueGreen,
        _ => return canary(node, &steps, out),
    };
    if let Some(step) = steps.first() {
        out.error("unexpected-step", step.origin(), "only the strategy `canary` has steps");
    }
    Some(strategy)
}

fn canary(node: Node<'_>, steps: &[Node<'_>], out: &mut Findings) -> Option<DeployStrategy> {
    if steps.is_empty() {
        let help = "as in `strategy \"canary\" { step weight=10 pause=\"5m\" }`";
        out.hinted("missing-setting", node.origin(), "`canary` needs at least one `step`", help);
        return None;
    }
    let mut read = Vec::new();
    for step in steps {
        shape::check(*step, &STEP, out);
        let Some(value) = Field::one(*step, "weight", out) else {
            shape::missing(*step, &["weight"], out);
            continue;
        };
        let weight = value.whole(1, out).unwrap_or(1);
        let Some(weight) = u8::try_from(weight).ok().filter(|weight| *weight <= 100) else {
            out.error("bad-weight", value.origin(), "a weight is a share in percent, from 1 to 100");
            continue;
        };
        let pause = Field::one(*step, "pause", out);
        let pause = pause.and_then(|value| value.parsed("bad-duration", values::duration, out));
        if read.last().is_some_and(|before: &CanaryStep| before.weight >= weight) {
            let help = "each step gives the new release more than the one before it";
            out.hinted("bad-weight", value.origin(), "the weights do not grow", help);
        }
        read.push(CanaryStep { weight, pause });
    }
    Some(DeployStrategy::Canary(read))
}

fn terraform(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<TerraformAction> {
    shape::check(node, &TERRAFORM, out);
    origins.insert("terraform", node.origin());
    let stack = required(node, "stack", "terraform", origins, out);
    let verb = match Field::one(node, "action", out) {
        Some(value) => value.word(VERBS, out),
        None => {
            shape::missing(node, &["action"], out);
            None
        }
    };
    Some(TerraformAction { stack: stack?, verb: verb? })
}

fn build_image(node: Node<'_>, origins: &mut Origins, out: &mut Findings) -> Option<BuildImageAction> {
    shape::check(node, &BUILD_IMAGE, out);
    origins.insert("build-image", node.origin());
    let part = "build-image";
    let mut build = BuildImageAction {
        dockerfile: optional(node, "dockerfile", part, values::path, origins, out),
        context: optional(node, "context", part, values::path, origins, out),
        target: optional(node, "target", part, values::filled, origins, out),
        push: Field::flag(node, "push", out),
        ..BuildImageAction::default()
    };
    for value in Field::many(node, "tags", out) {
        if let Some(tag) = text(value, "bad-text", values::filled, out) {
            origins.insert(format!("{part}.tags[{}]", build.tags.len()), value.origin());
            build.tags.push(tag);
        }
    }
    let mut earlier = env::Earlier::new();
    for child in node.children().filter(|child| child.name() == "args") {
        env::decode(child, "build-image.args", &mut earlier, &mut build.args, origins, out);
    }
    if build.push && build.tags.is_empty() {
        let help = "name the image: `tags \"registry.example/shop:1.0\"`";
        out.hinted("missing-setting", node.origin(), "an image without a tag cannot be pushed", help);
    }
    Some(build)
}
