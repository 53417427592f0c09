//! Every page in a real browser, as each role sees it: what one can press does something.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::site::browser::Stage;
use crate::site::walk::{become_member, furnished, kind, login, pages, read};
use serde::Deserialize;

/// Buttons that change what one sees and nothing on the server.
const TOGGLES: [&str; 4] = ["#keys-open", "[data-copy]", "dialog button", "#times"];

/// How often a page is looked at for what a button has done, and how long it is left alone in between.
const LOOKS: usize = 200;
const BETWEEN: Duration = Duration::from_millis(25);

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

/// When something is pressed: later what leaves less to press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    /// It takes something away.
    Danger,
    /// It takes the one who presses away.
    Leaving,
}

impl Control {
    fn key(&self) -> String {
        // What leads to another place of the same page is the same on all of them.
        let to = self.to.split_once('#').map_or_else(|| kind(&self.to), |(_, place)| place.to_owned());
        format!("{} {} {} {}", self.kind, self.method, to, self.text)
    }

    fn turn(&self) -> Turn {
        let leads = |ends: &[&str]| ends.iter().any(|end| self.to.ends_with(end));
        let takes_away = leads(&["/delete", "/revoke", "/cancel"]);
        let leaves = leads(&["/logout", "/settings/tenant", "/settings/organization", "/rename"]);
        match () {
            () if self.kind == "submit" && leaves => Turn::Leaving,
            () if self.is_danger || takes_away => Turn::Danger,
            () => Turn::First,
        }
    }
}

const CONTROLS: &str = r#"
    const path = url => { const at = new URL(url, location.href); return at.host === location.host ? at.pathname + at.search + at.hash : url; };
    return [...document.querySelectorAll('a, button, input[type=submit], summary')].map((one, at) => {
        const form = one.form;
        const isSubmit = form && form.method !== 'dialog' && one.type === 'submit';
        return {
            kind: one.tagName === 'A' ? 'link' : isSubmit ? 'submit' : 'button',
            to: one.tagName === 'A' ? (one.getAttribute('href') === null ? '' : path(one.href)) : isSubmit ? path(one.hasAttribute('formaction') ? one.formAction : form.action) : '',
            method: isSubmit ? form.method : '',
            text: (one.getAttribute('aria-label') || one.textContent).trim().slice(0, 60),
            at,
            is_toggle: arguments[0].some(css => one.matches(css)) || one.tagName === 'SUMMARY',
            is_danger: one.classList.contains('danger'),
            shown: one.checkVisibility() && !one.matches(':disabled'),
        };
    }).filter(one => one.shown);
"#;

/// Fills what a form requires, changes what it has if it is to save that, and presses its button.
const PRESS: &str = r#"
    const one = [...document.querySelectorAll('a, button, input[type=submit], summary')][arguments[0]];
    window.pressed = true;
    window.changes = 0;
    new MutationObserver(found => { window.changes += found.length; }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    for (const field of one.form ? one.form.elements : []) {
        if (field.value || field.disabled || field.type === 'hidden' || !field.matches('input, textarea')) continue;
        if (field.type === 'email') field.value = `somebody-${arguments[1]}@example.com`;
        else if (field.type === 'password') field.value = field.required ? 'correct horse' : '';
        // What is to be typed to take something away stands there.
        else if (one.form.action.endsWith('/delete')) field.value = field.placeholder || one.form.querySelector('b').textContent;
        else if (field.name === 'name') field.value = `thing-${arguments[1]}`;
        else if (field.name === 'host') field.value = `registry-${arguments[1]}.example`;
        else if (field.name === 'url') field.value = arguments[2];
        else if (field.type === 'url' || field.name === 'target') field.value = 'https://example.com/';
        else if (field.type === 'number') field.value = field.min || '1';
        else if (field.type === 'search' || field.required || field.name === 'config') field.value = `thing-${arguments[1]}`;
        // The name of a variable has no dash.
        if (!field.checkValidity()) field.value = `thing_${arguments[1]}`;
    }
    if (arguments[3]) {
        const fields = [...one.form.elements].filter(field => !field.disabled && field.type !== 'hidden');
        const of = css => fields.find(field => field.matches(css));
        const [box, choice, number, text] =
            [of('[type=checkbox]'), of('select'), of('[type=number]'), of('textarea') || of('input:not([type=password], [type=email])')];
        if (box) box.checked = !box.checked;
        else if (choice) choice.selectedIndex = (choice.selectedIndex + 1) % choice.options.length;
        else if (number) number.value = Number(number.value) + 1;
        else if (!text) { /* Passwords are what it has, and have been filled in. */ }
        else text.value += text.matches('textarea') ? '\n' : `-${arguments[1]}`;
    }
    one.click();
"#;

/// What is on the page now.
#[derive(Debug, Deserialize)]
struct Now {
    path: String,
    /// Nothing was loaded since the button was pressed.
    is_same: bool,
    changes: u64,
    is_ready: bool,
    /// With what the server has answered.
    status: u16,
    text: String,
    /// What its forms are filled with.
    fields: Vec<String>,
}

const NOW: &str = "return { path: location.pathname + location.search, is_same: window.pressed === true, changes: window.changes || 0, is_ready: document.readyState === 'complete', status: performance.getEntriesByType('navigation')[0]?.responseStatus || 0, text: document.body.innerText, fields: [...document.querySelectorAll('input:not([type=hidden]), select, textarea')].map(field => `${field.name}=${field.value}${field.checked ? ' checked' : ''}`) }";

async fn controls(stage: &Stage) -> Vec<Control> {
    read(stage, CONTROLS, vec![TOGGLES.to_vec().into()]).await
}

/// What is wrong with a link; nothing, when it leads somewhere.
async fn follow(stage: &Stage, page: &str, to: &str) -> Option<String> {
    if to.is_empty() || to == "#" || to.starts_with("javascript:") || to.ends_with("##") {
        return Some(format!("{page}: a link to {to:?}"));
    }
    // As the server is called in what others are told.
    let to = to.strip_prefix("http://localhost:30080").unwrap_or(to);
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

/// What is wrong with a button; nothing, when it does something: what only toggles changes the page, anything else loads
/// another one, or the same one that says something else now.
async fn press(stage: &Stage, repository: &str, page: &str, control: &Control, count: usize) -> Option<String> {
    let before: Now = read(stage, NOW, vec![]).await;
    let saves =
        control.method == "post" && ["Save", "Change", "Rename"].iter().any(|word| control.text.starts_with(word));
    let arguments = vec![control.at.into(), count.into(), repository.into(), saves.into()];
    stage.browser.execute(PRESS, arguments).await.unwrap();
    let told = || format!("{page}: {:?} ({})", control.text, control.to);
    for _ in 0..LOOKS {
        let now: Now = match stage.browser.execute(NOW, vec![]).await {
            Ok(found) => serde_json::from_value(found.json().clone()).unwrap(),
            // Between two pages there is nobody to ask.
            Err(_) => {
                tokio::time::sleep(BETWEEN).await;
                continue;
            }
        };
        if control.is_toggle && now.changes > 0 {
            return None;
        }
        if !control.is_toggle && !now.is_same && now.is_ready {
            // What others still need is not taken away, and says who they are.
            let is_needed = now.status == 409 && control.turn() == Turn::Danger;
            if now.status >= 400 && !is_needed {
                return Some(format!("{} is answered with {} at {}: {}", told(), now.status, now.path, now.text));
            }
            // A theme is looked at, a search may find what is shown already, and what is as it was is found so.
            let may_stay = control.to.ends_with("/theme") || control.to.ends_with("/check") || control.method == "get";
            let says_else = now.path != before.path || now.text != before.text || now.fields != before.fields;
            return (!says_else && !may_stay).then(|| format!("{} changes nothing", told()));
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Some(format!("{} does nothing", told()))
}

/// Presses what can be pressed on the pages that this one finds, each kind once.
async fn press_all(stage: &Stage, email: &str, repository: &str, least: usize) {
    let (mut pressed, mut wrong, mut count) = (BTreeSet::new(), Vec::new(), 0);
    let found = pages(stage).await;
    for turn in [Turn::First, Turn::Danger, Turn::Leaving] {
        for page in found.values() {
            loop {
                stage.open(page).await;
                if stage.browser.current_url().await.unwrap().path().ends_with("/login") {
                    login(stage, email).await;
                    stage.open(page).await;
                }
                let is_next = |control: &&Control| control.turn() == turn && !pressed.contains(&control.key());
                let Some(control) = controls(stage).await.iter().find(is_next).cloned() else { break };
                pressed.insert(control.key());
                count += 1;
                wrong.extend(match control.kind.as_str() {
                    "link" => follow(stage, page, &control.to).await,
                    _ => press(stage, repository, page, &control, count).await,
                });
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count >= least, "{pressed:#?}");
}

async fn as_member(role: &str, least: usize) {
    let (stage, owner, things) = furnished().await;
    become_member(&stage, &owner, "eve@example.com", role).await;
    press_all(&stage, "eve@example.com", things.unconnected(), least).await;
    stage.browser.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn whatever_an_owner_can_press_does_something() {
    let (stage, _, things) = furnished().await;
    press_all(&stage, "ada@example.com", things.unconnected(), 100).await;
    stage.browser.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn whatever_an_admin_can_press_does_something() {
    as_member("admin", 90).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn whatever_a_member_can_press_does_something() {
    as_member("member", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn whatever_a_viewer_can_press_does_something() {
    as_member("viewer", 40).await;
}
