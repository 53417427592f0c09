//! What runs were created with, as their column has it: JSON, most of which is the plan, and many runs have the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use buildit::pipeline::PipelineSpec;
use buildit::store::{NewRun, StoreError};

use super::from_json;

/// How many plans are remembered.
const KEPT: usize = 16;

/// The field that the plan is in: only ids stand before it.
const FIELD: &str = "\"plan\":";

/// In place of a plan that is known.
const NO_PLAN: &str = r#"{"name":"","stages":[]}"#;

/// Reads definitions. Runs that have the same plan share one, as long as anybody has it: to make it of its text takes longer
/// than all the rest, and ten thousand runs of one pipeline would have it ten thousand times in memory.
#[derive(Debug, Default)]
pub(crate) struct Definitions(Mutex<VecDeque<Known>>);

#[derive(Debug)]
struct Known {
    text: Box<str>,
    plan: Weak<PipelineSpec>,
}

impl Definitions {
    /// What a run was created with.
    pub(crate) fn read(&self, text: &str) -> Result<NewRun, StoreError> {
        let Some((before, rest)) = split(text) else { return from_json(text) };
        if let Some((plan, length)) = self.find(rest) {
            let run: NewRun = from_json(&[before, NO_PLAN, &rest[length..]].concat())?;
            return Ok(NewRun { plan, ..run });
        }
        let run: NewRun = from_json(text)?;
        if let Some(length) = length_of_object(rest) {
            self.remember(&rest[..length], &run.plan);
        }
        Ok(run)
    }

    /// The plan whose text this begins with, and how long that is: what begins with an object that is whole is that object.
    fn find(&self, rest: &str) -> Option<(Arc<PipelineSpec>, usize)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.plan.strong_count() > 0);
        let at = all.iter().position(|known| rest.starts_with(&*known.text))?;
        let plan = all[at].plan.upgrade()?;
        let length = all[at].text.len();
        if at > 0 {
            let known = all.remove(at)?;
            all.push_front(known);
        }
        Some((plan, length))
    }

    fn remember(&self, text: &str, plan: &Arc<PipelineSpec>) {
        let known = Known { text: text.into(), plan: Arc::downgrade(plan) };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.plan.strong_count() > 0 && *known.text != *text);
        all.truncate(KEPT - 1);
        all.push_front(known);
    }
}

/// What stands before the plan, and what begins with it.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.find(FIELD)? + FIELD.len();
    let (before, rest) = text.split_at(at);
    // No brace opens and no text is quoted within another before it: it is the field of the outermost object.
    (before.matches('{').count() == 1 && !before.contains('\\') && rest.starts_with('{')).then_some((before, rest))
}

/// How long the object is that a text begins with.
fn length_of_object(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

#[cfg(test)]
mod tests {
    use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};

    use super::*;

    fn run(stage: &str) -> NewRun {
        let plan =
            PipelineBuilder::new("a \"plan\":{ \\ }").stage(StageBuilder::run(stage, "echo '}{\"plan\":{'")).build();
        NewRun::new(plan, RunContext::manual(), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn runs_of_one_plan_share_it() {
        let definitions = Definitions::default();
        let runs: Vec<NewRun> = ["one", "two", "one", "one-more"].map(run).into();
        let texts: Vec<String> = runs.iter().map(|run| serde_json::to_string(run).unwrap()).collect();
        let read: Vec<NewRun> = texts.iter().map(|text| definitions.read(text).unwrap()).collect();
        assert_eq!(read, runs);
        let is_one = |a: usize, b: usize| Arc::ptr_eq(&read[a].plan, &read[b].plan);
        assert!(is_one(0, 2) && !is_one(0, 1) && !is_one(0, 3));
        drop(read);
        assert_eq!(definitions.read(&texts[1]).unwrap(), runs[1], "nobody had it any more");
        assert_eq!(definitions.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn what_an_earlier_version_wrote_otherwise_is_read_whole() {
        let definitions = Definitions::default();
        let new = run("one");
        let mut value = serde_json::to_value(&new).unwrap();
        let plan = value.as_object_mut().unwrap().remove("plan").unwrap();
        // The context, which has braces, first.
        let rest = serde_json::to_string(&value).unwrap();
        let text = format!("{},\"plan\":{plan}}}", rest.strip_suffix('}').unwrap());
        for _ in 0..2 {
            assert_eq!(definitions.read(&text).unwrap(), new);
        }
        assert!(definitions.read("{\"plan\":{").is_err());
        assert!(definitions.read("").is_err());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let definitions = Definitions::default();
        let read: Vec<NewRun> = (0..2 * KEPT)
            .map(|number| definitions.read(&serde_json::to_string(&run(&format!("s{number}"))).unwrap()).unwrap())
            .collect();
        assert_eq!((read.len(), definitions.0.lock().unwrap().len()), (2 * KEPT, KEPT));
    }
}
