//! An organization and its tenants: renamed, made and deleted, on the page and by the API.

mod site;

use axum::http::{Method, StatusCode};
use serde_json::json;
use site::Site;

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
