//! The texts that a pipeline is read from.

use std::sync::Arc;

use super::lines::LineIndex;
use crate::pipeline::Origin;

/// One text with its name.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
    lines: Arc<LineIndex>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into(), lines: Arc::new(LineIndex::new(text)) }
    }

    /// The name as people know it: `.buildit.kdl`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The origin that these bytes are.
    pub(crate) fn origin(&self, offset: usize, length: usize) -> Origin {
        let (line, column) = self.lines.position(&self.text, offset);
        Origin {
            file: Arc::clone(&self.name),
            // A text is refused long before it reaches 4 GiB, so that nothing is cut here.
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            length: u32::try_from(length).unwrap_or(u32::MAX),
            line,
            column,
            used_at: None,
        }
    }
}

/// All texts that a pipeline was read from: the file itself and what it includes. Diagnostics are shown with them.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    pub(crate) fn push(&mut self, source: Source) {
        self.0.push(source);
    }

    /// The text of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.0.iter().find(|source| source.name() == name)
    }

    /// All texts, the pipeline's own first.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The bytes of all texts together.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|source| source.text.len()).sum()
    }
}
