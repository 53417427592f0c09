//! Clauses about kept results.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::Clause;
use super::clause::{Broken, clauses, ensure, ensure_eq};
use crate::cached::{Ingredient, KeptLog, KeptResult, ResultStore};
use crate::event::IngredientKind;
use crate::id::{Digest, JobId, RunId};
use crate::job::{Artifact, JobProducts};

pub(super) fn clauses() -> Vec<Clause<dyn ResultStore>> {
    clauses![
        a_salt_is_made_once,
        a_result_is_found_as_it_was_kept,
        results_are_found_in_the_order_of_their_keys,
        the_first_result_of_a_key_stays,
        results_of_other_scopes_are_not_found,
        a_forgotten_result_is_gone_and_another_may_be_kept,
        what_the_last_result_of_a_stage_was_made_of_is_known,
        results_that_were_not_used_are_evicted,
    ]
}

type Store = Arc<dyn ResultStore>;

fn key(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// A result of stage `build` with everything in it.
fn result(name: &str) -> KeptResult {
    let artifact = Artifact {
        name: "binary".into(),
        digest: key("archive"),
        bytes: 7,
        paths: vec!["target/shop".into(), "ä b".into()],
    };
    let products = JobProducts {
        outputs: [("version".to_owned(), "1\n2".to_owned())].into_iter().collect(),
        reports: Some(Artifact { digest: key("reports"), ..artifact.clone() }),
        artifacts: vec![artifact],
        summary: Some("# done".into()),
        ..JobProducts::default()
    };
    KeptResult {
        key: key(name),
        job: JobId { run: RunId::new(), stage: "build".into(), attempt: 2 },
        kept_at: Timestamp::constant(1_767_225_600, 123_456_789),
        products: Some(Box::new(products)),
        log: KeptLog::Here(Bytes::from_static(b"\0\xff\n")),
    }
}

fn made_of(name: &str) -> Vec<Ingredient> {
    vec![Ingredient { kind: IngredientKind::File, name: format!("src/{name}"), digest: key(name) }]
}

async fn keep(store: &Store, scope: &str, result: &KeptResult) -> Result<(), Broken> {
    Ok(store.keep_result(scope, result, &made_of("any")).await?)
}

async fn find(store: &Store, scope: &str, name: &str) -> Result<Option<KeptResult>, Broken> {
    let mut found = store.find_results(scope, &[key(name)]).await?;
    ensure_eq!(found.len(), 1, "the answers to one question");
    Ok(found.remove(0))
}

async fn a_salt_is_made_once(store: Store) -> Result<(), Broken> {
    let (first, at_once) = tokio::join!(store.result_salt(), store.result_salt());
    let first = first?;
    ensure!(first == at_once? && first == store.result_salt().await?, "the salt changes");
    ensure!(first.as_bytes().iter().any(|byte| *byte != 0), "the salt is nothing");
    Ok(())
}

async fn a_result_is_found_as_it_was_kept(store: Store) -> Result<(), Broken> {
    ensure_eq!(find(&store, "s", "a").await?, None, "what is found in an empty store");
    let whole = result("a");
    keep(&store, "s", &whole).await?;
    ensure_eq!(find(&store, "s", "a").await?, Some(whole), "the result");
    let plain = KeptResult { products: None, log: KeptLog::Blob(key("log")), ..result("b") };
    keep(&store, "s", &plain).await?;
    ensure_eq!(find(&store, "s", "b").await?, Some(plain), "a result whose log is a blob");
    Ok(())
}

async fn results_are_found_in_the_order_of_their_keys(store: Store) -> Result<(), Broken> {
    let (one, two) = (result("one"), result("two"));
    keep(&store, "s", &one).await?;
    keep(&store, "s", &two).await?;
    let keys = ["two", "none", "one", "two"].map(key);
    let found = store.find_results("s", &keys).await?;
    ensure_eq!(found, [Some(two.clone()), None, Some(one), Some(two)], "the results");
    ensure_eq!(store.find_results("s", &[]).await?.len(), 0, "the answers to no question");
    Ok(())
}

async fn the_first_result_of_a_key_stays(store: Store) -> Result<(), Broken> {
    let (first, second) = (result("a"), result("a"));
    keep(&store, "s", &first).await?;
    keep(&store, "s", &second).await?;
    ensure_eq!(find(&store, "s", "a").await?, Some(first), "what is under the key");
    let (one, other) = (result("b"), result("b"));
    let kept = tokio::join!(keep(&store, "s", &one), keep(&store, "s", &other));
    kept.0.and(kept.1)?;
    let found = find(&store, "s", "b").await?;
    ensure!(found == Some(one) || found == Some(other), "of two at once neither is there whole: {found:?}");
    Ok(())
}

async fn results_of_other_scopes_are_not_found(store: Store) -> Result<(), Broken> {
    keep(&store, "s", &result("a")).await?;
    ensure_eq!(find(&store, "t", "a").await?, None, "what another scope finds");
    ensure_eq!(store.last_ingredients("t", &"build".into()).await?, None, "what another scope had last");
    store.forget_result("t", &key("a")).await?;
    store.evict_results("t", 0).await?;
    ensure!(find(&store, "s", "a").await?.is_some(), "another scope took it away");
    Ok(())
}

async fn a_forgotten_result_is_gone_and_another_may_be_kept(store: Store) -> Result<(), Broken> {
    let (first, second) = (result("a"), result("a"));
    keep(&store, "s", &first).await?;
    store.forget_result("s", &key("a")).await?;
    store.forget_result("s", &key("none")).await?;
    ensure_eq!(find(&store, "s", "a").await?, None, "what was forgotten");
    keep(&store, "s", &second).await?;
    ensure_eq!(find(&store, "s", "a").await?, Some(second), "what was kept afterwards");
    Ok(())
}

async fn what_the_last_result_of_a_stage_was_made_of_is_known(store: Store) -> Result<(), Broken> {
    ensure_eq!(store.last_ingredients("s", &"build".into()).await?, None, "the last of none");
    for name in ["a", "b"] {
        store.keep_result("s", &result(name), &made_of(name)).await?;
    }
    let mut last = result("c");
    store.keep_result("s", &last, &made_of("c")).await?;
    let run = last.job.run;
    last = result("d");
    last.job.stage = "other".into();
    store.keep_result("s", &last, &made_of("d")).await?;
    // Using one does not make it the last.
    find(&store, "s", "a").await?;
    let expected = Some((run, made_of("c")));
    ensure_eq!(store.last_ingredients("s", &"build".into()).await?, expected, "the last");
    Ok(())
}

async fn results_that_were_not_used_are_evicted(store: Store) -> Result<(), Broken> {
    for name in ["a", "b", "c"] {
        keep(&store, "s", &result(name)).await?;
    }
    find(&store, "s", "a").await?;
    ensure_eq!(store.evict_results("s", 3).await?, 0, "how many go while there is room");
    ensure_eq!(store.evict_results("s", 1).await?, 2, "how many go");
    let found = store.find_results("s", &["a", "b", "c"].map(key)).await?;
    let there: Vec<bool> = found.iter().map(Option::is_some).collect();
    ensure_eq!(there, [true, false, false], "which of them are there");
    Ok(())
}
