//! Finding references in text: `${git.sha}`, `${stages["test[db=sqlite]"].outputs.x}`, `${git.tag:-none}`, `$${`.

use std::fmt;
use std::ops::Range;

use super::variable::{Fixed, NAMESPACES, Variable, is_key_byte};

/// How deep references may stand in each other's defaults.
const DEEPEST_DEFAULT: usize = 4;

/// A reference to a variable, as it stands in a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// What it names.
    pub variable: Variable,
    /// The text that is taken when the variable has no value or an empty one; it may hold references itself.
    pub default: Option<String>,
}

impl Reference {
    /// Reads what stands between `${` and `}`: `git.tag:-none`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] when that is no reference.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let whole = format!("${{{text}}}");
        match read_reference(&whole, 0, 0) {
            Some((Ok(reference), end)) if end == whole.len() => Ok(reference),
            Some((Err(error), _)) => Err(error),
            _ => Err(ReferenceError::new("this is no reference")),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.default {
            Some(default) => write!(f, "{}:-{default}", self.variable),
            None => self.variable.fmt(f),
        }
    }
}

/// Why something that begins like a reference is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReferenceError {
    /// One sentence.
    pub message: String,
    /// The variable that was probably meant.
    pub meant: Option<String>,
}

impl ReferenceError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), meant: None }
    }
}

/// A piece of a text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes that it takes up.
    pub range: Range<usize>,
    /// What it is.
    pub kind: PieceKind,
}

/// What a piece of a text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// Text that stays as it is; `${HOME}` and `$x` are such text.
    Text,
    /// `$${`, which stands for `${`.
    Escape,
    /// A reference.
    Reference(Reference),
    /// Something with a known namespace that is no reference.
    Malformed(ReferenceError),
}

/// Whether the text can hold a reference or an escape at all: a cheap look for `${`.
#[must_use]
pub fn may_refer(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'$', bytes).any(|at| bytes.get(at + 1) == Some(&b'{'))
}

/// The pieces of a text. Together they cover all of it, each once, in order.
#[must_use]
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut all = Vec::new();
    scan(text, 0, &mut all);
    all
}

fn scan(text: &str, depth: usize, all: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'$', &bytes[at..]) {
        let start = at + offset;
        let (kind, end) = if bytes[start..].starts_with(b"$${") {
            (PieceKind::Escape, start + 3)
        } else if let Some((read, end)) = read_reference(text, start, depth) {
            (read.map_or_else(PieceKind::Malformed, PieceKind::Reference), end)
        } else {
            at = start + 1;
            continue;
        };
        if done < start {
            all.push(Piece { range: done..start, kind: PieceKind::Text });
        }
        all.push(Piece { range: start..end, kind });
        done = end;
        at = end;
    }
    if done < text.len() {
        all.push(Piece { range: done..text.len(), kind: PieceKind::Text });
    }
}

/// Reads a reference that begins at `start`, if one does, and says where it ends. A malformed one ends where it went
/// wrong.
fn read_reference(text: &str, start: usize, depth: usize) -> Option<(Result<Reference, ReferenceError>, usize)> {
    let rest = text[start..].strip_prefix("${")?;
    let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let namespace = NAMESPACES.iter().copied().find(|known| *known == &rest[..length])?;
    let mut cursor = Cursor { text, at: start + 2 + length };
    let opens = match cursor.peek() {
        Some(b'.') => true,
        // `${stages[0]}` is an element of an array of the shell; only a quoted name is ours.
        Some(b'[') => namespace == "stages" && matches!(text.as_bytes().get(cursor.at + 1), Some(b'"' | b'\'')),
        _ => false,
    };
    if !opens {
        return None;
    }
    let read = cursor.variable(namespace).and_then(|variable| {
        let default = cursor.default(depth)?;
        Ok(Reference { variable, default })
    });
    Some((read, cursor.at))
}

/// A place in a text.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn word(&mut self, allowed: impl Fn(u8) -> bool) -> &'t str {
        let length = self.rest().bytes().take_while(|b| allowed(*b)).count();
        let word = &self.rest()[..length];
        self.at += length;
        word
    }

    fn variable(&mut self, namespace: &'static str) -> Result<Variable, ReferenceError> {
        if namespace == "stages" {
            return self.stage_variable();
        }
        self.at += 1;
        if namespace == "checksum" {
            return self.path().map(Variable::Checksum);
        }
        // Programs and stacks name their values with dots; the names of the language have none.
        let dotted = matches!(namespace, "custom" | "environment");
        let key = self.word(|b| is_key_byte(b) || dotted && b == b'.');
        if key.is_empty() {
            return Err(ReferenceError::new(format!("`{namespace}.` lacks a name")));
        }
        let own = || key.to_owned();
        Ok(match namespace {
            "matrix" => Variable::Matrix(own()),
            "params" => Variable::Param(own()),
            "env" => Variable::Env(own()),
            "secrets" => Variable::Secret(own()),
            "custom" => Variable::Custom(own()),
            "approval" => Variable::Approval(own()),
            "environment" => Variable::Environment(own()),
            _ => {
                let name = format!("{namespace}.{key}");
                let fixed = Fixed::ALL.iter().find(|fixed| fixed.name() == name);
                Variable::Fixed(*fixed.ok_or_else(|| unknown(namespace, &name))?)
            }
        })
    }

    /// `.build.outputs.version`, `["test[db=sqlite]"].status`.
    fn stage_variable(&mut self) -> Result<Variable, ReferenceError> {
        let stage = if self.peek() == Some(b'.') {
            self.at += 1;
            self.word(is_key_byte)
        } else {
            let quote = char::from(self.text.as_bytes()[self.at + 1]);
            let name = &self.text[self.at + 2..];
            let length = name
                .find([quote, '\n'])
                .filter(|end| name[*end..].starts_with(quote) && name[*end + 1..].starts_with(']'))
                .ok_or_else(|| ReferenceError::new("the quoted name of the stage is not closed"))?;
            self.at += length + 4;
            &name[..length]
        };
        if stage.is_empty() {
            return Err(ReferenceError::new("`stages` lacks the name of a stage"));
        }
        let stage = stage.to_owned();
        if let Some(rest) = self.rest().strip_prefix(".outputs.") {
            self.at = self.text.len() - rest.len();
            let key = self.word(is_key_byte).to_owned();
            if key.is_empty() {
                return Err(ReferenceError::new("`outputs.` lacks a name"));
            }
            return Ok(Variable::Output { stage, key });
        }
        let before = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.word(is_key_byte) == "status" {
                return Ok(Variable::Status { stage });
            }
        }
        self.at = before;
        Err(ReferenceError::new(format!("a stage has `outputs.NAME` and `status`: `stages.{stage}.outputs.NAME`")))
    }

    /// A path or glob, up to the brace that closes the reference. Braces of a glob come in pairs.
    fn path(&mut self) -> Result<String, ReferenceError> {
        let start = self.at;
        let mut open = 0usize;
        let bytes = self.text.as_bytes();
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => break,
                b'{' => open += 1,
                b'}' if open == 0 => break,
                b'}' => open -= 1,
                b':' if bytes.get(self.at + 1) == Some(&b'-') => break,
                _ => {}
            }
            self.at += 1;
        }
        let path = &self.text[start..self.at];
        if path.is_empty() {
            return Err(ReferenceError::new("`checksum.` lacks a path"));
        }
        Ok(path.to_owned())
    }

    /// The `:-default` that may follow, and the brace that ends the reference.
    fn default(&mut self, depth: usize) -> Result<Option<String>, ReferenceError> {
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        if !self.rest().starts_with(":-") {
            return Err(ReferenceError::new("a reference ends with `}` or `:-default}`"));
        }
        if depth == DEEPEST_DEFAULT {
            return Err(ReferenceError::new("defaults stand in each other too deeply"));
        }
        self.at += 2;
        let start = self.at;
        loop {
            let Some(offset) = memchr::memchr2(b'}', b'$', self.rest().as_bytes()) else {
                self.at = self.text.len();
                return Err(ReferenceError::new("the default is not closed with `}`"));
            };
            self.at += offset;
            if self.peek() == Some(b'}') {
                let default = self.text[start..self.at].to_owned();
                self.at += 1;
                return Ok(Some(default));
            }
            match read_reference(self.text, self.at, depth + 1) {
                Some((Ok(_), end)) => self.at = end,
                Some((Err(error), end)) => {
                    self.at = end;
                    return Err(error);
                }
                None => self.at += 1,
            }
        }
    }
}

fn unknown(namespace: &str, name: &str) -> ReferenceError {
    let known: Vec<&str> =
        Fixed::ALL.iter().map(|fixed| fixed.name()).filter(|known| known.starts_with(namespace)).collect();
    let known = known.into_iter().filter(|known| known.as_bytes().get(namespace.len()) == Some(&b'.'));
    ReferenceError {
        message: format!("there is no variable `{name}`"),
        meant: super::suggest::closest(name, known).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Reference {
        let all = pieces(text);
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        match &all[0].kind {
            PieceKind::Reference(reference) => reference.clone(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_namespace_is_read() {
        for name in [
            "git.short_sha",
            "params.my-flag",
            "env.HOME",
            "secrets.TOKEN",
            "custom.a.b",
            "matrix.db",
            "approval.by",
            "environment.vpc.id",
            "stages.build.outputs.version",
            "stages.build-app.status",
            "stages[\"test[db=sqlite]\"].outputs.x",
            "checksum.Cargo.lock",
            "checksum.src/**/*.{rs,toml}",
            "git.tag:-none",
            "git.tag:-${git.branch:-x}",
        ] {
            assert_eq!(one(&format!("${{{name}}}")).to_string(), name);
            assert_eq!(Reference::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_belongs_to_the_shell_is_text() {
        for text in [
            "${HOME}",
            "$x",
            "$(a)",
            "${git}",
            "${git:-x}",
            "${stages[0]}",
            "${other.sha}",
            "$",
            "${",
            "$$",
            "{git.sha}",
        ] {
            assert_eq!(pieces(text), [Piece { range: 0..text.len(), kind: PieceKind::Text }], "{text}");
        }
    }

    #[test]
    fn an_escape_takes_the_meaning_from_what_follows() {
        let kinds: Vec<PieceKind> = pieces("a$${git.sha}").into_iter().map(|piece| piece.kind).collect();
        assert_eq!(kinds, [PieceKind::Text, PieceKind::Escape, PieceKind::Text]);
    }

    #[test]
    fn what_is_nearly_a_reference_is_an_error() {
        for (text, meant) in [
            ("${git.shaa}", Some("git.sha")),
            ("${git.sha%%-*}", None),
            ("${git.sha", None),
            ("${params.}", None),
            ("${stages.build.output.x}", None),
            ("${stages[\"build.outputs.x}", None),
            ("${git.tag:-x", None),
            ("${checksum.}", None),
        ] {
            let all = pieces(text);
            let Some(PieceKind::Malformed(error)) = all.first().map(|piece| &piece.kind) else {
                panic!("{text}: {all:?}")
            };
            assert_eq!(error.meant.as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn environment_names() {
        let name = |text: &str| Reference::parse(text).unwrap().variable.environment_name();
        assert_eq!(name("git.short_sha"), "BUILDIT_GIT_SHORT_SHA");
        assert_eq!(name("params.my-flag"), "BUILDIT_PARAMS_MY_FLAG");
        assert_eq!(name("stages.build.outputs.version"), "BUILDIT_STAGES_BUILD_OUTPUTS_VERSION");
        assert_eq!(name("stages[\"t[db=x]\"].status"), "BUILDIT_STAGES_T_DB_X__STATUS");
        assert_eq!(name("secrets.TOKEN"), "TOKEN");
    }
}
