//! What can be told about a pipeline's texts before a run; scripts are compiled on the way.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;

use super::environment;
use super::findings::Findings;
use super::stages::StageUse;
use super::texts::{self, Treatment};
use crate::condition;
use crate::diagnostic::Diagnostic;
use crate::pipeline::{Action, Command, PipelineSpec, RunAction, StageSpec};
use crate::variables::shell::{self, Placed, Placement, Refusal};
use crate::variables::{
    NameError, Names, PieceKind, Place, Reference, StageNames, Variable, closest, may_refer, pieces,
};

/// Checks every text of a pipeline, in one pass over its stages.
#[derive(Debug)]
pub(super) struct Checker<'p> {
    spec: &'p PipelineSpec,
    /// Stages whose scripts were compiled, by their place.
    pub(super) compiled: Vec<(usize, Arc<StageSpec>)>,
    /// What is read of other stages, for the graph to check.
    pub(super) uses: Vec<StageUse>,
    /// The names of `custom.NAME` that have no default.
    pub(super) customs: BTreeSet<String>,
}

impl<'p> Checker<'p> {
    pub(super) fn new(spec: &'p PipelineSpec) -> Self {
        Self { spec, compiled: Vec::new(), uses: Vec::new(), customs: BTreeSet::new() }
    }

    pub(super) fn check(&mut self, out: &mut Findings) {
        let names = Names::new(self.spec);
        self.check_pipeline(&names, out);
        for (index, stage) in self.spec.stages.iter().enumerate() {
            self.check_stage(index, stage, &names, out);
        }
    }

    fn check_pipeline(&mut self, names: &Names<'p>, out: &mut Findings) {
        let spec = self.spec;
        environment::check_pipeline(spec, out);
        let names = names.of(None);
        let env = spec.env.iter().enumerate();
        let env = env.map(|(position, (name, text))| (format!("env.{name}"), Place::PipelineEnv(position), text));
        let group = spec.concurrency.iter().map(|group| ("concurrency".to_owned(), Place::Concurrency, &group.group));
        for (path, place, text) in env.chain(group) {
            let customs = &mut self.customs;
            let mut note = |variable: &Variable, _| {
                if let Variable::Custom(name) = variable {
                    customs.insert(name.clone());
                }
            };
            for (range, error) in problems(text, place, &names, &mut note) {
                out.pipeline(spec, path.clone(), Some(range), error.into());
            }
        }
        let fixed = spec.params.iter().flat_map(|param| {
            param.choices.iter().chain(&param.default).map(move |text| (format!("params.{}", param.name), text))
        });
        let triggers = spec.triggers.iter().enumerate().flat_map(|(index, trigger)| {
            let globs = trigger.branches.iter().chain(&trigger.paths).chain(&trigger.pattern);
            globs.map(move |text| (format!("on[{index}]"), text))
        });
        for (path, text) in fixed.chain(triggers) {
            if let Some(range) = first_reference(text) {
                out.pipeline(spec, path, Some(range), not_here());
            }
        }
    }

    fn check_stage(&mut self, index: usize, stage: &'p Arc<StageSpec>, names: &Names<'p>, out: &mut Findings) {
        let names = names.of(Some(stage));
        let uses = &mut self.uses;
        texts::each(stage, &mut |path, treatment, text| {
            if !may_refer(text) {
                return;
            }
            let mut note = |variable: &Variable, range: Range<usize>| {
                uses.push(StageUse { reader: index, variable: variable.clone(), path: path(), range: Some(range) });
            };
            let place = match treatment {
                Treatment::Resolve(place) => place,
                Treatment::Word(_) => Place::Stage,
                Treatment::Fixed | Treatment::Ready => {
                    if let Some(range) = first_reference(text) {
                        let finding = if treatment == Treatment::Ready { in_ready() } else { not_here() };
                        out.stage(stage, path(), Some(range), finding);
                    }
                    return;
                }
            };
            for (range, error) in problems(text, place, &names, &mut note) {
                out.stage(stage, path(), Some(range), error.into());
            }
        });
        check_words(stage, out);
        for cache in &stage.caches {
            self.check_cache(index, cache, &names, out);
        }
        if let Some(when) = &stage.when {
            let checked = condition::check(when, &names);
            for error in checked.errors {
                out.stage(stage, "when".into(), None, error.into());
            }
            for variable in checked.noted {
                self.uses.push(StageUse { reader: index, variable, path: "when".into(), range: None });
            }
        }
        let reads = match &stage.action {
            Action::Run(run) if run.commands.iter().any(|command| may_refer(&command.source)) => {
                self.check_run(index, stage, run, &names, out)
            }
            _ => IndexMap::new(),
        };
        environment::check_stage(stage, &reads, out);
    }

    /// A cache's key is resolved for each stage that uses it, so it may refer to what is the stage's own.
    fn check_cache(&mut self, index: usize, name: &str, names: &StageNames<'_, '_>, out: &mut Findings) {
        let Some(cache) = self.spec.caches.iter().find(|cache| cache.name == name) else {
            let finding = Diagnostic::error("unknown-cache", format!("there is no cache `{name}`"));
            let known = self.spec.caches.iter().take(1000).map(|cache| cache.name.as_str());
            let help = match closest(name, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write at the top level what it holds: `cache \"…\" { path \"…\"; key \"…\" }`".to_owned(),
            };
            out.stage(&self.spec.stages[index], format!("caches.{name}"), None, finding.with_help(help));
            return;
        };
        let parts = [("key".to_owned(), &cache.key)].into_iter();
        let parts = parts.chain(cache.paths.iter().enumerate().map(|(at, path)| (format!("paths[{at}]"), path)));
        let keys = cache.restore_keys.iter().enumerate();
        let parts = parts.chain(keys.map(|(at, key)| (format!("restore-keys[{at}]"), key)));
        for (part, text) in parts.filter(|(_, text)| may_refer(text)) {
            let path = format!("caches.{name}.{part}");
            let mut note = |variable: &Variable, range: Range<usize>| {
                let path = format!("caches[{name}]");
                self.uses.push(StageUse { reader: index, variable: variable.clone(), path, range: Some(range) });
            };
            for (range, error) in problems(text, Place::Stage, names, &mut note) {
                let finding = Diagnostic::from(error);
                let finding = match cache.origin.clone() {
                    Some(origin) => finding.with_origin(origin),
                    None => finding,
                };
                // The same mistake shows in each stage that uses the cache: it is told once.
                let known = |known: &Diagnostic| known.part.as_ref().is_some_and(|part| part.path == path);
                if !out.0.iter().any(known) {
                    out.pipeline(self.spec, path.clone(), Some(range), finding);
                }
            }
        }
    }

    /// Compiles the scripts of a stage, and gives the variables that they read.
    fn check_run(
        &mut self,
        index: usize,
        stage: &StageSpec,
        run: &RunAction,
        names: &StageNames<'_, '_>,
        out: &mut Findings,
    ) -> IndexMap<String, Reference> {
        let sources: Vec<&str> = run.commands.iter().map(|command| command.source.as_str()).collect();
        let scripts = shell::compile(&sources, &run.shell);
        let mut all = IndexMap::new();
        let mut compiled = stage.clone();
        let mut commands = Vec::with_capacity(run.commands.len());
        for (at, (command, script)) in run.commands.iter().zip(scripts).enumerate() {
            let path = || format!("run[{at}]");
            for (range, error) in script.malformed {
                out.stage(stage, path(), Some(range), NameError::from(error).into());
            }
            let mut reads = Vec::new();
            for placed in script.references {
                if placed.placement == Placement::Comment {
                    continue;
                }
                let Placed { reference, range, placement } = placed;
                if let Err(error) = names.check(&reference, Place::Run) {
                    out.stage(stage, path(), Some(range), error.into());
                    continue;
                }
                if let Placement::Refused(refusal) = placement {
                    out.stage(stage, path(), Some(range), refused(refusal, &reference, stage));
                    continue;
                }
                each_noted(&reference, &mut |variable| {
                    let (variable, range) = (variable.clone(), Some(range.clone()));
                    self.uses.push(StageUse { reader: index, variable, path: path(), range });
                });
                let name = shell::environment_name(&reference);
                if let Some(other) = all.insert(name.clone(), reference.clone()).filter(|other| *other != reference) {
                    let message =
                        format!("`{reference}` and `{other}` would both be the environment variable `{name}`");
                    out.stage(stage, path(), Some(range), Diagnostic::error("name-collision", message));
                }
                if let Variable::Secret(secret) = &reference.variable {
                    if !compiled.secrets.contains(secret) {
                        compiled.secrets.push(secret.clone());
                    }
                } else if !reads.iter().any(|(known, _)| *known == name) {
                    reads.push((name, reference.to_string()));
                }
            }
            let script = (script.text != command.source).then_some(script.text);
            commands.push(Command { source: command.source.clone(), script, reads });
        }
        compiled.action = Action::Run(RunAction { commands, shell: run.shell.clone() });
        self.compiled.push((index, Arc::new(compiled)));
        all
    }
}

/// Calls `each` with every variable of a reference and its defaults that is to be looked at later: results of stages,
/// and values that the embedding program must give.
fn each_noted(reference: &Reference, each: &mut dyn FnMut(&Variable)) {
    let is_custom = matches!(reference.variable, Variable::Custom(_)) && reference.default.is_none();
    if is_custom || reference.variable.stage().is_some() {
        each(&reference.variable);
    }
    for piece in reference.default.iter().flat_map(|default| pieces(default)) {
        if let PieceKind::Reference(inner) = piece.kind {
            each_noted(&inner, each);
        }
    }
}

/// What is wrong with the references of a text; `note` is told of every stage's result in it.
fn problems(
    text: &str,
    place: Place,
    names: &StageNames<'_, '_>,
    note: &mut dyn FnMut(&Variable, Range<usize>),
) -> Vec<(Range<usize>, NameError)> {
    if !may_refer(text) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for piece in pieces(text) {
        match piece.kind {
            PieceKind::Malformed(error) => all.push((piece.range, error.into())),
            PieceKind::Reference(reference) => {
                each_noted(&reference, &mut |variable| note(variable, piece.range.clone()));
                if let Err(error) = names.check(&reference, place) {
                    all.push((piece.range, error));
                }
            }
            PieceKind::Text | PieceKind::Escape => {}
        }
    }
    all
}

fn first_reference(text: &str) -> Option<Range<usize>> {
    pieces(text).into_iter().find(|piece| piece.kind != PieceKind::Text).map(|piece| piece.range)
}

fn not_here() -> Diagnostic {
    Diagnostic::error("reference-not-here", "this is read before a run has values, so it cannot hold a reference")
}

fn in_ready() -> Diagnostic {
    Diagnostic::error("reference-in-ready", "a reference cannot stand in a command that runs inside a service")
        .with_help("set it in the service's `env` and read it there: `env { NAME \"${…}\" }`, `\"$NAME\"`")
}

/// Words of a service's command and of an entry point: a shell's code among them takes no values.
fn check_words(stage: &StageSpec, out: &mut Findings) {
    let services =
        stage.services.iter().map(|service| (format!("services.{}.command", service.name), &service.command));
    for (part, words) in services.chain([("entrypoint".to_owned(), &stage.entrypoint)]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for (index, word) in words.iter().enumerate() {
            if shell::is_code(&words, index)
                && let Some(range) = first_reference(word)
            {
                let finding = Diagnostic::error(Refusal::Interpreter.code(), "an interpreter takes this word as code")
                    .with_help("set it in `env` and read the variable there");
                out.stage(stage, format!("{part}[{index}]"), Some(range), finding);
            }
        }
    }
}

/// The error for a reference that cannot stand where it does: it names the variable to read there.
fn refused(refusal: Refusal, reference: &Reference, stage: &StageSpec) -> Diagnostic {
    let finding = Diagnostic::error(refusal.code(), format!("`${{{reference}}}` cannot stand here: {refusal}"));
    let name = match &reference.variable {
        Variable::Env(name) => name.clone(),
        other => other.environment_name(),
    };
    let advice = match refusal {
        Refusal::Backslash => format!("write `$${{` for a literal `${{`, or read `${name}`"),
        // The variable is no safer there than a reference; whoever needs it must know what is in it.
        Refusal::Arithmetic | Refusal::Subscript | Refusal::Test => {
            format!(
                "a value like `a[$(…)]` would run: make sure that it is a number before you read `\"${name}\"` there"
            )
        }
        Refusal::OtherShell => format!("read the environment variable `{name}` there"),
        _ => format!("read the environment variable there: `\"${name}\"`"),
    };
    finding.with_help(match &reference.variable {
        Variable::Secret(secret) if !stage.secrets.contains(secret) => {
            format!("{advice}, and list it: `secrets \"{secret}\"`")
        }
        _ => advice,
    })
}
