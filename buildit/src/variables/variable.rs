//! What a reference can name.

use std::fmt;

macro_rules! fixed {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A variable whose name is part of the language: everything but parameters, matrix axes and the like.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fixed {
            $($(#[$doc])* $variant,)*
        }

        impl Fixed {
            /// All of them.
            pub const ALL: &[Fixed] = &[$(Fixed::$variant,)*];

            /// The name as it is written: `git.sha`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Fixed::$variant => $text,)*
                }
            }
        }
    };
}

fixed! {
    /// The full commit id.
    GitSha = "git.sha",
    /// Its first 7 characters.
    GitShortSha = "git.short_sha",
    /// The branch; of a pull request the source branch.
    GitBranch = "git.branch",
    /// The tag.
    GitTag = "git.tag",
    /// The full ref.
    GitRef = "git.ref",
    /// The commit's message, cut at 64 KiB.
    GitMessage = "git.message",
    /// The author's name.
    GitAuthor = "git.author",
    /// The author's e-mail address.
    GitAuthorEmail = "git.author_email",
    /// `true` when the source had changes that were not committed.
    GitDirty = "git.dirty",
    /// The pull request's number.
    PrNumber = "pr.number",
    /// Its title.
    PrTitle = "pr.title",
    /// The branch that it is to be merged into.
    PrBase = "pr.base",
    /// The branch that it comes from.
    PrHead = "pr.head",
    /// `true` when it comes from another repository.
    PrFork = "pr.fork",
    /// The pipeline's id at the embedding program.
    PipelineId = "pipeline.id",
    /// The pipeline's name.
    PipelineName = "pipeline.name",
    /// The run's id.
    RunId = "run.id",
    /// The run's number.
    RunNumber = "run.number",
    /// What started the run.
    RunEvent = "run.event",
    /// The address of the run's page.
    RunUrl = "run.url",
    /// The stage's name.
    StageName = "stage.name",
    /// The stage's place in the pipeline, from 0.
    StageIndex = "stage.index",
    /// The attempt, from 1.
    StageAttempt = "stage.attempt",
}

/// The namespaces of the language. `${HOME}` and `${other.name}` begin with none of them and belong to the shell.
pub const NAMESPACES: &[&str] = &[
    "git",
    "pr",
    "pipeline",
    "run",
    "stage",
    "matrix",
    "params",
    "env",
    "secrets",
    "custom",
    "stages",
    "approval",
    "environment",
    "checksum",
];

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Variable {
    /// `git.sha` and all others whose names are part of the language.
    Fixed(Fixed),
    /// `matrix.AXIS`: the value of an axis in this cell.
    Matrix(String),
    /// `params.NAME`: a parameter of the run.
    Param(String),
    /// `env.NAME`: an environment variable that the pipeline, the environment, the stage or the run's starter sets.
    Env(String),
    /// `secrets.NAME`: a secret.
    Secret(String),
    /// `custom.NAME`: a value of the embedding program.
    Custom(String),
    /// `stages.NAME.outputs.KEY`: what a stage wrote to `$BUILDIT_OUTPUT`.
    Output {
        /// The stage.
        stage: String,
        /// The output's name.
        key: String,
    },
    /// `stages.NAME.status`: how a stage ended.
    Status {
        /// The stage.
        stage: String,
    },
    /// `approval.FIELD`, and `approval.by`.
    Approval(String),
    /// `environment.NAME`: a variable of the stage's environment, or an output of its stack.
    Environment(String),
    /// `checksum.PATH`: the digest of what a path or glob matches.
    Checksum(String),
}

impl Variable {
    /// The namespace: what stands before the first dot.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        match self {
            Self::Fixed(fixed) => fixed.name().split('.').next().unwrap_or_default(),
            Self::Matrix(_) => "matrix",
            Self::Param(_) => "params",
            Self::Env(_) => "env",
            Self::Secret(_) => "secrets",
            Self::Custom(_) => "custom",
            Self::Output { .. } | Self::Status { .. } => "stages",
            Self::Approval(_) => "approval",
            Self::Environment(_) => "environment",
            Self::Checksum(_) => "checksum",
        }
    }

    /// The stage whose result it is, for `stages.NAME.…`.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::Output { stage, .. } | Self::Status { stage } => Some(stage),
            _ => None,
        }
    }

    /// The environment variable of a job that holds its value: `BUILDIT_GIT_SHORT_SHA` for `git.short_sha`. A secret
    /// is there under its own name.
    #[must_use]
    pub fn environment_name(&self) -> String {
        match self {
            Self::Secret(name) => name.clone(),
            Self::Output { stage, key } => format!("{}OUTPUTS_{}", stage_prefix(stage), upper(key)),
            Self::Status { stage } => format!("{}STATUS", stage_prefix(stage)),
            Self::Fixed(fixed) => format!("BUILDIT_{}", upper(fixed.name())),
            other => format!("BUILDIT_{}_{}", upper(other.namespace()), upper(other.key())),
        }
    }

    /// What stands behind the namespace, where that is one name.
    fn key(&self) -> &str {
        match self {
            Self::Matrix(key)
            | Self::Param(key)
            | Self::Env(key)
            | Self::Secret(key)
            | Self::Custom(key)
            | Self::Approval(key)
            | Self::Environment(key)
            | Self::Checksum(key)
            | Self::Output { key, .. } => key,
            Self::Fixed(_) | Self::Status { .. } => "",
        }
    }
}

fn stage_prefix(stage: &str) -> String {
    format!("BUILDIT_STAGES_{}_", upper(stage))
}

/// The text in capitals, with `_` for whatever cannot stand in the name of an environment variable.
pub(crate) fn upper(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Whether a shell can expand an environment variable of this name.
#[must_use]
pub fn is_shell_name(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether this can stand behind a dot: letters, digits, `_` and `-`.
pub(super) fn is_key(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_key_byte)
}

pub(super) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(fixed) => f.write_str(fixed.name()),
            Self::Output { stage, key } => write!(f, "stages{}.outputs.{key}", StageKey(stage)),
            Self::Status { stage } => write!(f, "stages{}.status", StageKey(stage)),
            other => write!(f, "{}.{}", other.namespace(), other.key()),
        }
    }
}

/// A stage's name as it is written behind `stages`.
struct StageKey<'a>(&'a str);

impl fmt::Display for StageKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_key(self.0) {
            write!(f, ".{}", self.0)
        } else if self.0.contains('"') {
            write!(f, "['{}']", self.0)
        } else {
            write!(f, "[\"{}\"]", self.0)
        }
    }
}
