//! Every page in a real browser, found by following links: who cannot see or has no mouse can use it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "site/browser.rs"]
mod browser;
mod site;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use browser::Stage;
use serde::Deserialize;
use serde_json::Value;

/// The rules of accessibility that a program can check: axe-core, <https://github.com/dequelabs/axe-core>.
const AXE: &str = include_str!("axe/axe.min.js");

/// Pages of which there are many are one: numbers and ids stand for all others.
fn kind(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_id = |part: &str| part.len() == 36 && part.matches('-').count() == 4;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts: Vec<&str> =
        path.split('/').map(|part| if is_id(part) || is_number(part) { "#" } else { part }).collect();
    for at in 1..parts.len() {
        if parts[at - 1] == "pipelines" {
            parts[at] = "#";
        }
    }
    let mut names: Vec<&str> = query
        .split('&')
        .map(|pair| if pair.starts_with("tab=") { pair } else { pair.split('=').next().unwrap_or_default() })
        .collect();
    names.sort_unstable();
    format!("{}?{}", parts.join("/"), names.join("&"))
}

const LINKS: &str = "return [...document.querySelectorAll('a[href]')].map(link => new URL(link.href)).filter(to => to.host === location.host).map(to => to.pathname + to.search)";

async fn read<T: for<'a> Deserialize<'a>>(stage: &Stage, script: &str, arguments: Vec<Value>) -> T {
    let found = stage.browser.execute(script, arguments).await.unwrap();
    serde_json::from_value(found.json().clone()).unwrap()
}

/// Follows links from the dashboard: an address of each kind of page.
async fn pages(stage: &Stage) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut ahead = VecDeque::from(["/acme/main".to_owned()]);
    while let Some(path) = ahead.pop_front() {
        if pages.contains_key(&kind(&path)) {
            continue;
        }
        stage.open(&path).await;
        pages.insert(kind(&path), path.clone());
        for to in read::<Vec<String>>(stage, LINKS, vec![]).await {
            let is_page = !to.starts_with("/api/") && !to.ends_with("/raw") && !to.contains("/artifacts/");
            if is_page {
                ahead.push_back(to);
            }
        }
        assert!(pages.len() < 100, "{pages:#?}");
    }
    pages
}

/// An organization with something of each kind in it.
async fn furnished() -> Stage {
    let stage = Stage::new().await;
    stage.found().await;
    stage.start("pipeline \"red\"\nstage \"build\" { run \"echo x > x; echo '# Built' > $BUILDIT_SUMMARY\"; artifacts \"x\" name=\"result\" }\nstage \"fail\" { needs \"build\"; run \"false\" }").await;
    stage.until_state("failed").await;
    stage.start("pipeline \"careful\"\nstage \"ask\" { approval { message \"Go?\" }; run \"true\" }").await;
    stage.until_state("waiting").await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn no_page_has_a_serious_fault_of_accessibility() {
    let stage = furnished().await;
    let mut found = BTreeSet::new();
    let pages = pages(&stage).await;
    for theme in ["dark", "light"] {
        for path in pages.values().map(String::as_str).chain(["/account", "/forgot", "/tenants"]) {
            stage.open(path).await;
            let set = "document.documentElement.dataset.theme = arguments[0]";
            stage.browser.execute(set, vec![theme.into()]).await.unwrap();
            stage.browser.execute(AXE, vec![]).await.unwrap();
            let run = "return (await axe.run()).violations.filter(one => ['serious', 'critical'].includes(one.impact)).flatMap(one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 160)}: ${(node.failureSummary || '').replace(/\\s+/g, ' ').slice(0, 200)}`))";
            let faults: Vec<String> = read(&stage, run, vec![]).await;
            found.extend(faults.into_iter().map(|fault| format!("{theme} {}: {fault}", kind(path))));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    stage.browser.quit().await.unwrap();
}
