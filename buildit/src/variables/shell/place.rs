//! Where a reference stands in a script, and what that means for it.

use std::fmt;

/// What became of a reference in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It is an expansion of an environment variable now.
    Expanded,
    /// It stands in a comment and was left alone.
    Comment,
    /// It cannot stand there.
    Refused(Refusal),
}

/// How the reader judges a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is a word or a part of one: `"${X}"`.
    Bare,
    /// It stands within double quotes or a here-document: `${X}`.
    Quoted,
    /// It stands in a comment.
    Comment,
    /// It cannot stand there.
    Refused(Refusal),
}

impl From<Verdict> for Placement {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Bare | Verdict::Quoted => Self::Expanded,
            Verdict::Comment => Self::Comment,
            Verdict::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Why a reference cannot stand where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// In `'…'`, where the shell expands nothing.
    SingleQuotes,
    /// In `$'…'`, which shells read differently.
    DollarQuotes,
    /// In a here-document whose end word is quoted.
    QuotedHereDocument,
    /// In the end word of a here-document.
    EndWord,
    /// In backticks, whose quoting differs from all else.
    Backticks,
    /// In `$((…))`, `((…))` or `$[…]`, where a shell evaluates the value, or assigned to a variable that stands there.
    Arithmetic,
    /// In an array's subscript, which is evaluated.
    Subscript,
    /// In `[[ … -eq … ]]` or another test that evaluates its words.
    Test,
    /// Within `${…}` of the shell, but for a plain default.
    Expansion,
    /// Right behind a backslash.
    Backslash,
    /// In words that an interpreter takes as code: `eval`, `sh -c`, `ssh`.
    Interpreter,
    /// Where the command itself is named.
    CommandWord,
    /// In what a builtin takes as the name of a variable, or as a value that it evaluates.
    Name,
    /// In a shell whose quoting is not that of `sh`.
    OtherShell,
    /// Behind something that shells read differently, so that its place cannot be told.
    Unclear,
    /// In a script that ends within quotes, a here-document or a substitution.
    Unclosed,
}

impl Refusal {
    /// A stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::SingleQuotes => "reference-in-single-quotes",
            Self::DollarQuotes => "reference-in-dollar-quotes",
            Self::QuotedHereDocument => "reference-in-here-document",
            Self::EndWord => "reference-in-end-word",
            Self::Backticks => "reference-in-backticks",
            Self::Arithmetic => "reference-in-arithmetic",
            Self::Subscript => "reference-in-subscript",
            Self::Test => "reference-in-test",
            Self::Expansion => "reference-in-expansion",
            Self::Backslash => "reference-behind-backslash",
            Self::Interpreter => "reference-in-code",
            Self::CommandWord => "reference-in-command-word",
            Self::Name => "reference-in-name",
            Self::OtherShell => "reference-in-other-shell",
            Self::Unclear => "reference-in-unclear-place",
            Self::Unclosed => "unclosed-script",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SingleQuotes => "in single quotes the shell expands nothing",
            Self::DollarQuotes => "shells differ in what `$'…'` means",
            Self::QuotedHereDocument => {
                "the end word of this here-document is quoted, so the shell expands nothing in it"
            }
            Self::EndWord => "the end word of a here-document is not expanded",
            Self::Backticks => "quoting in backticks differs from all else; `$(…)` does the same and takes references",
            Self::Arithmetic => "the shell evaluates the value, here or where the variable is used",
            Self::Subscript => "the subscript of an array is evaluated",
            Self::Test => "this test evaluates its words",
            Self::Expansion => "within `${…}` of the shell a value can be read as something else",
            Self::Backslash => "a backslash takes the meaning from what follows",
            Self::Interpreter => "this command takes its words as code",
            Self::CommandWord => "the value would name the command that runs",
            Self::Name => "this command takes the word as a name or evaluates it",
            Self::OtherShell => "references are made safe only for sh, dash, bash, ash, zsh and ksh",
            Self::Unclear => "shells read what stands before it differently",
            Self::Unclosed => "the script ends within quotes, a here-document or a substitution",
        })
    }
}
