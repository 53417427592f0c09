//! [`Ingredients`]: what a result is made of.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Selected;
use crate::event::{Change, Difference, IngredientKind, Miss};
use crate::id::{Digest, RunId};

/// The form of keys. A result that was kept under another is not found.
const FORM: &[u8] = b"buildit cache key 1";

/// How many digests are kept beside a result, to tell later what differs: enough for most stages, few enough that
/// they take less room than the result.
const KEPT: usize = 512;

/// Keys the digests of one store: whoever sees a digest and not the salt cannot try guesses of a secret, or of the text of
/// a variable, against it, and the digests of two stores have nothing in common.
///
/// It lies in the same store as the digests, so it does not protect from whoever has the whole database. That is why the
/// digests of secrets are not [kept](Ingredients::kept). The key of a result depends on them all the same: whoever has
/// the database and knows all else that the result is made of can still try guesses against the key. A secret that is
/// short or a word can be found that way, one of random characters cannot.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A salt that nobody knows yet.
    #[must_use]
    pub fn random() -> Self {
        let mut hasher = blake3::Hasher::new();
        // 74 random bits each, of the system's generator.
        for _ in 0..4 {
            hasher.update(uuid::Uuid::now_v7().as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Its bytes, for a store that keeps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Salt {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// One thing that a result is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredient {
    /// What kind of thing.
    pub kind: IngredientKind,
    /// Which one.
    pub name: String,
    /// Its digest: keyed, but for files of the source, which are kept as they are anyway.
    pub digest: Digest,
}

/// Everything that a result is made of.
#[derive(Clone, Debug)]
pub struct Ingredients {
    salt: Salt,
    parts: Vec<Ingredient>,
    files: Arc<Selected>,
}

impl Ingredients {
    pub(super) fn new(salt: &Salt, files: Arc<Selected>) -> Self {
        Self { salt: salt.clone(), parts: Vec::new(), files }
    }

    /// Adds a thing that consists of these pieces.
    pub(super) fn add<'p>(
        &mut self,
        kind: IngredientKind,
        name: impl Into<String>,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) {
        let mut hasher = blake3::Hasher::new_keyed(&self.salt.0);
        for piece in pieces {
            // With its length, so that no two lists of pieces are one.
            hasher.update(&(piece.len() as u64).to_le_bytes()).update(piece);
        }
        self.parts.push(Ingredient { kind, name: name.into(), digest: hasher.finalize().into() });
    }

    /// The key under which the result is kept.
    #[must_use]
    pub fn key(&self) -> Digest {
        let mut parts: Vec<&Ingredient> = self.parts.iter().collect();
        parts.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        let mut hasher = blake3::Hasher::new_keyed(&self.salt.0);
        hasher.update(FORM);
        for part in parts {
            let kind = part.kind.as_str().as_bytes();
            for piece in [kind, part.name.as_bytes()] {
                hasher.update(&(piece.len() as u64).to_le_bytes()).update(piece);
            }
            hasher.update(part.digest.as_bytes());
        }
        hasher.update(self.files.digest.as_bytes());
        hasher.finalize().into()
    }

    /// What is kept beside a result, to tell later what differs: everything but secrets and files, and then as many files
    /// as there is room for. The digest of a secret alone would tell whoever has the database, and with it the [`Salt`],
    /// whether a guess of it is right.
    #[must_use]
    pub fn kept(&self) -> Vec<Ingredient> {
        let files = self.files.files.iter().map(|file| Ingredient {
            kind: IngredientKind::File,
            name: file.path.to_string_lossy().into_owned(),
            digest: *file.digest(),
        });
        self.parts.iter().filter(|part| part.kind != IngredientKind::Secret).cloned().chain(files).take(KEPT).collect()
    }

    /// Why a result that was made of `before` (what was [kept](Self::kept) of it) is not one of this.
    #[must_use]
    pub fn miss(&self, run: RunId, before: &[Ingredient]) -> Miss {
        let now = self.kept();
        let by_name = |all: &[Ingredient]| -> HashMap<(IngredientKind, String), Digest> {
            all.iter().map(|one| ((one.kind, one.name.clone()), one.digest)).collect()
        };
        let (known_before, known_now) = (by_name(before), by_name(&now));
        let key = |one: &Ingredient| (one.kind, one.name.clone());
        let difference = |one: &Ingredient, change| Difference { kind: one.kind, name: one.name.clone(), change };
        // Where the other list was cut, a file that is not in it may be there all the same.
        let is_told = |one: &Ingredient, other: &[Ingredient]| one.kind != IngredientKind::File || other.len() < KEPT;
        let mut all = Vec::new();
        for one in &now {
            match known_before.get(&key(one)) {
                Some(digest) if *digest == one.digest => {}
                Some(_) => all.push(difference(one, Change::Changed)),
                None if is_told(one, before) => all.push(difference(one, Change::Added)),
                None => {}
            }
        }
        // Beside some older results there are secrets; now there is none to compare them with.
        let before = before.iter().filter(|one| one.kind != IngredientKind::Secret);
        let gone = before.filter(|one| !known_now.contains_key(&key(one)) && is_told(one, &now));
        all.extend(gone.map(|one| difference(one, Change::Removed)));
        all.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        // What is not told apart can still be what differs.
        let secrets: Vec<&Ingredient> = self.parts.iter().filter(|one| one.kind == IngredientKind::Secret).collect();
        let known = now.len() + secrets.len();
        let untold = (self.parts.len() + self.files.files.len()).saturating_sub(known) as u64;
        let hidden = if all.is_empty() { untold } else { 0 };
        if all.is_empty() {
            all.extend(secrets.into_iter().map(|one| difference(one, Change::Unknown)));
        }
        let more = all.len().saturating_sub(Miss::SHOWN) as u64 + hidden;
        all.truncate(Miss::SHOWN);
        Miss::Changed { run, differences: all, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cached::{FileKind, SourceFile, SourceIndex};

    fn made(salt: &Salt, parts: &[(IngredientKind, &str, &str)], files: &[(String, &str)]) -> Ingredients {
        let file = |(path, content): &(String, &str)| {
            SourceFile::new(path, FileKind::File(0o644), &Digest::of(content.as_bytes()))
        };
        let index = SourceIndex::new(files.iter().map(file));
        let mut all = Ingredients::new(salt, index.select(&["**".to_owned()]).unwrap());
        for (kind, name, text) in parts {
            all.add(*kind, *name, [text.as_bytes()]);
        }
        all
    }

    const PARTS: &[(IngredientKind, &str, &str)] =
        &[(IngredientKind::Variable, "A", "1"), (IngredientKind::Command, "1", "true")];

    #[test]
    fn the_key_is_that_of_the_parts_in_any_order_under_one_salt() {
        let salt = Salt::random();
        let turned: Vec<_> = PARTS.iter().rev().copied().collect();
        assert_eq!(made(&salt, PARTS, &[]).key(), made(&salt, &turned, &[]).key());
        assert_ne!(made(&salt, PARTS, &[]).key(), made(&Salt::random(), PARTS, &[]).key());
        assert_ne!(made(&salt, PARTS, &[]).key(), made(&salt, &PARTS[..1], &[]).key());
        assert_ne!(made(&salt, PARTS, &[]).key(), made(&salt, PARTS, &[("a".into(), "")]).key());
        let moved = [(IngredientKind::Variable, "A1", ""), PARTS[1]];
        assert_ne!(made(&salt, PARTS, &[]).key(), made(&salt, &moved, &[]).key());
    }

    #[test]
    fn what_differs_is_told_most_telling_first() {
        let salt = Salt::random();
        let before = made(&salt, PARTS, &[("a".into(), "1"), ("b".into(), "1")]).kept();
        let now = [(IngredientKind::Variable, "A", "2"), (IngredientKind::Command, "2", "true")];
        let miss = made(&salt, &now, &[("a".into(), "2"), ("c".into(), "1")]).miss(RunId::new(), &before);
        let told = "command `1` is gone, command `2` is new, variable `A` changed, file `a` changed, file `b` is gone, \
                    file `c` is new";
        assert_eq!(miss.to_string(), told);
    }

    #[test]
    fn a_secret_is_in_the_key_and_its_digest_nowhere() {
        let salt = Salt::random();
        let of = |value, path: &str| {
            let parts = [(IngredientKind::Command, "1", "true"), (IngredientKind::Secret, "TOKEN", value)];
            made(&salt, &parts, &[(path.to_owned(), "1")])
        };
        let (one, other) = (of("hunter22", "a"), of("hunter33", "a"));
        assert_ne!(one.key(), other.key());
        assert_eq!(one.kept(), other.kept());
        assert_eq!(other.miss(RunId::new(), &one.kept()).to_string(), "secret `TOKEN` may have changed");
        // What is sure is told alone.
        let told = of("hunter33", "b").miss(RunId::new(), &one.kept()).to_string();
        assert_eq!(told, "file `a` is gone, file `b` is new");
    }

    #[test]
    fn of_many_differences_some_are_told_and_the_others_counted() {
        let salt = Salt::random();
        let files = |content: &'static str, count: usize| -> Vec<(String, &'static str)> {
            (0..count).map(|number| (format!("f{number:05}"), content)).collect()
        };
        let before = made(&salt, &[], &files("1", 100)).kept();
        let Miss::Changed { differences, more, .. } = made(&salt, &[], &files("2", 100)).miss(RunId::new(), &before)
        else {
            panic!("it changed");
        };
        assert_eq!((differences.len(), more), (Miss::SHOWN, 84));
        // The one that differs is beyond what was kept.
        let mut many = files("1", 1000);
        let before = made(&salt, &[], &many).kept();
        many[900].1 = "2";
        let miss = made(&salt, &[], &many).miss(RunId::new(), &before);
        assert_eq!(miss.to_string(), "one of 488 further inputs changed");
    }
}
