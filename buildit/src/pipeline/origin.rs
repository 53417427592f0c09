//! Where a part of a pipeline was written.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock, OnceLock};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use serde::{Deserialize, Serialize};

/// Where something was written: a range of bytes in a file, and where a template brought it in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as people know it: `.buildit.kdl`.
    pub file: Arc<str>,
    /// The first byte of the range, from 0.
    pub offset: u32,
    /// The length of the range in bytes.
    pub length: u32,
    /// The line of the first byte, from 1.
    pub line: u32,
    /// The column of the first byte in characters, from 1.
    pub column: u32,
    /// Where the template that holds this was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Box<Origin>>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)?;
        match &self.used_at {
            Some(used_at) => write!(f, " (used at {used_at})"),
            None => Ok(()),
        }
    }
}

/// The origins of the parts of a pipeline or a stage, by the part's path. Empty for what was not read from text.
///
/// A part that is a text has the origin of that text, its quotes included; another one that of its node. Entries of
/// maps and sets of names are found by name, those of lists by their index from 0.
///
/// | of | paths |
/// |---|---|
/// | the pipeline | `pipeline`, `description`, `repository`, `max-parallel`, `concurrency`, `checkout`, `env.NAME`, `triggers[0].cron`, `triggers[0].branches[0]`, `params.NAME`, `params.NAME.default`, `caches.NAME`, `caches.NAME.key`, `caches.NAME.paths[0]`, `caches.NAME.restore-keys[0]` |
/// | a stage | `stage`, `needs.NAME`, `matrix`, `matrix.AXIS`, `matrix.AXIS[0]`, `matrix.exclude[0]`, `when` (an expression's text), `when.branch[0]`, `image`, `image.user`, `image.platform`, `image.credentials.username`, `image.credentials.password`, `env.NAME`, `secrets.NAME`, `caches.NAME`, `run[0]`, `shell`, `artifacts[0]`, `artifacts[0].name`, `reports.junit[0]`, `timeout`, `retry`, `resources`, `resources.cpu`, `resources.memory`, `runs-on[0]`, `cacheable`, `inputs[0]`, `environment`, `approval`, `approval.message`, `approval.by[0]`, `approval.fields.NAME`, `executor`, `allow-failure`, `workdir`, `entrypoint[0]`, `privileged` |
/// | a stage's service | `services.NAME`, then `.image` (and its settings as above), `.command[0]`, `.env.NAME`, `.ready`, `.resources` |
/// | a stage's action | `deploy`, `deploy.service`, `deploy.environment`, `deploy.image`, `deploy.strategy`, `terraform`, `terraform.stack`, `build-image`, `build-image.dockerfile`, `build-image.context`, `build-image.target`, `build-image.tags[0]`, `build-image.args.NAME` |
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origins {
    parts: Vec<(Box<str>, Origin)>,
    /// Where in `parts` each part is, by the hash of its path; made when it is first asked for, since most pipelines
    /// are right and nobody asks.
    #[serde(skip)]
    index: OnceLock<HashTable<usize>>,
}

impl Origins {
    /// Notes where `part` was written; the later note of a part wins.
    pub fn insert(&mut self, part: impl Into<Box<str>>, origin: Origin) {
        // Looking for an earlier note here would make a stage of 100,000 variables take minutes.
        self.parts.push((part.into(), origin));
        self.index.take();
    }

    /// Where `part` was written, if that is known.
    #[must_use]
    pub fn get(&self, part: &str) -> Option<&Origin> {
        let found = self.index().find(hash(part), |at| *self.parts[*at].0 == *part)?;
        Some(&self.parts[*found].1)
    }

    /// All parts with their origins, in the order in which they were noted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.parts.iter().map(|(part, origin)| (&**part, origin))
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn index(&self) -> &HashTable<usize> {
        self.index.get_or_init(|| {
            let mut index: HashTable<usize> = HashTable::with_capacity(self.parts.len());
            for (at, (part, _)) in self.parts.iter().enumerate() {
                let same = |known: &usize| *self.parts[*known].0 == **part;
                let entry = index.entry(hash(part), same, |known| hash(&self.parts[*known].0));
                match entry {
                    Entry::Occupied(mut known) => *known.get_mut() = at,
                    Entry::Vacant(free) => {
                        free.insert(at);
                    }
                }
            }
            index
        })
    }
}

fn hash(part: &str) -> u64 {
    // Paths come from texts that anybody may have written, so the hash must not be known to them.
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    STATE.hash_one(part)
}

impl Clone for Origins {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone(), index: OnceLock::new() }
    }
}

impl PartialEq for Origins {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Origins {}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_note_wins() {
        let at = |line| Origin { line, ..Origin::default() };
        let mut origins = Origins::default();
        origins.insert("image", at(1));
        origins.insert("run[0]", at(2));
        assert_eq!(origins.get("image"), Some(&at(1)));
        origins.insert("image", at(3));
        assert_eq!(origins.get("image"), Some(&at(3)));
        assert_eq!(origins.clone().get("run[0]"), Some(&at(2)));
        assert_eq!(origins.get("env"), None);
    }
}
