//! An organization and its tenants: renamed, made and deleted, on the page and by the API.

use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_says_of_an_organization_holds_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let owner = {
        let site = Site::open(folder.path()).await;
        let owner = site.owner().await;
        let fields = [("name", "umbrella"), ("billing_email", "bills@example.com")];
        let saved = site.form(&owner, "/acme/main/settings/organization", &fields).await;
        assert_eq!(
            (saved.status, saved.header("location")),
            (StatusCode::SEE_OTHER, "/umbrella/main/settings/organization"),
            "{}",
            saved.text
        );
        let renamed = site.form(&owner, "/umbrella/main/settings/tenant", &[("name", "web")]).await;
        assert_eq!(renamed.header("location"), "/umbrella/web/settings/organization");
        let made = site.form(&owner, "/umbrella/web/settings/tenants", &[("name", "mobile")]).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
        site.server.shutdown().await;
        owner
    };
    let site = Site::open(folder.path()).await;
    let organization = site.get(&owner, "/api/v1/organizations").await.ok().json()["items"][0].clone();
    assert_eq!(
        (&organization["name"], &organization["billing_email"]),
        (&json!("umbrella"), &json!("bills@example.com"))
    );
    assert_eq!(site.get(&owner, "/acme/main").await.status, StatusCode::NOT_FOUND);
    let page = site.get(&owner, "/umbrella/mobile/settings/organization").await.ok().text;
    assert!(page.contains("href=\"/umbrella/web\"") && page.contains("value=\"bills@example.com\""), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_when_it_is_empty_and_its_name_was_typed() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let first = site.form(&owner, "/acme/main/settings/tenant/delete", &[("typed", "main")]).await;
    assert_eq!(first.status, StatusCode::CONFLICT, "the first one stays");
    site.form(&owner, "/acme/main/settings/tenants", &[("name", "mobile")]).await;
    let wrong = site.form(&owner, "/acme/mobile/settings/tenant/delete", &[("typed", "main")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mobile = site.tenant(&owner, "acme", "mobile").await;
    let config = json!({ "config": "pipeline \"p\"\nstage \"s\" { run \"true\" }", "tenant": mobile });
    let pipeline = site.post(&owner, "/api/v1/pipelines", config).await.ok().json()["id"].clone();
    let full = site.form(&owner, "/acme/mobile/settings/tenant/delete", &[("typed", "mobile")]).await;
    assert_eq!(full.status, StatusCode::CONFLICT, "{}", full.text);
    let path = format!("/api/v1/pipelines/{}", pipeline.as_str().unwrap());
    site.ask(&owner, Method::DELETE, &path, None).await.ok();
    // What belongs to it is no hindrance, and goes with it.
    let environment = format!("/api/v1/tenants/{mobile}/environments/live");
    site.ask(&owner, Method::PUT, &environment, Some(json!({}))).await.ok();
    let key = site.key_of(&owner, &mobile, "member").await;
    let gone = site.form(&owner, "/acme/mobile/settings/tenant/delete", &[("typed", "mobile")]).await;
    assert_eq!((gone.status, gone.header("location")), (StatusCode::SEE_OTHER, "/tenants"), "{}", gone.text);
    assert_eq!(site.get(&owner, "/acme/mobile").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get(&key, "/api/v1/pipelines").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_made_by_the_owners_of_the_installation_and_goes_when_it_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, labs) = {
        let site = Site::open(folder.path()).await;
        let owner = site.owner().await;
        let made = site.form(&owner, "/tenants", &[("name", "labs")]).await;
        assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/labs/main/settings/team"));
        let taken = site.form(&owner, "/tenants", &[("name", "labs")]).await;
        assert_eq!(taken.status, StatusCode::CONFLICT);
        assert!(taken.text.contains("value=\"labs\"") && taken.text.contains("role=\"alert\""), "{}", taken.text);
        let made = site.post(&owner, "/api/v1/organizations", json!({ "name": "annex", "tenant": "web" })).await;
        assert_eq!((made.status, &made.json()["role"]), (StatusCode::CREATED, &json!("owner")));
        site.get(&owner, "/annex/web").await.ok();
        let labs = site.tenant(&owner, "labs", "main").await;
        site.server.shutdown().await;
        (owner, labs)
    };
    let site = Site::open(folder.path()).await;
    let id_of = async |who: &Who, name: &str| {
        let listed = site.get(who, "/api/v1/organizations").await.ok().json();
        let found = listed["items"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        found.map(|one| one["id"].as_str().unwrap().to_owned())
    };
    let path = format!("/api/v1/organizations/{}", id_of(&owner, "labs").await.unwrap());
    // Who is invited to own it owns it, and nothing else.
    let invited = json!({ "email": "bob@example.com", "role": "owner" });
    let invited = site.post(&owner, &format!("{path}/invitations"), invited).await;
    assert_eq!(invited.status, StatusCode::CREATED, "{}", invited.text);
    let link = invited.json()["link"].as_str().unwrap().to_owned();
    let listed = site.get(&owner, &format!("{path}/invitations")).await.ok();
    assert!(
        listed.json()["items"][0]["email"] == "bob@example.com" && !listed.text.contains("join_"),
        "{}",
        listed.text
    );
    let bob = site.join(&link[link.find("/invitations/").unwrap()..]).await;
    let refused = site.post(&bob, "/api/v1/organizations", json!({ "name": "bobs" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
    assert_eq!(site.form(&bob, "/tenants", &[("name", "bobs")]).await.status, StatusCode::NOT_FOUND);
    assert!(!site.get(&bob, "/tenants").await.ok().text.contains("New organization"));
    // Another invitation is taken back, and lets nobody in.
    let other = json!({ "email": "eve@example.com", "role": "admin" });
    let other = site.post(&bob, &format!("{path}/invitations"), other).await.ok().json();
    let revoke = format!("{path}/invitations/{}", other["id"].as_str().unwrap());
    assert_eq!(site.ask(&bob, Method::DELETE, &revoke, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.ask(&bob, Method::DELETE, &revoke, None).await.status, StatusCode::NOT_FOUND);
    let link = other["link"].as_str().unwrap();
    let gone = site.get(&Who::away(), &link[link.find("/invitations/").unwrap()..]).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);

    let config = json!({ "config": "pipeline \"p\"\nstage \"s\" { run \"true\" }", "tenant": labs });
    let pipeline = site.post(&bob, "/api/v1/pipelines", config).await.ok().json()["id"].clone();
    let environment = format!("/api/v1/tenants/{labs}/environments/live");
    site.ask(&bob, Method::PUT, &environment, Some(json!({}))).await.ok();
    let secret = format!("{environment}/secrets/TOKEN");
    site.ask(&bob, Method::PUT, &secret, Some(json!({ "value": "s3cr3t" }))).await.ok();
    let full = site.ask(&bob, Method::DELETE, &path, None).await;
    assert_eq!(full.status, StatusCode::CONFLICT, "{}", full.text);
    assert!(full.text.contains("`main` still has pipelines or runs"), "{}", full.text);
    let pipeline = format!("/api/v1/pipelines/{}", pipeline.as_str().unwrap());
    site.ask(&bob, Method::DELETE, &pipeline, None).await.ok();
    let page = "/labs/main/settings/organization/delete";
    assert_eq!(site.form(&bob, page, &[("typed", "acme")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let gone = site.form(&bob, page, &[("typed", "labs")]).await;
    assert_eq!((gone.status, gone.header("location")), (StatusCode::SEE_OTHER, "/tenants"), "{}", gone.text);
    assert_eq!(id_of(&bob, "labs").await, None);
    assert_eq!(site.get(&owner, "/labs/main").await.status, StatusCode::NOT_FOUND);
    // The first one stays.
    let acme = format!("/api/v1/organizations/{}", id_of(&owner, "acme").await.unwrap());
    assert_eq!(site.ask(&owner, Method::DELETE, &acme, None).await.status, StatusCode::CONFLICT);
}
