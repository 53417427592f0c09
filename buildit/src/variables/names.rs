//! Which names are known where, as far as that can be told before a run.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::reference::{PieceKind, Reference, may_refer, pieces};
use super::suggest::closest;
use super::variable::Variable;
use crate::pipeline::{ParamSpec, PipelineSpec, StageSpec};

/// Where a text stands, which says what it may refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A value of the pipeline's `env`, by its position.
    PipelineEnv(usize),
    /// The pipeline's `concurrency` group, known before any stage runs.
    Concurrency,
    /// A value of the stage's `env`, by its position.
    StageEnv(usize),
    /// A value of a service's `env`.
    ServiceEnv,
    /// The credentials of an image.
    Credentials,
    /// A script.
    Run,
    /// The text that asks for approval.
    Approval,
    /// The condition of a stage.
    When,
    /// Any other text of a stage.
    Stage,
}

impl Place {
    /// Whether a secret may stand there.
    fn takes_secrets(self) -> bool {
        matches!(self, Self::PipelineEnv(_) | Self::StageEnv(_) | Self::ServiceEnv | Self::Credentials | Self::Run)
    }

    /// Whether a stage is known there.
    fn is_of_stage(self) -> bool {
        !matches!(self, Self::PipelineEnv(_) | Self::Concurrency)
    }
}

/// Why a name cannot be used where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NameError {
    /// A stable code.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl NameError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn meant(self, meant: Option<&str>, namespace: &str) -> Self {
        match meant {
            Some(meant) => self.help(format!("did you mean `{namespace}.{meant}`?")),
            None => self,
        }
    }
}

/// The names that are known to the pipeline as a whole.
#[derive(Debug)]
pub struct Names<'p> {
    spec: &'p PipelineSpec,
    env: OnceCell<EnvNames<'p>>,
}

/// The names that are known to a stage, or to the pipeline's own texts.
#[derive(Debug)]
pub struct StageNames<'n, 'p> {
    names: &'n Names<'p>,
    stage: Option<&'p StageSpec>,
    env: OnceCell<EnvNames<'p>>,
}

impl<'p> Names<'p> {
    /// The names of this pipeline.
    #[must_use]
    pub fn new(spec: &'p PipelineSpec) -> Self {
        Self { spec, env: OnceCell::new() }
    }

    /// The names that are known to this stage; `None` for the pipeline's own texts.
    #[must_use]
    pub fn of<'n>(&'n self, stage: Option<&'p StageSpec>) -> StageNames<'n, 'p> {
        StageNames { names: self, stage, env: OnceCell::new() }
    }

    fn env(&self) -> &EnvNames<'p> {
        self.env.get_or_init(|| EnvNames::over(&EnvNames::default(), &self.spec.env))
    }
}

impl StageNames<'_, '_> {
    /// Whether the reference can be resolved in this place, as far as that can be told before a run. That a stage
    /// whose result it names exists and ran before this one is for the graph to say.
    ///
    /// # Errors
    ///
    /// [`NameError`] when it names what does not exist, or what may not stand there.
    pub fn check(&self, reference: &Reference, place: Place) -> Result<(), NameError> {
        let variable = &reference.variable;
        if !place.is_of_stage() && of_stage(variable) {
            return Err(NameError::new(
                "not-here",
                format!("`{variable}` differs from stage to stage and is not known here"),
            )
            .help("set it in the stage's own `env`"));
        }
        if place == Place::Concurrency && *variable == Variable::Fixed(super::Fixed::RunNumber) {
            return Err(NameError::new("not-here", "a run joins its group before it has its number")
                .help("a group is what several runs share: take `git.branch` or a parameter"));
        }
        match variable {
            Variable::Secret(_) => self.check_secret(reference, place)?,
            Variable::Matrix(axis) => self.check_axis(axis)?,
            Variable::Param(name) => self.check_param(name)?,
            Variable::Env(name) => self.check_env(name, reference, place)?,
            Variable::Approval(field) => self.check_approval(field, place)?,
            Variable::Environment(_) if self.stage.is_none_or(|stage| stage.environment.is_none()) => {
                return Err(NameError::new(
                    "unknown-name",
                    format!("`{variable}` stands in a stage without `environment`"),
                )
                .help("name the environment: `environment \"production\"`"));
            }
            _ => {}
        }
        // A default is a text of its own, in the same place.
        for piece in reference.default.iter().flat_map(|default| pieces(default)) {
            match piece.kind {
                PieceKind::Reference(inner) => self.check(&inner, place)?,
                PieceKind::Malformed(error) => return Err(error.into()),
                PieceKind::Text | PieceKind::Escape => {}
            }
        }
        Ok(())
    }

    /// Whether the value of this environment variable depends on a secret.
    #[must_use]
    pub fn env_is_secret(&self, name: &str) -> bool {
        self.env().find(name, usize::MAX).is_some_and(|secret| secret)
    }

    fn env(&self) -> &EnvNames<'_> {
        match self.stage.filter(|stage| !stage.env.is_empty()) {
            Some(stage) => self.env.get_or_init(|| EnvNames::over(self.names.env(), &stage.env)),
            None => self.names.env(),
        }
    }

    fn check_secret(&self, reference: &Reference, place: Place) -> Result<(), NameError> {
        let Variable::Secret(name) = &reference.variable else { return Ok(()) };
        if !place.takes_secrets() {
            return Err(NameError::new("secret-here", format!("`secrets.{name}` may not stand here"))
                .help("a secret may stand in `run`, in `env`, in a service's `env` and in an image's credentials"));
        }
        if reference.default.is_some() {
            return Err(NameError::new("secret-default", format!("`secrets.{name}` cannot have a default")));
        }
        if place == Place::Run && !super::is_shell_name(name) {
            return Err(NameError::new(
                "secret-name",
                format!("no shell can read an environment variable named `{name}`"),
            )
            .help(format!("give it a name of letters, digits and `_`: `env {{ TOKEN \"${{secrets.{name}}}\" }}`")));
        }
        Ok(())
    }

    fn check_axis(&self, axis: &str) -> Result<(), NameError> {
        let matrix = self.stage.and_then(|stage| stage.matrix.as_ref()).map(|matrix| matrix.axes.keys().collect());
        let cell = self.stage.and_then(|stage| stage.cell.as_ref()).map(|cell| cell.values.keys().collect());
        let Some(axes): Option<Vec<&String>> = cell.or(matrix) else {
            return Err(NameError::new("unknown-name", format!("`matrix.{axis}` stands in a stage without a matrix")));
        };
        if axes.iter().any(|known| *known == axis) {
            return Ok(());
        }
        Err(NameError::new("unknown-name", format!("the matrix has no axis `{axis}`"))
            .meant(closest(axis, axes.iter().map(|known| known.as_str())), "matrix"))
    }

    fn check_param(&self, name: &str) -> Result<(), NameError> {
        let params: &[ParamSpec] = &self.names.spec.params;
        if params.iter().any(|param| param.name == name) {
            return Ok(());
        }
        let error = NameError::new("unknown-name", format!("there is no parameter `{name}`"));
        Err(match closest(name, params.iter().map(|param| param.name.as_str())) {
            Some(meant) => error.meant(Some(meant), "params"),
            None => error.help(format!("declare it: `param \"{name}\"`")),
        })
    }

    fn check_env(&self, name: &str, reference: &Reference, place: Place) -> Result<(), NameError> {
        let (env, before) = match place {
            Place::PipelineEnv(position) => (self.names.env(), position),
            Place::StageEnv(position) => (self.env(), self.names.spec.env.len() + position),
            Place::Concurrency => (self.names.env(), usize::MAX),
            _ => (self.env(), usize::MAX),
        };
        if let Some(secret) = env.find(name, before) {
            if secret && !place.takes_secrets() {
                return Err(NameError::new(
                    "secret-here",
                    format!("`env.{name}` depends on a secret and may not stand here"),
                ));
            }
            return Ok(());
        }
        // What an environment brings is known only when the stage starts; a default stands in for what `--env` may give.
        if reference.default.is_some() || self.stage.is_some_and(|stage| stage.environment.is_some()) {
            return Ok(());
        }
        let error =
            NameError::new("unknown-name", format!("nothing sets the environment variable `{name}` before this"));
        Err(if env.find(name, usize::MAX).is_some() {
            error.help("a value of `env` sees what was set before it: move that one up")
        } else if let Some(meant) = closest(name, env.names()) {
            error.meant(Some(meant), "env")
        } else {
            error.help(format!(
                "set it in `env`, or give a default: `${{env.{name}:-}}`; a shell reads its own as `${name}`"
            ))
        })
    }

    fn check_approval(&self, field: &str, place: Place) -> Result<(), NameError> {
        let Some(approval) = self.stage.and_then(|stage| stage.approval.as_ref()) else {
            return Err(NameError::new(
                "unknown-name",
                format!("`approval.{field}` stands in a stage without `approval`"),
            ));
        };
        if matches!(place, Place::Approval | Place::When) {
            return Err(NameError::new("not-here", format!("`approval.{field}` is not known before the answer")));
        }
        let fields = || approval.fields.iter().map(|known| known.name.as_str()).chain(["by"]);
        if fields().any(|known| known == field) {
            return Ok(());
        }
        Err(NameError::new("unknown-name", format!("the approval has no field `{field}`"))
            .meant(closest(field, fields()), "approval"))
    }
}

impl From<super::ReferenceError> for NameError {
    fn from(error: super::ReferenceError) -> Self {
        let help = error.meant.map(|meant| format!("did you mean `{meant}`?"));
        Self { code: "bad-reference", message: error.message, help }
    }
}

/// Whether the variable differs from stage to stage of one run.
fn of_stage(variable: &Variable) -> bool {
    match variable {
        Variable::Fixed(fixed) => fixed.is_of_stage(),
        Variable::Matrix(_)
        | Variable::Output { .. }
        | Variable::Status { .. }
        | Variable::Approval(_)
        | Variable::Environment(_) => true,
        Variable::Param(_) | Variable::Env(_) | Variable::Secret(_) | Variable::Custom(_) | Variable::Checksum(_) => {
            false
        }
    }
}

/// Environment variables in the order in which they are set, each with whether it depends on a secret.
#[derive(Debug, Default, Clone)]
struct EnvNames<'p> {
    set: HashMap<&'p str, Vec<(usize, bool)>>,
    len: usize,
}

impl<'p> EnvNames<'p> {
    /// What is set on top of `before`.
    fn over(before: &EnvNames<'p>, env: &'p indexmap::IndexMap<String, String>) -> Self {
        let mut all = before.clone();
        for (name, text) in env {
            let position = all.len;
            let secret = may_refer(text) && all.depends_on_secret(text, position);
            all.set.entry(name).or_default().push((position, secret));
            all.len += 1;
        }
        all
    }

    /// Whether the name is set before this position, and then whether its value depends on a secret.
    fn find(&self, name: &str, before: usize) -> Option<bool> {
        self.set.get(name)?.iter().rev().find(|(position, _)| *position < before).map(|(_, secret)| *secret)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.set.keys().copied()
    }

    fn depends_on_secret(&self, text: &str, before: usize) -> bool {
        pieces(text).iter().any(|piece| match &piece.kind {
            PieceKind::Reference(Reference { variable: Variable::Secret(_), .. }) => true,
            PieceKind::Reference(reference) => {
                let own = match &reference.variable {
                    Variable::Env(name) => self.find(name, before).unwrap_or(false),
                    _ => false,
                };
                own || reference.default.as_ref().is_some_and(|default| self.depends_on_secret(default, before))
            }
            _ => false,
        })
    }
}
