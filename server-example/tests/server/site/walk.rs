//! A furnished server in a browser, and a walk over all of its pages.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Who;
use super::browser::Stage;
use super::things::Things;

const PASSWORD: &str = "correct horse";

/// Pages of which there are many are one: numbers and ids stand for all others.
pub(crate) fn kind(path: &str) -> String {
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

/// What a script returns on the page that is open.
pub(crate) async fn read<T: for<'a> Deserialize<'a>>(stage: &Stage, script: &str, arguments: Vec<Value>) -> T {
    let found = stage.browser.execute(script, arguments).await.unwrap();
    serde_json::from_value(found.json().clone()).unwrap()
}

const LINKS: &str = "return [...document.querySelectorAll('a[href]')].map(link => new URL(link.href)).filter(to => to.host === location.host).map(to => to.pathname + to.search)";

/// Follows links from the dashboard: an address of each kind of page.
pub(crate) async fn pages(stage: &Stage) -> BTreeMap<String, String> {
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
        assert!(pages.len() < 150, "{pages:#?}");
    }
    pages
}

/// An organization with something of each kind in it, whose owner is logged in.
pub(crate) async fn furnished() -> (Stage, Who, Things) {
    let stage = Stage::new().await;
    let owner = stage.site.owner().await;
    let things = Things::new(&stage.site, &owner).await;
    let tenant = format!("/api/v1/tenants/{}", things.tenant);
    let secret = json!({ "value": "s3cr3t-of-the-tenant" });
    stage.site.ask(&owner, axum::http::Method::PUT, &format!("{tenant}/secrets/TOKEN"), Some(secret)).await.ok();
    let registry = json!({ "username": "ann", "password": "s3cr3t-of-ghcr" });
    stage.site.ask(&owner, axum::http::Method::PUT, &format!("{tenant}/registries/ghcr.io"), Some(registry)).await.ok();
    login(&stage, "ada@example.com").await;
    (stage, owner, things)
}

/// Logs in with the password that everybody here has.
pub(crate) async fn login(stage: &Stage, email: &str) {
    stage.open("/login").await;
    stage.write("[name=email]", email).await;
    stage.write("[name=password]", PASSWORD).await;
    stage.click(".main-action").await;
    // To their tenant, or to a choice of several.
    let script = "return location.pathname.endsWith('/login') || document.readyState !== 'complete' ? document.body.innerText || '…' : ''";
    for _ in 0..200 {
        if read::<String>(stage, script, vec![]).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{email} cannot log in: {}", read::<String>(stage, script, vec![]).await);
}

/// Makes a member of this role, who is logged in then.
pub(crate) async fn become_member(stage: &Stage, owner: &Who, email: &str, role: &str) {
    let invited = stage.site.form(owner, "/acme/main/settings/team", &[("email", email), ("role", role)]).await.ok();
    let (_, link) = invited.text.split_once("id=\"invitation\">").unwrap();
    let link = link.split('<').next().unwrap();
    let path = format!("/{}", link.splitn(4, '/').nth(3).unwrap());
    stage.site.form(&Who::away(), &path, &[("name", "Eve"), ("password", PASSWORD)]).await;
    stage.browser.delete_all_cookies().await.unwrap();
    login(stage, email).await;
}
