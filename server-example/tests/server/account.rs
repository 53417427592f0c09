//! One's own account: another password, another address, and what an invitation is worth.

use crate::site::log::Log;
use crate::site::{Answer, Site, Who};
use axum::http::StatusCode;

const ADA: &str = "ada@example.com";

async fn login(site: &Site, email: &str, password: &str) -> Answer {
    site.form(&Who::away(), "/login", &[("email", email), ("password", password)]).await
}

async fn is_in(site: &Site, who: &Who) -> bool {
    site.get(who, "/account").await.status == StatusCode::OK
}

#[tokio::test]
async fn who_forgot_the_password_sets_another_one_once() {
    let (log, _guard) = Log::here();
    let site = Site::new().await;
    let owner = site.owner().await;
    let nobody = site.form(&Who::away(), "/forgot", &[("email", "nobody@example.com")]).await;
    let somebody = site.form(&Who::away(), "/forgot", &[("email", "ADA@example.com")]).await;
    assert_eq!((nobody.status, &nobody.text), (somebody.status, &somebody.text), "nobody learns who is here");
    let link = log.link("reset").await;

    let short = site.form(&Who::away(), &link, &[("password", "short")]).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(short.text.contains("10 to 512"), "a password that is refused costs no link: {}", short.text);
    let done = site.form(&Who::away(), &link, &[("password", "another horse")]).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/login"));
    let again = site.form(&Who::away(), &link, &[("password", "a third horse")]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "a link works once");

    assert!(!is_in(&site, &owner).await, "who had the old password is out");
    assert_eq!(login(&site, ADA, "correct horse").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(is_in(&site, &Who::browser(&login(&site, ADA, "another horse").await)).await);
}

#[tokio::test]
async fn a_new_link_voids_the_one_before_it() {
    let (log, _guard) = Log::here();
    let site = Site::new().await;
    site.owner().await;
    site.form(&Who::away(), "/forgot", &[("email", ADA)]).await;
    let first = log.link("reset").await;
    log.clear();
    site.form(&Who::away(), "/forgot", &[("email", ADA)]).await;
    let second = log.link("reset").await;
    for (link, expected) in [(first, StatusCode::UNPROCESSABLE_ENTITY), (second, StatusCode::SEE_OTHER)] {
        let done = site.form(&Who::away(), &link, &[("password", "another horse")]).await;
        assert_eq!(done.status, expected, "{}", done.text);
    }
}

#[tokio::test]
async fn who_knows_the_password_changes_it_and_stays() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let elsewhere = Who::browser(&login(&site, ADA, "correct horse").await);
    let wrong = [("old", "wrong horse"), ("password", "another horse")];
    let refused = site.form(&owner, "/account/password", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    let right = [("old", "correct horse"), ("password", "another horse")];
    let done = site.form(&owner, "/account/password", &right).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert!(is_in(&site, &Who::browser(&done)).await, "this login goes on");
    assert!(!is_in(&site, &elsewhere).await, "others end");
    assert!(!is_in(&site, &owner).await, "also its own old cookie");
    assert_eq!(login(&site, ADA, "another horse").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_address_is_changed_and_shown_to_be_ones_own() {
    let (log, _guard) = Log::here();
    let site = Site::new().await;
    let owner = site.owner().await;
    let sent = site.form(&owner, "/account/verify", &[]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let link = log.link("verify").await;
    let looked = site.get(&Who::away(), &link).await;
    assert_eq!(looked.status, StatusCode::OK);
    assert!(site.get(&owner, "/account").await.text.contains("Not yet known"), "looking at a link uses up nothing");
    site.form(&Who::away(), &link, &[]).await.ok();
    assert!(site.get(&owner, "/account").await.text.contains("Known to be yours"));

    let same = [("name", "Ada L."), ("email", ADA)];
    assert_eq!(site.form(&owner, "/account", &same).await.status, StatusCode::SEE_OTHER);
    assert!(site.get(&owner, "/account").await.text.contains("Known to be yours"));
    let stolen = [("name", "Ada L."), ("email", "eve@example.com"), ("old", "wrong horse")];
    assert_eq!(site.form(&owner, "/account", &stolen).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let other = [("name", "Ada L."), ("email", "lovelace@example.com"), ("old", "correct horse")];
    assert_eq!(site.form(&owner, "/account", &other).await.status, StatusCode::SEE_OTHER);
    let page = site.get(&owner, "/account").await.text;
    assert!(
        page.contains("lovelace@example.com") && page.contains("Ada L.") && page.contains("Not yet known"),
        "{page}"
    );
    assert_eq!(login(&site, "lovelace@example.com", "correct horse").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn passwords_of_an_account_are_tried_slowly_from_everywhere() {
    let site = Site::new().await;
    site.owner().await;
    let mut refused = StatusCode::OK;
    for host in 0..30 {
        let mut who = Who::away();
        who.peer = format!("192.0.2.{host}:50000").parse().unwrap();
        refused = site.form(&who, "/login", &[("email", ADA), ("password", "wrong horse")]).await.status;
    }
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_invitation_is_worth_what_its_inviter_is() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let invite = async |who: &Who, email: &str, role: &str| {
        let page = site.form(who, "/acme/main/settings/team", &[("email", email), ("role", role)]).await.ok().text;
        let at = page.find("/invitations/join_").unwrap();
        page[at..].split(['<', '"']).next().unwrap().to_owned()
    };
    let accept = async |link: &str| {
        site.form(&Who::away(), link, &[("email", ""), ("name", "B"), ("password", "correct horse")]).await
    };
    let link = invite(&owner, "bob@example.com", "admin").await;
    let bob = Who::browser(&accept(&link).await);
    let link = invite(&bob, "eve@example.com", "member").await;
    let organization = site.get(&owner, "/api/v1/organizations").await.json()["items"][0]["id"].clone();
    let members = format!("/api/v1/organizations/{}/members", organization.as_str().unwrap());
    let listed = site.get(&owner, &members).await.ok().json();
    let found = listed["items"].as_array().unwrap().iter().find(|member| member["email"] == "bob@example.com").unwrap();
    let path = format!("/acme/main/settings/team/{}", found["user"].as_str().unwrap());
    assert_eq!(site.form(&owner, &path, &[("role", "viewer")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(accept(&link).await.status, StatusCode::NOT_FOUND);
}
