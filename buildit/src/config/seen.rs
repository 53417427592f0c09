//! Pipelines that were read before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::options::Options;
use super::pipeline::{InvalidPipeline, KdlPipeline, parse};
use super::source::Sources;
use crate::id::Digest;

/// What reading a text gave.
type Outcome = Result<Arc<KdlPipeline>, Arc<InvalidPipeline>>;

/// Included files, with the digests of their texts.
type Includes = Vec<(Box<str>, Digest)>;

/// Keeps what texts were read as, so that a text that was seen before is not read again.
///
/// A server reads the same few texts again and again; finding one here takes its digest and nothing else. Texts are
/// found by their content, so a change is never missed; included files are loaded each time and compared.
#[derive(Debug)]
pub struct ParseCache {
    entries: Mutex<Entries>,
    capacity: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<Digest, Entry>,
    /// Counts uses; the entry with the smallest number was not used for the longest time.
    clock: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    outcome: Outcome,
    includes: Includes,
    used: u64,
    bytes: usize,
}

impl ParseCache {
    /// A cache of at most this many texts, of together at most 64 MiB.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { entries: Mutex::default(), capacity: capacity.max(1), bytes: 64 << 20 }
    }

    /// As [`parse`](super::parse), from memory if this text was read before under this name and these limits.
    ///
    /// # Errors
    ///
    /// [`InvalidPipeline`] with all that is wrong with it.
    pub fn parse(&self, name: &str, text: &str, options: &Options) -> Outcome {
        // A text that is refused for its size is not worth hashing.
        if text.len() > options.limits.bytes {
            return parse(name, text, options).map(Arc::new).map_err(Arc::new);
        }
        let key = key(name, text, options);
        if let Some((outcome, includes)) = self.find(&key)
            && unchanged(&includes, options)
        {
            return outcome;
        }
        let outcome = parse(name, text, options).map(Arc::new).map_err(Arc::new);
        let sources = match &outcome {
            Ok(pipeline) => pipeline.sources(),
            Err(invalid) => &invalid.sources,
        };
        // What could not be loaded may be there the next time.
        if outcome.is_ok() || sources.iter().count() == 1 && options.includes.is_none() {
            self.keep(key, outcome.clone(), sources);
        }
        outcome
    }

    fn find(&self, key: &Digest) -> Option<(Outcome, Includes)> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        let entry = entries.by_digest.get_mut(key)?;
        entry.used = now;
        Some((entry.outcome.clone(), entry.includes.clone()))
    }

    fn keep(&self, key: Digest, outcome: Outcome, sources: &Sources) {
        let bytes = sources.bytes();
        if bytes > self.bytes {
            return;
        }
        let included = sources.iter().skip(1);
        let includes = included.map(|source| (source.name().into(), Digest::of(source.text().as_bytes()))).collect();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = &mut *entries;
        entries.clock += 1;
        let entry = Entry { outcome, includes, used: entries.clock, bytes };
        entries.bytes += bytes;
        if let Some(old) = entries.by_digest.insert(key, entry) {
            entries.bytes -= old.bytes;
        }
        while entries.by_digest.len() > self.capacity || entries.bytes > self.bytes {
            let oldest = entries.by_digest.iter().min_by_key(|(_, entry)| entry.used).map(|(digest, _)| *digest);
            let Some(gone) = oldest.and_then(|digest| entries.by_digest.remove(&digest)) else { break };
            entries.bytes -= gone.bytes;
        }
    }
}

/// The digest of all that a text is read with; each part with its length, so that no two of them run into one.
fn key(name: &str, text: &str, options: &Options) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for part in [name, text] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let (limits, expand) = (options.limits, options.expand);
    for number in [limits.bytes, limits.depth, limits.files, expand.cells, expand.stages] {
        hasher.update(&(number as u64).to_le_bytes());
    }
    hasher.update(&[u8::from(options.includes.is_some())]);
    hasher.finalize().into()
}

fn unchanged(includes: &[(Box<str>, Digest)], options: &Options) -> bool {
    includes.iter().all(|(path, digest)| {
        let loaded = options.includes.as_ref().and_then(|loader| loader.load(path, options.limits.bytes).ok());
        loaded.is_some_and(|text| Digest::of(text.as_bytes()) == *digest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemorySources;

    const STAGE: &str = "stage \"a\" { run \"x\" }";

    #[test]
    fn a_text_that_was_seen_is_not_read_again() {
        let cache = ParseCache::new(2);
        let options = Options::default();
        let first = cache.parse("a.kdl", STAGE, &options).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.parse("a.kdl", STAGE, &options).unwrap()));
        assert!(!Arc::ptr_eq(&first, &cache.parse("b.kdl", STAGE, &options).unwrap()));
        let wrong = cache.parse("c.kdl", "stage", &options).unwrap_err();
        assert!(Arc::ptr_eq(&wrong, &cache.parse("c.kdl", "stage", &options).unwrap_err()));
        assert!(!Arc::ptr_eq(&first, &cache.parse("a.kdl", STAGE, &options).unwrap()), "the bound was not kept");
        assert_eq!(cache.entries.lock().unwrap().by_digest.len(), 2);
    }

    #[test]
    fn a_change_of_an_included_file_is_seen() {
        let cache = ParseCache::new(8);
        let with = |text: &str| Options::default().with_includes(MemorySources::default().with("b.kdl", text));
        let text = "include \"b.kdl\"";
        let first = cache.parse("a.kdl", text, &with(STAGE)).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.parse("a.kdl", text, &with(STAGE)).unwrap()));
        let second = cache.parse("a.kdl", text, &with("stage \"other\" { run \"x\" }")).unwrap();
        assert_eq!(second.spec().stages[0].name, "other");
        assert!(cache.parse("a.kdl", text, &Options::default()).is_err());
    }
}
