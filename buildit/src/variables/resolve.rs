//! References become values.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::environment::EnvTable;
use super::reference::{PieceKind, Reference, may_refer, pieces};
use super::scope::{OutputValue, Scope};
use super::template::{Resolved, Template};
use super::variable::{Fixed, Variable};

/// How long a value may be. Linux takes 128 KiB for one environment variable, its name included.
pub const LONGEST_VALUE: usize = 64 * 1024;

/// How long a resolved text may grow: many references to long values in one text would else take all memory.
const LONGEST_TEXT: usize = 1024 * 1024;

/// Why a text cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The stage did not set the output.
    #[error("stage `{stage}` did not set the output `{key}`")]
    NotSet {
        /// The stage.
        stage: String,
        /// The output.
        key: String,
    },
    /// The stage did not run, so it set no output.
    #[error("stage `{stage}` {reason}, so it has no output `{key}`")]
    NotRun {
        /// The stage.
        stage: String,
        /// The output.
        key: String,
        /// Why it did not run: `was skipped`.
        reason: String,
    },
    /// Nobody gave a value.
    #[error("`{variable}` was not given")]
    NotGiven {
        /// The variable.
        variable: String,
    },
    /// The variable does not exist here: an axis in a stage without a matrix, or the like.
    #[error("there is no `{variable}` here")]
    Unknown {
        /// The variable.
        variable: String,
    },
    /// The text is no valid reference.
    #[error("{0}")]
    Malformed(#[from] super::reference::ReferenceError),
    /// The value is longer than [`LONGEST_VALUE`], or the text grew past 1 MiB.
    #[error("the value of `{variable}` has {bytes} bytes, more than {limit}")]
    TooLong {
        /// The variable.
        variable: String,
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// The value has a NUL, which no environment variable can hold.
    #[error("the value of `{variable}` has a NUL byte")]
    Nul {
        /// The variable.
        variable: String,
    },
    /// A secret is in a text that may hold none.
    #[error("`{variable}` depends on a secret, which may not stand here")]
    SecretHere {
        /// The variable.
        variable: String,
    },
}

impl ResolveError {
    /// Whether a `:-default` stands in for the value.
    fn yields_to_default(&self) -> bool {
        matches!(self, Self::NotSet { .. } | Self::NotRun { .. } | Self::NotGiven { .. } | Self::Unknown { .. })
    }
}

/// Resolves the references of a text. A text without any is given back as it is.
///
/// # Errors
///
/// [`ResolveError`] with the variable that has no value, or one that cannot be used.
pub fn resolve<'t>(text: &'t str, scope: &Scope<'_>) -> Result<Resolved<'t>, ResolveError> {
    Resolver::new(scope).resolve(text)
}

/// Resolves a text that may not depend on a secret.
///
/// # Errors
///
/// As [`resolve`], and [`ResolveError::SecretHere`].
pub fn resolve_plain<'t>(text: &'t str, scope: &Scope<'_>) -> Result<Cow<'t, str>, ResolveError> {
    Resolver::new(scope).resolve_plain(text)
}

/// Resolves several texts of one scope; the environment is worked out once, when the first of them asks for it.
pub(crate) struct Resolver<'s, 'a> {
    scope: &'s Scope<'a>,
    table: OnceCell<EnvTable>,
}

impl<'s, 'a> Resolver<'s, 'a> {
    pub(crate) fn new(scope: &'s Scope<'a>) -> Self {
        Self { scope, table: OnceCell::new() }
    }

    /// One that sees the environment as far as it is built.
    pub(super) fn with_table(scope: &'s Scope<'a>, table: EnvTable) -> Self {
        Self { scope, table: OnceCell::from(table) }
    }

    pub(super) fn table(&self) -> &EnvTable {
        self.table.get_or_init(|| EnvTable::of(self.scope))
    }

    pub(super) fn into_table(self) -> EnvTable {
        self.table.into_inner().unwrap_or_default()
    }

    pub(super) fn table_mut(&mut self) -> &mut EnvTable {
        self.table();
        // Filled by the line above.
        self.table.get_mut().expect("the table was just made")
    }

    pub(crate) fn resolve<'t>(&self, text: &'t str) -> Result<Resolved<'t>, ResolveError> {
        if !may_refer(text) {
            return Ok(Resolved::Plain(Cow::Borrowed(text)));
        }
        let pieces = pieces(text);
        if let [only] = pieces.as_slice()
            && only.kind == PieceKind::Text
        {
            return Ok(Resolved::Plain(Cow::Borrowed(text)));
        }
        let mut whole = Template::default();
        for piece in pieces {
            match piece.kind {
                PieceKind::Text => whole.push_str(&text[piece.range]),
                PieceKind::Escape => whole.push_str("${"),
                PieceKind::Malformed(error) => return Err(error.into()),
                PieceKind::Reference(reference) => {
                    whole.push(&self.reference(&reference)?);
                    let bytes = whole.text_len();
                    if bytes > LONGEST_TEXT {
                        let variable = reference.variable.to_string();
                        return Err(ResolveError::TooLong { variable, bytes, limit: LONGEST_TEXT });
                    }
                }
            }
        }
        Ok(whole.into_resolved())
    }

    pub(crate) fn resolve_plain<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, ResolveError> {
        match self.resolve(text)? {
            Resolved::Plain(plain) => Ok(plain),
            Resolved::Secret(template) => {
                let name = template.secrets().next().unwrap_or_default();
                Err(ResolveError::SecretHere { variable: format!("secrets.{name}") })
            }
        }
    }

    /// The value that the pipeline or the stage gives to an environment variable.
    pub(crate) fn env(&self, name: &str) -> Result<Resolved<'static>, ResolveError> {
        let not_given = || ResolveError::NotGiven { variable: format!("env.{name}") };
        Ok(self.table().value(name).unwrap_or_else(|| Err(not_given()))?.into_resolved())
    }

    /// The value of a reference, its default included.
    pub(crate) fn reference(&self, reference: &Reference) -> Result<Template, ResolveError> {
        let value = self.variable(&reference.variable);
        let Some(default) = &reference.default else { return value };
        match value {
            Ok(value) if value.plain() != Some("") => Ok(value),
            Err(error) if !error.yields_to_default() => Err(error),
            _ => Ok(self.resolve(default)?.into_template()),
        }
    }

    /// The value of a variable.
    pub(crate) fn variable(&self, variable: &Variable) -> Result<Template, ResolveError> {
        match variable {
            Variable::Secret(name) => return Ok(Template::secret(name.clone())),
            Variable::Env(name) => {
                if let Some(value) = self.scope.context.env.get(name) {
                    return checked(variable, Cow::Borrowed(value)).map(|text| Template::from(text.into_owned()));
                }
                let unknown = || ResolveError::NotGiven { variable: variable.to_string() };
                return self.table().value(name).unwrap_or_else(|| Err(unknown()));
            }
            _ => {}
        }
        let text = plain_value(variable, self.scope)?;
        checked(variable, text).map(|text| Template::from(text.into_owned()))
    }
}

/// The value of a variable that is neither an environment variable nor a secret.
pub(crate) fn plain_value<'a>(variable: &Variable, scope: &Scope<'a>) -> Result<Cow<'a, str>, ResolveError> {
    let not_given = || ResolveError::NotGiven { variable: variable.to_string() };
    let unknown = || ResolveError::Unknown { variable: variable.to_string() };
    let borrowed = |text: &'a String| Cow::Borrowed(text.as_str());
    match variable {
        Variable::Fixed(fixed) => Ok(fixed_value(*fixed, scope)),
        Variable::Matrix(axis) => {
            let cell = scope.stage.and_then(|stage| stage.cell.as_ref());
            cell.and_then(|cell| cell.values.get(axis)).map(borrowed).ok_or_else(unknown)
        }
        Variable::Param(name) => {
            let default = || scope.plan.params.iter().find(|param| param.name == *name)?.default.as_ref();
            scope.context.params.get(name).or_else(default).map(borrowed).ok_or_else(not_given)
        }
        Variable::Custom(name) => scope.context.custom.get(name).map(borrowed).ok_or_else(not_given),
        Variable::Output { stage, key } => match scope.stages.output(stage, key) {
            OutputValue::Value(value) => Ok(Cow::Borrowed(value)),
            OutputValue::Unset => Err(ResolveError::NotSet { stage: stage.clone(), key: key.clone() }),
            OutputValue::NotRun { reason } => {
                Err(ResolveError::NotRun { stage: stage.clone(), key: key.clone(), reason: reason.to_owned() })
            }
        },
        Variable::Status { stage } => {
            Ok(Cow::Borrowed(scope.stages.status(stage).map_or("", |status| status.as_str())))
        }
        Variable::Approval(field) => {
            let approval = scope.approval.ok_or_else(not_given)?;
            if field == "by" {
                return Ok(borrowed(&approval.by));
            }
            let spec = || scope.stage?.approval.as_ref()?.fields.iter().find(|known| known.name == *field);
            let given = approval.fields.get(field).or_else(|| spec()?.default.as_ref());
            // A field that need not be filled in is known and without a value: empty.
            given.map(borrowed).or_else(|| spec().map(|_| Cow::Borrowed(""))).ok_or_else(unknown)
        }
        Variable::Environment(name) => scope.environment.get(name).map(borrowed).ok_or_else(not_given),
        Variable::Checksum(path) => scope.context.checksums.get(path).map(borrowed).ok_or_else(not_given),
        Variable::Env(_) | Variable::Secret(_) => Err(unknown()),
    }
}

/// The value of a variable whose name is part of the language; empty where it has none.
fn fixed_value<'a>(fixed: Fixed, scope: &Scope<'a>) -> Cow<'a, str> {
    let git = &scope.context.git;
    let pr = scope.context.pull_request.as_ref();
    let borrowed = Cow::Borrowed;
    let truth = |truth: bool| Cow::Borrowed(if truth { "true" } else { "false" });
    let number = |number: u64| Cow::Owned(number.to_string());
    match fixed {
        Fixed::GitSha => borrowed(&git.sha),
        Fixed::GitShortSha => borrowed(git.short_sha()),
        Fixed::GitBranch => borrowed(&git.branch),
        Fixed::GitTag => borrowed(&git.tag),
        Fixed::GitRef => borrowed(&git.reference),
        Fixed::GitMessage => borrowed(cut(&git.message)),
        Fixed::GitAuthor => borrowed(&git.author),
        Fixed::GitAuthorEmail => borrowed(&git.author_email),
        Fixed::GitDirty => truth(git.dirty),
        Fixed::PrNumber => pr.map_or(borrowed(""), |pr| number(pr.number)),
        Fixed::PrTitle => pr.map_or(borrowed(""), |pr| borrowed(&pr.title)),
        Fixed::PrBase => pr.map_or(borrowed(""), |pr| borrowed(&pr.base)),
        Fixed::PrHead => pr.map_or(borrowed(""), |pr| borrowed(&pr.head)),
        Fixed::PrFork => pr.map_or(borrowed(""), |pr| truth(pr.fork)),
        Fixed::PipelineId => borrowed(&scope.context.pipeline_id),
        Fixed::PipelineName => borrowed(&scope.plan.name),
        Fixed::RunId => Cow::Owned(scope.run.id.to_string()),
        Fixed::RunNumber => number(scope.run.number),
        Fixed::RunEvent => borrowed(&scope.context.event),
        Fixed::RunUrl => borrowed(&scope.context.url),
        Fixed::StageName => scope.stage.map_or(borrowed(""), |stage| borrowed(stage.name.as_str())),
        Fixed::StageIndex => number(scope.index.into()),
        Fixed::StageAttempt => number(scope.attempt.into()),
    }
}

/// A commit's message can be of any length and is the one value that nobody chose for us: it is cut, not refused.
fn cut(message: &str) -> &str {
    let end = memchr::memchr(0, message.as_bytes()).unwrap_or(message.len()).min(LONGEST_VALUE);
    let end = (0..=end).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
    &message[..end]
}

/// The value, if an environment variable can hold it.
pub(super) fn checked<'a>(variable: &Variable, value: Cow<'a, str>) -> Result<Cow<'a, str>, ResolveError> {
    if value.len() > LONGEST_VALUE {
        let (variable, bytes) = (variable.to_string(), value.len());
        return Err(ResolveError::TooLong { variable, bytes, limit: LONGEST_VALUE });
    }
    if memchr::memchr(0, value.as_bytes()).is_some() {
        return Err(ResolveError::Nul { variable: variable.to_string() });
    }
    Ok(value)
}
