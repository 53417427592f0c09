//! Every page in a real browser, found by following links: what one can press does something, and who cannot see or has no
//! mouse can use it.

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

/// Buttons that change what one sees and nothing on the server.
const TOGGLES: [&str; 3] = ["#keys-open", "[data-copy]", "dialog button"];

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

/// Something that can be pressed.
#[derive(Clone, Debug, Deserialize)]
struct Control {
    /// `link`, `submit`, `button`.
    kind: String,
    /// Where a link or a form leads.
    to: String,
    method: String,
    text: String,
    /// Its place among what can be pressed on the page.
    at: usize,
    is_toggle: bool,
    is_danger: bool,
}

impl Control {
    fn key(&self) -> String {
        format!("{} {} {} {}", self.kind, self.method, kind(&self.to), self.text)
    }

    /// Those last after which there is less.
    fn order(&self) -> (bool, bool) {
        (self.to.ends_with("/logout"), self.is_danger || self.to.ends_with("/delete") || self.to.ends_with("/revoke"))
    }
}

const CONTROLS: &str = r#"
    const path = url => { const at = new URL(url, location.href); return at.host === location.host ? at.pathname + at.search + at.hash : url; };
    return [...document.querySelectorAll('a, button, input[type=submit], summary')].map((one, at) => {
        const form = one.form;
        const isSubmit = form && form.method !== 'dialog' && one.type === 'submit';
        return {
            kind: one.tagName === 'A' ? 'link' : isSubmit ? 'submit' : 'button',
            to: one.tagName === 'A' ? (one.getAttribute('href') === null ? '' : path(one.href)) : isSubmit ? path(one.formAction || form.action) : '',
            method: isSubmit ? form.method : '',
            text: (one.getAttribute('aria-label') || one.textContent).trim().slice(0, 60),
            at,
            is_toggle: arguments[0].some(css => one.matches(css)) || one.tagName === 'SUMMARY',
            is_danger: one.classList.contains('danger'),
            shown: one.checkVisibility(),
        };
    }).filter(one => one.shown);
"#;

/// Fills what a form requires and presses its button.
const PRESS: &str = r#"
    const one = [...document.querySelectorAll('a, button, input[type=submit], summary')][arguments[0]];
    window.pressed = true;
    window.changes = 0;
    new MutationObserver(found => { window.changes += found.length; }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    const own = document.querySelector('h1, .crumbs [aria-current]');
    for (const field of one.form ? one.form.elements : []) {
        if (field.value || field.disabled || field.type === 'hidden' || !field.matches('input, textarea')) continue;
        if (field.type === 'email') field.value = `somebody-${arguments[1]}@example.com`;
        else if (field.type === 'password') field.value = 'correct horse';
        else if (field.type === 'number') field.value = field.min || '1';
        else if (field.type === 'search' || field.required || field.tagName === 'TEXTAREA') field.value = `thing-${arguments[1]}`;
    }
    one.click();
"#;

/// What is on the page now.
#[derive(Debug, Deserialize)]
struct Now {
    path: String,
    is_same: bool,
    changes: u64,
    is_ready: bool,
    title: String,
}

const NOW: &str = "return { path: location.pathname + location.search, is_same: window.pressed === true, changes: window.changes || 0, is_ready: document.readyState === 'complete', title: document.title }";

async fn read<T: for<'a> Deserialize<'a>>(stage: &Stage, script: &str, arguments: Vec<Value>) -> T {
    let found = stage.browser.execute(script, arguments).await.unwrap();
    serde_json::from_value(found.json().clone()).unwrap()
}

async fn controls(stage: &Stage) -> Vec<Control> {
    read(stage, CONTROLS, vec![TOGGLES.to_vec().into()]).await
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
        for control in controls(stage).await {
            let to = control.to.split('#').next().unwrap_or_default();
            let is_page = control.kind == "link" && to.starts_with('/') && !to.starts_with("/api/");
            if is_page && !to.ends_with("/raw") && !to.contains("/artifacts/") {
                ahead.push_back(to.to_owned());
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

async fn login(stage: &Stage, email: &str) {
    stage.open("/login").await;
    stage.write("[name=email]", email).await;
    stage.write("[name=password]", "correct horse").await;
    stage.click(".main-action").await;
    stage.find(".side").await;
}

/// What is wrong with a link; nothing, when it leads somewhere.
async fn follow(stage: &Stage, page: &str, to: &str) -> Option<String> {
    if to.is_empty() || to == "#" || to.starts_with("javascript:") || to.ends_with("##") {
        return Some(format!("{page}: a link to {to:?}"));
    }
    if !to.starts_with('/') {
        return Some(format!("{page}: a link to another host, {to}"));
    }
    let (path, fragment) = to.split_once('#').unwrap_or((to, ""));
    let is_here = path == page && !fragment.is_empty();
    let script = if is_here {
        "return document.getElementById(arguments[1]) ? 200 : 404"
    } else {
        "return (await fetch(arguments[0], { headers: { accept: 'text/html' } })).status"
    };
    let status: u16 = read(stage, script, vec![path.into(), fragment.into()]).await;
    (status >= 400).then(|| format!("{page}: a link to {to} gives {status}"))
}

/// What is wrong with a button; nothing, when it does something.
async fn press(stage: &Stage, page: &str, control: &Control, count: usize) -> Option<String> {
    stage.browser.execute(PRESS, vec![control.at.into(), count.into()]).await.unwrap();
    let told = || format!("{page}: {:?} ({})", control.text, control.to);
    for _ in 0..200 {
        let now: Now = match stage.browser.execute(NOW, vec![]).await {
            Ok(found) => serde_json::from_value(found.json().clone()).unwrap(),
            // Between two pages there is nobody to ask.
            Err(_) => continue,
        };
        if control.is_toggle && now.changes > 0 {
            return None;
        }
        if !control.is_toggle && !now.is_same && now.is_ready {
            let is_problem = ["Something went wrong", "no such thing", "Not Found", "Internal"];
            let wrong = is_problem.iter().any(|words| now.title.contains(words));
            return wrong.then(|| format!("{} leads to {:?} at {}", told(), now.title, now.path));
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    Some(format!("{} does nothing", told()))
}

/// Presses what can be pressed on these pages, each kind once.
async fn press_all(stage: &Stage, email: &str) {
    let (mut pressed, mut wrong, mut count) = (BTreeSet::new(), Vec::new(), 0);
    let found = pages(stage).await;
    for is_last in [(false, false), (false, true), (true, false)] {
        for page in found.values() {
            loop {
                stage.open(page).await;
                if stage.browser.current_url().await.unwrap().path().ends_with("/login") {
                    login(stage, email).await;
                    stage.open(page).await;
                }
                let is_next = |control: &&Control| control.order() == is_last && !pressed.contains(&control.key());
                let Some(control) = controls(stage).await.iter().find(is_next).cloned() else { break };
                pressed.insert(control.key());
                count += 1;
                wrong.extend(match control.kind.as_str() {
                    "link" => follow(stage, page, &control.to).await,
                    _ => press(stage, page, &control, count).await,
                });
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 30, "{pressed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn whatever_an_owner_can_press_does_something() {
    let stage = furnished().await;
    press_all(&stage, "ada@example.com").await;
    stage.browser.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn whatever_a_viewer_can_press_does_something() {
    let stage = furnished().await;
    stage.open("/acme/main/settings/team").await;
    stage.write("[name=email]", "eve@example.com").await;
    stage.browser.execute("document.querySelector('select[name=role]:not([aria-hidden])'); [...document.querySelectorAll('select[name=role]')].at(-1).value = 'viewer'", vec![]).await.unwrap();
    stage.click("form .main-action").await;
    let link = stage.text("#invitation").await;
    let path = format!("/{}", link.splitn(4, '/').nth(3).unwrap());
    stage.browser.delete_all_cookies().await.unwrap();
    stage.open(&path).await;
    stage.write("[name=password]", "correct horse").await;
    stage.click(".main-action").await;
    stage.find(".side").await;
    press_all(&stage, "eve@example.com").await;
    stage.browser.quit().await.unwrap();
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
