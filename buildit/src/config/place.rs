//! From a range of bytes within a value to the place in the text where those bytes were written.

use std::collections::HashMap;
use std::ops::Range;

use super::older;
use super::source::Sources;
use super::syntax::strings;
use crate::diagnostic::{Diagnostic, Part};
use crate::pipeline::{Origin, Origins, PipelineSpec};

/// Gives findings about parts of a pipeline their exact places.
pub(crate) fn refine(findings: &mut [Diagnostic], spec: &PipelineSpec, sources: &Sources) {
    if findings.iter().all(|finding| finding.part.is_none()) {
        return;
    }
    let stages: HashMap<&str, &Origins> =
        spec.stages.iter().map(|stage| (stage.name.as_str(), &stage.origins)).collect();
    for finding in findings {
        let Some(part) = &finding.part else { continue };
        let origins = match &part.stage {
            None => Some(&spec.origins),
            Some(stage) => stages.get(written_name(stage)).copied(),
        };
        let Some(origins) = origins else { continue };
        let exact = origins.get(&part.path);
        if let Some(origin) = exact {
            finding.origin = Some(within(origin, part, sources).unwrap_or_else(|| origin.clone()));
        } else if finding.origin.is_none() {
            finding.origin = origins.get("stage").or_else(|| origins.get("pipeline")).cloned();
        }
    }
}

/// The name of the stage that a cell is of: `test` for `test[db=sqlite]`.
fn written_name(name: &str) -> &str {
    name.find('[').map_or(name, |at| &name[..at])
}

/// The bytes of the text that a range of the part's value was written as.
fn within(origin: &Origin, part: &Part, sources: &Sources) -> Option<Origin> {
    let range = part.range.as_ref()?;
    let source = sources.get(&origin.file)?;
    let start = origin.offset as usize;
    let written = source.text().get(start..start + origin.length as usize)?;
    let (value, places) = strings::decode(written);
    let range = before_modernising(range, &value, &part.path);
    let from = *places.get(range.start)? as usize;
    let to = *places.get(range.end)? as usize;
    // What a single escape stands for has no inner places: its whole length is shown.
    let to = if to > from { to } else { places[range.end..].iter().map(|at| *at as usize).find(|at| *at > from)? };
    let mut exact = source.origin(start + from, to - from);
    exact.used_at = origin.used_at.clone();
    Some(exact)
}

/// The range as it was before references of the older spelling got their `$`.
fn before_modernising(range: &Range<usize>, value: &str, path: &str) -> Range<usize> {
    // Scripts and expressions are kept as they are written.
    if path.starts_with("run[") || path == "when" || path.ends_with(".ready") {
        return range.clone();
    }
    let inserted = older::spellings(value);
    let before =
        |at: usize| at - inserted.iter().enumerate().take_while(|(index, spelling)| **spelling + *index < at).count();
    before(range.start)..before(range.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    fn shown(written: &str, path: &'static str, range: Range<usize>) -> String {
        let text = format!("x {written}");
        let mut sources = Sources::default();
        let source = Source::new("a.kdl", &text);
        let origin = source.origin(2, written.len());
        sources.push(source);
        let part = Part { stage: None, path: path.into(), range: Some(range) };
        let exact = within(&origin, &part, &sources).unwrap();
        text[exact.offset as usize..(exact.offset + exact.length) as usize].to_owned()
    }

    #[test]
    fn ranges_are_found_in_the_text() {
        assert_eq!(shown(r#""a\tb ${git.sha} c""#, "env.A", 4..14), "${git.sha}");
        assert_eq!(shown(r###"##"a "# ${git.sha}"##"###, "env.A", 5..15), "${git.sha}");
        assert_eq!(shown("\"\"\"\n    one\n    ${git.sha}\n    \"\"\"", "run[0]", 4..14), "${git.sha}");
        assert_eq!(shown(r#""{git.sha}-{git.x}""#, "image", 11..19), "{git.x}");
        assert_eq!(shown(r#""\u{1F600}${x.y}""#, "env.A", 4..10), "${x.y}");
        assert_eq!(shown(r#""a\nb""#, "env.A", 1..2), "\\n");
    }
}
