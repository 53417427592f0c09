//! Sign-in with a provider: who is let in, who is not, and what a page of an account says of it.

#![cfg(feature = "oidc")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::site::browser::Stage;
use crate::site::provider::{CLIENT, Lie, Provider, SECRET};
use crate::site::{Answer, Site, Who};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

/// A browser somewhere, with its cookies.
#[derive(Clone)]
struct Browser {
    who: Who,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One at an address of its own, so that none is taken for another that tries too often.
    fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let mut who = Who::away().with("sec-fetch-site", "same-origin");
        who.peer.set_ip([198, 51, 100, NEXT.fetch_add(1, Ordering::Relaxed)].into());
        Self { who, cookies: BTreeMap::new() }
    }

    /// The one that somebody has logged in with.
    fn of(who: &Who) -> Self {
        let cookie = who.headers.iter().find(|(name, _)| name == "cookie").unwrap();
        let (name, value) = cookie.1.split_once('=').unwrap();
        Self { cookies: BTreeMap::from([(name.to_owned(), value.to_owned())]), ..Self::new() }
    }

    fn who(&self) -> Who {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { self.who.clone() } else { self.who.clone().with("cookie", &cookies.join("; ")) }
    }

    fn got(&mut self, answer: Answer) -> Answer {
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    async fn get(&mut self, site: &Site, path: &str) -> Answer {
        let answer = site.ask(&self.who(), Method::GET, path, None).await;
        self.got(answer)
    }

    async fn form(&mut self, site: &Site, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = site.form(&self.who(), path, fields).await;
        self.got(answer)
    }

    /// Goes to the provider, and gives the path that it sends back to.
    async fn leave(&mut self, site: &Site, path: &str) -> String {
        let away = self.get(site, path).await;
        assert_eq!(away.status, StatusCode::SEE_OTHER, "{}", away.text);
        follow(away.header("location")).await
    }

    /// There and back again.
    async fn sign_in(&mut self, site: &Site, path: &str) -> Answer {
        let back = self.leave(site, path).await;
        self.get(site, &back).await
    }

    async fn is_in(&mut self, site: &Site) -> bool {
        self.get(site, "/account").await.status == StatusCode::OK
    }
}

/// Lets the provider send one back, and gives the path.
async fn follow(url: &str) -> String {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = http.get(url).send().await.unwrap();
    let back = answer.headers()["location"].to_str().unwrap();
    back.strip_prefix("http://localhost:30080").unwrap_or_else(|| panic!("{back}")).to_owned()
}

/// A provider named `acme`, and what the settings say of it.
fn acme(provider: &Provider, more: Value) -> Value {
    let mut all = json!({
        "name": "acme",
        "label": "Acme",
        "issuer": provider.url,
        "client_id": CLIENT,
        "client_secret": SECRET,
    });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// Everybody of `example.com` is a member.
fn by_domain() -> Value {
    json!({ "admit": [{ "organization": "acme", "role": "member", "email_domain": "example.com" }] })
}

async fn open(folder: &Path, providers: &[Value]) -> Site {
    let mut settings = Site::settings(folder);
    settings.oidc = providers.iter().cloned().map(|provider| serde_json::from_value(provider).unwrap()).collect();
    Site::open_with(settings).await
}

/// A provider, and a server with an owner that has it.
async fn site(more: Value) -> (Provider, Site, Who, tempfile::TempDir) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (provider, folder) = (Provider::open().await, tempfile::tempdir().unwrap());
    let site = open(folder.path(), &[acme(&provider, more)]).await;
    let owner = site.owner().await;
    (provider, site, owner, folder)
}

fn bob() -> Value {
    json!({ "sub": "1", "email": "bob@example.com", "email_verified": true, "name": "Bob" })
}

/// The members of the organization with their roles.
async fn members(site: &Site, owner: &Who) -> Vec<String> {
    let found = site.get(owner, "/api/v1/organizations").await.ok().json();
    let path = format!("/api/v1/organizations/{}/members", found["items"][0]["id"].as_str().unwrap());
    let found = site.get(owner, &path).await.ok().json();
    let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let all = found["items"].as_array().unwrap();
    all.iter().map(|one| format!("{} {}", word(one, "email"), word(one, "role"))).collect()
}

#[tokio::test]
async fn who_is_admitted_gets_an_account_and_comes_back_to_it() {
    let (provider, site, owner, folder) = site(by_domain()).await;
    let login = site.get(&Who::away(), "/login?next=/acme/main/queue").await.text;
    assert!(login.contains("Sign in with Acme"), "{login}");
    assert!(login.contains("/login/acme?next=%2Facme%2Fmain%2Fqueue"), "{login}");

    provider.is(bob());
    let mut browser = Browser::new();
    let away = browser.get(&site, "/login/acme?next=/acme/main/queue").await;
    let cookie = away.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/login"),
        "{cookie}"
    );
    assert!(away.header("location").contains("redirect_uri=http%3A%2F%2Flocalhost%3A30080%2Flogin%2Facme%2Fcallback"));
    let back = follow(away.header("location")).await;
    let entered = browser.get(&site, &back).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/acme/main/queue"));
    assert_eq!(browser.get(&site, "/acme/main/queue").await.status, StatusCode::OK);
    assert!(!browser.cookies.contains_key("buildit_sign_in"), "what was begun is over");
    assert_eq!(members(&site, &owner).await, ["ada@example.com owner", "bob@example.com member"]);
    let page = browser.get(&site, "/account").await.text;
    assert!(page.contains("Known to be yours") && page.contains("You have none") && page.contains("Bob"), "{page}");
    let log = site.get(&owner, "/acme/main/settings/audit").await.text;
    assert!(log.contains("account.login") && log.contains("member.join") && log.contains("Acme"), "{log}");

    // Known by the subject from now on, whatever the address is.
    provider.changes_key();
    provider.is(json!({ "sub": "1", "email": "robert@elsewhere.example", "email_verified": false }));
    drop(site);
    let site = open(folder.path(), &[acme(&provider, by_domain())]).await;
    let mut again = Browser::new();
    let entered = again.sign_in(&site, "/login/acme?next=//evil.example").await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"), "to no other site");
    assert!(again.get(&site, "/account").await.text.contains("bob@example.com"));
    assert_eq!(members(&site, &owner).await.len(), 2);
}

#[tokio::test]
async fn a_token_that_proves_nothing_lets_nobody_in() {
    let (provider, site, owner, _folder) = site(by_domain()).await;
    provider.is(bob());
    for lie in [
        Lie::NoToken,
        Lie::OtherNonce,
        Lie::NoNonce,
        Lie::OtherAudience,
        Lie::SecondAudience,
        Lie::Expired,
        Lie::Unsigned,
        Lie::SignedWithSecret,
        Lie::OtherIssuer,
        Lie::OtherKey,
        Lie::Altered,
    ] {
        provider.lies(lie);
        let mut browser = Browser::new();
        let refused = browser.sign_in(&site, "/login/acme").await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{lie:?}: {}", refused.text);
        assert!(refused.text.contains("nobody is signed in"), "{lie:?}: {}", refused.text);
        assert!(browser.cookies.is_empty() && !browser.is_in(&site).await, "{lie:?}");
    }
    assert_eq!(members(&site, &owner).await, ["ada@example.com owner"]);
    provider.lies(Lie::None);
    let mut browser = Browser::new();
    assert_eq!(browser.sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER);
    assert!(browser.is_in(&site).await, "the same with a token that is right");
}

#[tokio::test]
async fn a_sign_in_is_of_its_browser_and_works_once() {
    let (provider, site, _, _folder) = site(by_domain()).await;
    provider.is(bob());
    let mut browser = Browser::new();
    let back = browser.leave(&site, "/login/acme").await;

    let stolen = Browser::new().get(&site, &back).await;
    assert_eq!(stolen.status, StatusCode::CONFLICT, "another browser");
    let mut other = Browser::new();
    let others = other.leave(&site, "/login/acme").await;
    let mixed = other.clone().get(&site, &back).await;
    assert_eq!(mixed.status, StatusCode::CONFLICT, "a browser that has begun something else");
    assert_eq!(other.get(&site, &others).await.status, StatusCode::CONFLICT, "what was tried once is over");

    let before = browser.clone();
    assert_eq!(browser.get(&site, &back).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get(&site, &back).await.status, StatusCode::CONFLICT, "the same again");
    assert_eq!(before.clone().get(&site, &back).await.status, StatusCode::CONFLICT, "with the cookie of before");
    let asked = provider.asked("/token");
    let mut forged = Browser::new();
    let good = forged.leave(&site, "/login/acme").await;
    let wrong = good.replace("state=", "state=x");
    assert_eq!(forged.get(&site, &wrong).await.status, StatusCode::CONFLICT, "another state");
    assert_eq!(provider.asked("/token"), asked, "nobody is asked for it");

    // A code that the provider has given something for already.
    let code = |path: &str| path.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let mut again = Browser::new();
    let fresh = again.leave(&site, "/login/acme").await;
    let used = again.get(&site, &fresh.replace(&code(&fresh), &code(&back))).await;
    assert_eq!(used.status, StatusCode::CONFLICT, "{}", used.text);

    let mut denied = Browser::new();
    let away = denied.leave(&site, "/login/acme").await;
    let said = denied.get(&site, &away.replace(&format!("code={}", code(&away)), "error=%3Cb%3Eaccess_denied")).await;
    assert_eq!(said.status, StatusCode::FORBIDDEN);
    assert!(said.text.contains("access_denied") && !said.text.contains("<b>access"), "{}", said.text);
    let mut other = Browser::new();
    let back = other.leave(&site, "/login/acme").await;
    let mixed = other.get(&site, &format!("{back}&iss=https%3A%2F%2Fother.example")).await;
    assert_eq!(mixed.status, StatusCode::CONFLICT, "{}", mixed.text);
}

#[tokio::test]
async fn who_is_not_admitted_gets_no_account() {
    let (provider, site, owner, _folder) = site(by_domain()).await;
    for claims in [
        json!({ "sub": "1", "email": "eve@evil.example", "email_verified": true }),
        json!({ "sub": "2", "email": "eve@example.com", "email_verified": false }),
        json!({ "sub": "3", "email": "eve@example.com" }),
        json!({ "sub": "4", "name": "Eve" }),
    ] {
        provider.is(claims.clone());
        provider.tells(json!({ "sub": claims["sub"] }));
        let mut browser = Browser::new();
        let refused = browser.sign_in(&site, "/login/acme").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{claims}: {}", refused.text);
        assert!(refused.text.contains("invit"), "{}", refused.text);
        assert!(!browser.is_in(&site).await, "{claims}");
    }
    assert_eq!(members(&site, &owner).await, ["ada@example.com owner"]);
}

#[tokio::test]
async fn claims_admit_too_and_who_is_a_member_stays_what_they_are() {
    let rules = json!({ "admit": [
        { "organization": "acme", "role": "viewer", "email_domain": "example.com" },
        { "organization": "acme", "role": "admin", "claim": "groups", "value": "ops" },
        { "organization": "nowhere", "role": "owner", "claim": "groups", "value": "ops" },
    ] });
    let (provider, site, owner, _folder) = site(rules).await;
    // The token tells no groups, but the provider does when it is asked.
    provider.is(bob());
    provider.tells(json!({ "sub": "1", "groups": ["dev", "ops"] }));
    assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER);
    assert_eq!(members(&site, &owner).await, ["ada@example.com owner", "bob@example.com admin"]);
    // What is told of another subject is told of nobody.
    provider.is(json!({ "sub": "2", "email": "carol@example.com", "email_verified": "true" }));
    assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER);
    let expected = ["ada@example.com owner", "bob@example.com admin", "carol@example.com viewer"];
    assert_eq!(members(&site, &owner).await, expected);
    provider.tells(json!({ "sub": "2", "groups": "ops" }));
    assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER);
    assert_eq!(members(&site, &owner).await, expected);
}

#[tokio::test]
async fn an_address_alone_links_nothing() {
    let (provider, site, _, _folder) = site(by_domain()).await;
    provider.is(json!({ "sub": "9", "email": "Ada@Example.com", "email_verified": true }));
    let mut browser = Browser::new();
    let asked = browser.sign_in(&site, "/login/acme?next=/acme/main").await;
    assert_eq!(asked.status, StatusCode::OK);
    assert!(asked.text.contains("Is it you?") && asked.text.contains("ada@example.com"), "{}", asked.text);
    assert!(!browser.is_in(&site).await);

    let stranger = Browser::new().form(&site, "/login/acme/link", &[("password", "correct horse")]).await;
    assert_eq!(stranger.status, StatusCode::CONFLICT, "who did not come from the provider");
    let wrong = browser.form(&site, "/login/acme/link", &[("password", "wrong horse")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    assert!(!browser.is_in(&site).await);
    let (before, right) = (browser.clone(), [("password", "correct horse")]);
    let entered = browser.form(&site, "/login/acme/link", &right).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/acme/main"), "{}", entered.text);
    assert!(browser.get(&site, "/account").await.text.contains("ada@example.com"));
    assert_eq!(before.clone().form(&site, "/login/acme/link", &right).await.status, StatusCode::CONFLICT, "used up");
    let entered = Browser::new().sign_in(&site, "/login/acme").await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "from now on");

    // An address that is not theirs is not even asked about.
    provider.is(json!({ "sub": "10", "email": "ada@example.com", "email_verified": false }));
    assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn addresses_that_are_verified_on_either_side_are_linked_where_the_settings_say_so() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (first, second, folder) = (Provider::open().await, Provider::open().await, tempfile::tempdir().unwrap());
    let other = json!({ "name": "other", "links_addresses": true, "trusts_addresses": true });
    let site = open(folder.path(), &[acme(&first, by_domain()), acme(&second, other)]).await;
    site.owner().await;
    first.is(bob());
    let mut browser = Browser::new();
    browser.sign_in(&site, "/login/acme").await;
    // It does not say that the address is verified, and is trusted.
    second.is(json!({ "sub": "elsewhere", "email": "bob@example.com" }));
    let mut elsewhere = Browser::new();
    assert_eq!(elsewhere.sign_in(&site, "/login/other").await.status, StatusCode::SEE_OTHER);
    assert!(elsewhere.get(&site, "/account").await.text.contains("Bob"));
    // The owner has shown no address: who made that account may have made it for somebody else's.
    second.is(json!({ "sub": "ada", "email": "ada@example.com" }));
    let asked = Browser::new().sign_in(&site, "/login/other").await;
    assert!(asked.status == StatusCode::OK && asked.text.contains("Is it you?"), "{}", asked.text);
    // Without that setting, one who has no password is asked to come as before.
    first.is(json!({ "sub": "2", "email": "bob@example.com", "email_verified": true }));
    let refused = Browser::new().sign_in(&site, "/login/acme").await;
    assert!(refused.status == StatusCode::CONFLICT && refused.text.contains("log in as you did"), "{}", refused.text);
}

#[tokio::test]
async fn an_invitation_is_accepted_with_a_provider() {
    let (provider, site, owner, _folder) = site(json!({})).await;
    let invite = async |email: &str| {
        let fields = [("email", email), ("role", "admin")];
        let page = site.form(&owner, "/acme/main/settings/team", &fields).await.text;
        let at = page.find("/invitations/join_").unwrap_or_else(|| panic!("{page}"));
        let rest = &page[at..];
        rest[..rest.find(|character: char| !(character.is_ascii_alphanumeric() || "/_-".contains(character))).unwrap()]
            .to_owned()
    };
    let link = invite("carol@example.com").await;
    let page = site.get(&Who::away(), &link).await.text;
    let at = page.find("/login/acme?invitation=").unwrap_or_else(|| panic!("{page}"));
    let way = page[at..].split('"').next().unwrap().to_owned();

    provider.is(json!({ "sub": "carol", "email": "carol@home.example", "email_verified": true, "name": "Carol" }));
    let refused = Browser::new().sign_in(&site, "/login/acme").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "without the invitation");
    let mut browser = Browser::new();
    let entered = browser.sign_in(&site, &way).await;
    assert_eq!((entered.status, entered.header("location")), (StatusCode::SEE_OTHER, "/"), "{}", entered.text);
    assert_eq!(members(&site, &owner).await, ["ada@example.com owner", "carol@home.example admin"]);
    let again = Browser::new().get(&site, &way).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "it works once: {}", again.text);

    // Without an address of theirs they have that which they were invited at, as yet not known to be theirs.
    let link = invite("dan@example.com").await;
    provider.is(json!({ "sub": "dan" }));
    provider.tells(json!({ "sub": "dan" }));
    let mut browser = Browser::new();
    let way = format!("/login/acme?invitation={}", link.strip_prefix("/invitations/").unwrap());
    assert_eq!(browser.sign_in(&site, &way).await.status, StatusCode::SEE_OTHER);
    let page = browser.get(&site, "/account").await.text;
    assert!(page.contains("dan@example.com") && page.contains("Not yet known"), "{page}");
}

#[tokio::test]
async fn accounts_elsewhere_are_added_and_removed_on_the_page_of_an_account() {
    let (provider, site, owner, _folder) = site(by_domain()).await;
    let mut ada = Browser::of(&owner);
    assert!(ada.get(&site, "/account").await.text.contains("None lets you in yet"));
    let wrong = ada.form(&site, "/account/links", &[("provider", "acme"), ("old", "wrong horse")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.text);
    let nowhere = ada.form(&site, "/account/links", &[("provider", "nowhere"), ("old", "correct horse")]).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    let away = Browser::new().form(&site, "/account/links", &[("provider", "acme")]).await;
    assert_eq!(away.header("location"), "/login", "nobody adds anything");

    provider.is(json!({ "sub": "ada", "email": "countess@home.example", "email_verified": true }));
    let link = async |browser: &mut Browser, password: &str| {
        let page = browser.form(&site, "/account/links", &[("provider", "acme"), ("old", password)]).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let back = follow(page.header("refresh").strip_prefix("0; url=").unwrap()).await;
        browser.get(&site, &back).await
    };
    let done = link(&mut ada, "correct horse").await;
    assert_eq!(done.header("location"), "/account?done=linked", "{}", done.text);
    let page = ada.get(&site, "/account").await.text;
    assert!(page.contains("countess@home.example") && page.contains("Acme"), "{page}");
    assert_eq!(link(&mut ada, "correct horse").await.header("location"), "/account?done=linked", "twice is once");
    let mut by_provider = Browser::new();
    by_provider.sign_in(&site, "/login/acme").await;
    assert!(by_provider.get(&site, "/account").await.text.contains("ada@example.com"));

    // Somebody else's, and somebody who has no password.
    provider.is(bob());
    let mut bob = Browser::new();
    bob.sign_in(&site, "/login/acme").await;
    provider.is(json!({ "sub": "ada" }));
    let taken = link(&mut bob, "").await;
    assert!(taken.status == StatusCode::CONFLICT && taken.text.contains("somebody else"), "{}", taken.text);
    let fields = |subject| [("issuer", provider.url.as_str()), ("subject", subject)];
    let others = bob.form(&site, "/account/links/remove", &fields("ada")).await;
    assert_ne!(others.status, StatusCode::SEE_OTHER, "{}", others.text);
    let last = bob.form(&site, "/account/links/remove", &fields("1")).await;
    assert!(last.status == StatusCode::CONFLICT && last.text.contains("last"), "{}", last.text);
    assert!(ada.get(&site, "/account").await.text.contains("countess@home.example"));

    let removed = ada.form(&site, "/account/links/remove", &fields("ada")).await;
    assert_eq!(removed.header("location"), "/account?done=unlinked", "{}", removed.text);
    provider.is(json!({ "sub": "ada", "email": "countess@home.example", "email_verified": true }));
    assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::FORBIDDEN);
    let log = site.get(&owner, "/acme/main/settings/audit").await.text;
    assert!(log.contains("account.link") && log.contains("account.unlink"), "{log}");
}

#[tokio::test]
async fn a_link_is_for_who_began_it() {
    let (provider, site, owner, _folder) = site(by_domain()).await;
    provider.is(bob());
    let mut bob = Browser::new();
    bob.sign_in(&site, "/login/acme").await;
    provider.is(json!({ "sub": "eve" }));
    let mut ada = Browser::of(&owner);
    let page = ada.form(&site, "/account/links", &[("provider", "acme"), ("old", "correct horse")]).await;
    let back = follow(page.header("refresh").strip_prefix("0; url=").unwrap()).await;
    // Somebody else logs in in the same browser meanwhile.
    ada.cookies.insert("buildit".into(), bob.cookies["buildit"].clone());
    let refused = ada.get(&site, &back).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.text.contains("somebody else"), "{}", refused.text);
    let foreign = site.form(&bob.who().with("sec-fetch-site", "cross-site"), "/account/links", &[]).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN, "a page of another site begins nothing");
}

#[tokio::test]
async fn a_provider_that_is_down_breaks_its_button_alone() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (provider, folder) = (Provider::open().await, tempfile::tempdir().unwrap());
    provider.goes(true);
    let site = open(folder.path(), &[acme(&provider, by_domain())]).await;
    site.owner().await;
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 0, "nobody has signed in yet");
    let down = Browser::new().get(&site, "/login/acme").await;
    assert_eq!(down.status, StatusCode::BAD_GATEWAY);
    assert!(down.text.contains("Acme does not answer") && down.text.contains("/login"), "{}", down.text);
    let fields = [("email", "ada@example.com"), ("password", "correct horse")];
    assert_eq!(Browser::new().form(&site, "/login", &fields).await.status, StatusCode::SEE_OTHER);

    provider.goes(false);
    provider.is(bob());
    let back = loop {
        let away = Browser::new().get(&site, "/login/acme").await;
        if away.status == StatusCode::SEE_OTHER {
            break away;
        }
        // Whoever asks without a rest is soon refused for that.
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    assert!(back.header("location").starts_with(&provider.url));
    let mut browser = Browser::new();
    let back = browser.leave(&site, "/login/acme").await;
    provider.goes(true);
    let lost = browser.get(&site, &back).await;
    assert_eq!(lost.status, StatusCode::BAD_GATEWAY, "down when somebody comes back: {}", lost.text);
    provider.goes(false);
    let described = provider.asked("/.well-known/openid-configuration");
    assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER);
    assert_eq!(provider.asked("/.well-known/openid-configuration"), described, "it has said that before");
}

#[tokio::test]
async fn a_new_key_is_asked_for_when_it_signs() {
    let (provider, site, _, _folder) = site(by_domain()).await;
    provider.is(bob());
    for round in 1..=3 {
        assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER, "{round}");
        assert_eq!(Browser::new().sign_in(&site, "/login/acme").await.status, StatusCode::SEE_OTHER, "{round}");
        assert_eq!(provider.asked("/keys"), round, "once for each key");
        provider.changes_key();
    }
}

#[tokio::test]
async fn tries_from_one_address_are_limited() {
    let (_provider, site, _, _folder) = site(by_domain()).await;
    let mut browser = Browser::new();
    let mut tried = Vec::new();
    for _ in 0..12 {
        tried.push(browser.get(&site, "/login/acme").await.status);
    }
    assert_eq!(tried[0], StatusCode::SEE_OTHER);
    assert_eq!(tried[11], StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn people_come_back_to_the_external_url() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (provider, folder) = (Provider::open().await, tempfile::tempdir().unwrap());
    let mut settings = Site::settings(folder.path());
    settings.external_url = Some("https://example.com/tools/ci".into());
    settings.oidc = vec![serde_json::from_value(acme(&provider, by_domain())).unwrap()];
    let site = Site::open_with(settings).await;
    let printed = site.server.state().setup_url().await.unwrap().unwrap();
    let token = printed.split("token=").nth(1).unwrap();
    let fields =
        [("organization", "acme"), ("email", "ada@example.com"), ("password", "correct horse"), ("token", token)];
    let made = site.form(&Who::away(), "/tools/ci/setup", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let away = Browser::new().get(&site, "/tools/ci/login/acme").await;
    assert!(
        away.header("location")
            .contains("redirect_uri=https%3A%2F%2Fexample.com%2Ftools%2Fci%2Flogin%2Facme%2Fcallback"),
        "{:?}",
        away.headers
    );
    let cookie = away.header("set-cookie");
    assert!(cookie.contains("Path=/tools/ci/login") && cookie.contains("; Secure"), "{cookie}");
}

#[tokio::test]
async fn without_providers_there_is_no_button_and_no_page() {
    let site = Site::new().await;
    let owner = site.owner().await;
    assert!(!site.get(&Who::away(), "/login").await.text.contains("Sign in with"));
    assert!(!site.get(&owner, "/account").await.text.contains("Accounts elsewhere"));
    assert_eq!(site.get(&Who::away(), "/login/acme").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn in_a_browser_one_links_an_account_and_signs_in_with_it() {
    let provider = Provider::open().await;
    let stage = Stage::new_with(|settings, base| {
        settings.external_url = Some(base.to_owned());
        settings.oidc = vec![serde_json::from_value(acme(&provider, json!({}))).unwrap()];
    })
    .await;
    stage.found().await;
    provider.is(json!({ "sub": "ada", "email": "countess@home.example", "email_verified": true }));
    stage.open("/account").await;
    narrow(&stage).await;
    stage.write("[action='/account/links'] [name=old]", "correct horse").await;
    // The page in between goes on by itself.
    stage.click("[name=provider][value=acme]").await;
    assert!(stage.text("[role=status]").await.contains("lets you in from now on"));
    assert!(stage.text(".linked").await.contains("countess@home.example"));
    narrow(&stage).await;
    let leave = "const form = document.createElement('form'); form.method = 'post'; form.action = '/logout';
        document.body.append(form); form.submit()";
    stage.browser.execute(leave, vec![]).await.unwrap();
    stage.find("[action='/login']").await;
    stage.open("/login?next=/acme/main/queue").await;
    narrow(&stage).await;
    stage.click("a[href^='/login/acme']").await;
    stage.find("nav [aria-current=page][href$='/queue']").await;
    provider.is(json!({ "sub": "eve", "email": "eve@evil.example", "email_verified": true }));
    stage.open("/login/acme").await;
    assert!(stage.text("[role=alert]").await.contains("invited"));
    narrow(&stage).await;
    provider.is(json!({ "sub": "other", "email": "ada@example.com", "email_verified": true }));
    stage.open("/login/acme").await;
    assert!(stage.text("h1").await.contains("Is it you?"));
    narrow(&stage).await;
    stage.browser.quit().await.unwrap();
}

/// Requires the page to be as narrow as a telephone's.
async fn narrow(stage: &Stage) {
    for width in [360, 1440] {
        stage.resize(width).await;
        stage.fits(width, "the page").await;
    }
}
