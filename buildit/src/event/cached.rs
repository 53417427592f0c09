//! What happens to a stage that is `cacheable` before it starts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, RunId, StageName};
use crate::job::JobProducts;

/// An earlier result that was taken in place of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenResult {
    /// The key under which it was kept; `None` for one that a rerun of what failed goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// The run whose attempt it was.
    pub run: RunId,
    /// The stage of that run: it may have had another name.
    pub stage: StageName,
    /// The attempt.
    pub attempt: u32,
    /// What that attempt left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Box<JobProducts>>,
}

/// Why there was no earlier result to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Miss {
    /// No result of this stage is kept.
    First,
    /// The last result of this stage that is kept was made of something else.
    Changed {
        /// The run that made it.
        run: RunId,
        /// What differs, the most telling first; at most [`Miss::SHOWN`].
        differences: Vec<Difference>,
        /// How many more differ.
        #[serde(default)]
        more: u64,
    },
    /// There is a result, and what it left is missing or damaged.
    Lost {
        /// The run that made it.
        run: RunId,
    },
    /// There is a result, and it holds what is a secret of this run and was none of the run that made it.
    Secret {
        /// The run that made it.
        run: RunId,
    },
    /// Nobody can tell: what is kept, or the source, could not be read.
    Unreadable {
        /// Why, for people.
        message: Box<str>,
    },
}

impl Miss {
    /// How many differences are told: with more, nobody reads them.
    pub const SHOWN: usize = 16;
}

/// Something that a result is made of, and that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What kind of thing.
    pub kind: IngredientKind,
    /// Which one.
    pub name: String,
    /// In what way.
    pub change: Change,
}

/// In what way something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there before.
    Added,
    /// It is no longer there.
    Removed,
    /// It is another.
    Changed,
    /// Nobody can tell whether it is another: what it was is not kept.
    Unknown,
}

/// A kind of thing that the result of a stage is made of, in the order in which differences are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IngredientKind {
    /// The image, its platform, its user: what the commands run in.
    Image,
    /// The executor, the shell, the folder: how they run.
    Setting,
    /// A command.
    Command,
    /// An environment variable.
    Variable,
    /// An environment variable that holds a secret.
    Secret,
    /// What runs beside it.
    Service,
    /// A cache: its key and its paths.
    Cache,
    /// Files that the stage is to leave.
    Artifact,
    /// An archive that a stage before it left.
    Need,
    /// A file of the source.
    File,
}

impl IngredientKind {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Setting => "setting",
            Self::Command => "command",
            Self::Variable => "variable",
            Self::Secret => "secret",
            Self::Service => "service",
            Self::Cache => "cache",
            Self::Artifact => "artifact",
            Self::Need => "artifact of a need",
            Self::File => "file",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::Added => "is new",
            Change::Removed => "is gone",
            Change::Changed => "changed",
            Change::Unknown => "may have changed",
        };
        write!(f, "{} `{}` {change}", self.kind.as_str(), self.name)
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("no result of it is kept"),
            Self::Changed { differences, more, .. } => {
                let mut first = true;
                for difference in differences {
                    write!(f, "{}{difference}", if first { "" } else { ", " })?;
                    first = false;
                }
                match (more, first) {
                    (0, true) => f.write_str("what it is made of changed"),
                    (0, false) => Ok(()),
                    (more, true) => write!(f, "one of {more} further inputs changed"),
                    (more, false) => write!(f, ", and {more} more"),
                }
            }
            Self::Lost { .. } => f.write_str("what the kept result left is missing or damaged"),
            Self::Secret { .. } => f.write_str("the kept result holds a secret of this run"),
            Self::Unreadable { message } => write!(f, "kept results cannot be looked at: {message}"),
        }
    }
}
