//! Every page in a real browser, found by following links: who cannot see or has no mouse can use it, and it looks as it did
//! when somebody last looked.

use std::collections::BTreeSet;

use crate::site::golden;
use crate::site::walk::{furnished, kind, pages, read};

/// The rules of accessibility that a program can check: axe-core, <https://github.com/dequelabs/axe-core>.
const AXE: &str = include_str!("../axe/axe.min.js");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn no_page_has_a_serious_fault_of_accessibility_or_looks_otherwise() {
    let (stage, _, _things) = furnished().await;
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
            found.extend(golden::compare(&stage, &kind(path), theme).await);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    stage.browser.quit().await.unwrap();
}
