//! "Did you mean …?"

/// A name longer than this is no misspelt word, and comparing it would cost its length.
const LONGEST: usize = 60;

/// The known name that was probably meant, if one is near enough.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        // A third of the letters may differ: `git.brnach` is `git.branch`, but `a` is not `b`.
        .filter(|(distance, candidate)| distance * 3 <= word.len().max(candidate.len()).max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
