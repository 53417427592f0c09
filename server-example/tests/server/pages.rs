//! The pages: each is there, says what it should, and says it as text.

use crate::site::{Site, Who};
use axum::http::StatusCode;
use serde_json::json;

const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_visit_leads_to_a_green_run() {
    let site = Site::new().await;
    let here = Who::here();
    let first = site.get(&here, "/").await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, "/setup"));
    assert!(site.get(&here, "/setup").await.ok().text.contains("Create the owner"));
    let owner = site.owner().await;
    assert_eq!(site.get(&owner, "/").await.header("location"), "/acme/main");
    assert!(site.get(&owner, "/acme/main").await.ok().text.contains("Nothing has run yet"));
    assert!(site.get(&owner, "/acme/main/pipelines").await.ok().text.contains("No pipeline yet"));
    let page = site.get(&owner, "/acme/main/new?template=matrix").await.ok();
    assert!(page.text.contains("matrix {"));
    let config = "pipeline \"first\"\nstage \"greet\" { run \"echo hello\" }";
    let made = site.form(&owner, "/acme/main/new", &[("name", ""), ("config", config)]).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::SEE_OTHER, "/acme/main/pipelines/first"));
    let run = site.form(&owner, "/acme/main/pipelines/first/run", &[("branch", "main")]).await;
    assert_eq!(run.header("location"), "/acme/main/pipelines/first/runs/1");
    let found = site.get(&owner, "/api/v1/pipelines").await.json();
    site.events(&owner, found["items"][0]["last_run"]["id"].as_str().unwrap()).await;
    let page = site.get(&owner, "/acme/main/pipelines/first/runs/1").await.ok().text;
    assert!(page.contains("data-over=\"true\"") && page.contains("<span class=\"x\">hello</span>"), "{page}");
    for tab in ["waterfall", "artifacts", "summary", "why"] {
        site.get(&owner, &format!("/acme/main/pipelines/first/runs/1?tab={tab}")).await.ok();
    }
    assert!(
        site.get(&owner, "/acme/main/pipelines/first?status=failed").await.ok().text.contains("No run is like that")
    );
    assert!(
        site.get(&owner, "/acme/main/pipelines/first?status=succeeded&branch=main").await.ok().text.contains("runs/1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_template_of_the_wizard_runs_green() {
    let site = Site::new().await;
    let owner = site.owner().await;
    for name in ["hello", "checks", "matrix", "release"] {
        let page = site.get(&owner, &format!("/acme/main/new?template={name}")).await.ok().text;
        let text =
            page.split_once("<textarea").unwrap().1.split_once('>').unwrap().1.split_once("</textarea>").unwrap().0;
        let config = text
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">")
            .replace("&#38;", "&");
        let made = site.form(&owner, "/acme/main/new", &[("config", &config)]).await;
        assert_eq!(made.status, StatusCode::SEE_OTHER, "{name}: {}", made.text);
        let started = site.form(&owner, &format!("/acme/main/pipelines/{name}/run"), &[]).await;
        assert_eq!(started.status, StatusCode::SEE_OTHER, "{name}: {}", started.text);
        let found = site.get(&owner, &format!("/api/v1/pipelines?search={name}")).await.json();
        let run = found["items"][0]["last_run"]["id"].as_str().unwrap().to_owned();
        if name == "release" {
            site.until(&owner, &run, |event| event["type"] == "approval_requested").await;
            let page = site.get(&owner, "/acme/main/pipelines/release/runs/1").await.ok().text;
            assert!(page.contains("waits for a person") && page.contains("Publish 1.0.0?"));
            let fields = [("stage", "publish"), ("field.reason", "tests")];
            let answered = site.form(&owner, "/acme/main/pipelines/release/runs/1/approve", &fields).await;
            assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.text);
        }
        assert_eq!(site.events(&owner, &run).await.last().unwrap()["status"], "succeeded", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g6_no_name_message_or_log_becomes_markup() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let config = "pipeline \"p\"\nparam \"x\" default=\"\"\nstage \"s\" { run \"printf '%s\\\\n' \\\"${params.x}\\\"\"; run \"printf '%s' \\\"${params.x}\\\" >> $BUILDIT_SUMMARY\" }";
    let made = site.form(&owner, "/acme/main/new", &[("name", "evil'\" &<b>"), ("config", config)]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let place = made.header("location").to_owned();
    let started = site.form(&owner, &format!("{place}/run"), &[("branch", EVIL), ("param.x", EVIL)]).await;
    assert_eq!(started.status, StatusCode::SEE_OTHER, "{}", started.text);
    let run = started.header("location").to_owned();
    let found = site.get(&owner, "/api/v1/pipelines").await.json();
    site.events(&owner, found["items"][0]["last_run"]["id"].as_str().unwrap()).await;
    site.form(&owner, "/acme/main/settings/keys", &[("name", EVIL), ("role", "member")]).await.ok();
    site.form(&owner, "/acme/main/settings/team", &[("email", "\"<img>\"@example.com"), ("role", "member")]).await;
    let channel = [("name", EVIL), ("kind", "slack"), ("target", "http://127.0.0.1:9/"), ("branches", "")];
    let channel = site.form(&owner, "/acme/main/settings/notifications", &channel).await;
    let channel = channel.header("location").to_owned();
    site.form(&owner, &format!("{channel}/test"), &[]).await;
    let search = "/acme/main/pipelines?search=%3Cimg%20src%3Dx%3E";
    let pages = [
        "/acme/main",
        "/acme/main/pipelines",
        search,
        "/acme/main/settings",
        "/acme/main/settings/team",
        "/acme/main/settings/audit",
        "/acme/main/settings/notifications",
        &channel,
        "/acme/main/queue",
        "/acme/main/queue?status=taken",
    ];
    let of_run = ["log", "waterfall", "artifacts", "summary", "why"].map(|tab| format!("{run}?tab={tab}"));
    let of_pipeline = ["", "/config", "/notifications", "/settings", "/run", "?branch=%3Cimg%20src%3Dx%3E"]
        .map(|path| format!("{place}{path}"));
    for path in pages.map(str::to_owned).into_iter().chain(of_run).chain(of_pipeline) {
        let page = site.get(&owner, &path).await.ok();
        // The picture of a badge is the server's own.
        let text = page.text.replace("<img src=\"/badges/", "");
        assert!(!text.contains("<script>alert") && !text.contains("<img"), "{path}: {text}");
        assert!(!page.text.contains("<b>\"") && page.header("content-security-policy").contains("script-src 'self'"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_text_is_shown_where_it_was_typed() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let fields = [("name", "mine"), ("config", "stage \"a\" { needs \"b\"; run \"true\" }")];
    let refused = site.form(&owner, "/acme/main/new", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("value=\"mine\"") && refused.text.contains("1:"), "{}", refused.text);
    let judged = site.form(&owner, "/acme/main/validate", &fields).await.ok();
    assert!(judged.text.contains("data-severity=\"error\""), "{}", judged.text);
    let good = [("config", "pipeline \"p\"\nstage \"s\" { run \"true\" }")];
    assert!(site.form(&owner, "/acme/main/validate", &good).await.ok().text.contains("is a pipeline"));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_invited_join_and_are_taken_out() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let invited =
        site.form(&owner, "/acme/main/settings/team", &[("email", "bob@example.com"), ("role", "viewer")]).await.ok();
    let link = invited.text.split_once("/invitations/").unwrap().1.split_once('<').unwrap().0.to_owned();
    let link = format!("/invitations/{link}");
    let away = Who::away();
    assert!(site.get(&away, &link).await.ok().text.contains("bob@example.com"));
    assert_eq!(site.form(&away, &link, &[("password", "short")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let joined = site.form(&away, &link, &[("name", "Bob"), ("password", "battery staple")]).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text);
    let bob = Who::browser(&joined);
    assert!(site.get(&bob, "/acme/main").await.ok().text.contains("bob@example.com"));
    assert_eq!(site.form(&away, &link, &[("password", "battery staple")]).await.status, StatusCode::NOT_FOUND, "once");
    // A viewer changes nothing.
    let denied = site.form(&bob, "/acme/main/new", &[("config", "pipeline \"p\"\nstage \"s\" { run \"true\" }")]).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert!(!site.get(&bob, "/acme/main/pipelines").await.ok().text.contains("New pipeline"));
    let team = site.get(&owner, "/acme/main/settings/team").await.ok().text;
    let user = team.split_once("/settings/team/").unwrap().1.split_once('"').unwrap().0.to_owned();
    site.form(&owner, &format!("/acme/main/settings/team/{user}"), &[("role", "member")]).await;
    assert!(site.get(&bob, "/acme/main/pipelines").await.ok().text.contains("New pipeline"));
    let gone = site.form(&owner, &format!("/acme/main/settings/team/{user}"), &[("role", "remove")]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text);
    assert_eq!(site.get(&bob, "/acme/main").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_in_and_out() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let away = Who::away();
    let asked = site.get(&away, "/acme/main/pipelines?search=x").await;
    assert_eq!(asked.header("location"), "/login?next=%2Facme%2Fmain%2Fpipelines%3Fsearch%3Dx");
    let fields = |password| [("email", "ADA@example.com"), ("password", password), ("next", "/acme/main/pipelines")];
    let wrong = site.form(&away, "/login", &fields("wrong horse")).await;
    assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && !wrong.text.contains("wrong horse"));
    let nobody = site.form(&away, "/login", &[("email", "eve@example.com"), ("password", "wrong horse")]).await;
    let said = |text: &str| text.split_once("role=\"alert\">").unwrap().1.split_once('<').unwrap().0.to_owned();
    assert_eq!(said(&wrong.text), said(&nobody.text), "who is a user is nobody's business");
    let entered = site.form(&away, "/login", &fields("correct horse")).await;
    assert_eq!(entered.header("location"), "/acme/main/pipelines");
    let (cookie, browser) = (entered.header("set-cookie").to_owned(), Who::browser(&entered));
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    site.get(&browser, "/acme/main").await.ok();
    // A form of another site is not heeded.
    let forged = browser.clone().with("sec-fetch-site", "cross-site");
    assert_eq!(site.form(&forged, "/logout", &[]).await.status, StatusCode::FORBIDDEN);
    site.form(&browser, "/logout", &[]).await;
    assert_eq!(site.get(&browser, "/acme/main").await.status, StatusCode::SEE_OTHER);
    site.get(&owner, "/acme/main").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_stopped_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, run) = {
        let site = Site::open(folder.path()).await;
        let owner = site.owner().await;
        let pipeline = site.pipeline(&owner, "pipeline \"p\"\nstage \"one\" { run \"sleep 1; echo done\" }\nstage \"two\" { needs \"one\"; run \"true\" }").await;
        let run = site.run(&owner, &pipeline).await;
        site.until(&owner, &run, |event| event["type"] == "attempt_started").await;
        site.server.shutdown().await;
        (owner, run)
    };
    let site = Site::open(folder.path()).await;
    let events = site.events(&owner, &run).await;
    assert_eq!(events.last().unwrap()["status"], "succeeded");
    let starts = events.iter().filter(|event| event["type"] == "attempt_started" && event["stage"] == "one").count();
    assert_eq!(starts, 1, "the job outlived the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_without_a_page_is_a_blank() {
    let site = Site::new().await;
    let owner = site.owner().await;
    for path in
        ["/nothing", "/acme/other", "/acme/main/pipelines/none", "/acme/main/pipelines/none/runs/1", "/assets/none.js"]
    {
        assert_eq!(site.get(&owner, path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let page = site.get(&owner, "/acme/main/pipelines/none").await.text;
    assert!(page.contains("Go to the start") && page.contains("404"));
    // What is refused before a handler is asked is a page, too.
    for path in ["/acme/main/pipelines/none/runs/abc", "/acme/main/settings/audit?cursor=x"] {
        let answer = site.get(&owner, path).await;
        assert!(answer.status.is_client_error() && answer.header("content-type").starts_with("text/html"), "{path}");
    }
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(site.get(&Who::away(), path).await.ok().json()["status"], "ok");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, key) = {
        let site = Site::open(folder.path()).await;
        let owner = site.owner().await;
        site.form(&owner, "/acme/main/settings/keys", &[("name", "robot"), ("role", "member")]).await.ok();
        site.form(&owner, "/acme/main/settings/team", &[("email", "bob@example.com"), ("role", "viewer")]).await.ok();
        let key = site.key(&owner, "viewer").await;
        site.server.shutdown().await;
        (owner, key)
    };
    let site = Site::open(folder.path()).await;
    let keys = site.get(&owner, "/acme/main/settings").await.ok().text;
    assert!(keys.contains("robot"));
    assert!(site.get(&owner, "/acme/main/settings/team").await.ok().text.contains("bob@example.com"));
    site.get(&key, "/api/v1/pipelines").await.ok();
    assert_eq!(site.get(&Who::here(), "/api/v1/pipelines").await.status.as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_may_lie_below_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = buildit_server::Settings::default();
    settings.data = folder.path().to_owned();
    settings.docker = false;
    settings.external_url = Some("http://localhost:30080/tools/ci".into());
    let site = Site::open_with(settings).await;
    let here = Who::here();
    assert_eq!(site.get(&here, "/tools/ci").await.header("location"), "/tools/ci/setup");
    assert_eq!(site.get(&here, "/tools/ci/").await.header("location"), "/tools/ci");
    let fields = [("organization", "acme"), ("email", "ada@example.com"), ("password", "correct horse")];
    let founded = site.form(&here, "/tools/ci/setup", &fields).await;
    assert_eq!(founded.header("location"), "/tools/ci/acme/main", "{}", founded.text);
    assert!(founded.header("set-cookie").contains("Path=/tools/ci"));
    let owner = Who::browser(&founded);
    let made = site
        .form(&owner, "/tools/ci/acme/main/new", &[("config", "pipeline \"p\"\nstage \"s\" { run \"true\" }")])
        .await;
    assert_eq!(made.header("location"), "/tools/ci/acme/main/pipelines/p");
    let run = site.form(&owner, "/tools/ci/acme/main/pipelines/p/run", &[]).await;
    let pages =
        ["", "/pipelines", "/new", "/queue", "/settings", "/settings/team", "/pipelines/p", "/pipelines/p/config"];
    let pages = pages.map(|page| format!("/tools/ci/acme/main{page}")).into_iter();
    for path in pages.chain([run.header("location").to_owned(), "/tools/ci/tenants".to_owned()]) {
        let page = site.get(&owner, &path).await.ok().text;
        for attribute in ["href=\"/", "src=\"/", "action=\"/", "data-live=\"/", "hx-post=\"/", "hx-get=\"/"] {
            let mut links = page.match_indices(attribute).map(|(at, _)| &page[at + attribute.len() - 1..]);
            let odd = links.find(|link| !link.starts_with("/tools/ci"));
            assert!(odd.is_none(), "{path}: {attribute} {}", &odd.unwrap()[..40]);
        }
    }
    let asked = site.get(&Who::away(), "/tools/ci/acme/main").await;
    assert_eq!(asked.header("location"), "/tools/ci/login?next=%2Ftools%2Fci%2Facme%2Fmain");
    site.get(&Who::away(), "/health/ready").await.ok();
    let docs = site.get(&owner, "/tools/ci/api/docs").await;
    assert_eq!(docs.header("location"), "/tools/ci/api/docs/", "{docs:?}");
    site.get(&owner, docs.header("location")).await.ok();
    let api = site.get(&owner, "/tools/ci/api/openapi.json").await.ok().json();
    assert_eq!(api["servers"][0]["url"], "/tools/ci");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_a_page_at_a_time() {
    let site = Site::new().await;
    let owner = site.owner().await;
    for number in 0..51 {
        site.form(&owner, "/acme/main/settings/keys", &[("name", &format!("key-{number:02}-")), ("role", "viewer")])
            .await
            .ok();
    }
    let first = site.get(&owner, "/acme/main/settings").await.ok().text;
    let next = first.split_once("/settings?cursor=").unwrap().1.split_once('"').unwrap().0;
    let second = site.get(&owner, &format!("/acme/main/settings?cursor={next}")).await.ok().text;
    assert!(!second.contains("More keys"));
    for number in 0..51 {
        let shown = [&first, &second].map(|page| page.contains(&format!("<b title=\"key-{number:02}-\">")));
        assert!(shown[0] != shown[1], "{number} is on one of both: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_listed_a_page_at_a_time() {
    let site = Site::new().await;
    let owner = site.owner().await;
    site.pipeline(&owner, "pipeline \"p\"\nstage \"s\" { run \"true\" }").await;
    site.form(&owner, "/acme/main/environments", &[("name", "live")]).await;
    let places = [
        ("/acme/main/settings/secrets", "/acme/main/settings/secrets"),
        ("/acme/main/pipelines/p/secrets", "/acme/main/pipelines/p/secrets"),
        ("/acme/main/environments/live", "/acme/main/environments/live/secrets"),
    ];
    for (page, set) in places {
        for number in 0..51 {
            let done =
                site.form(&owner, set, &[("name", &format!("NAME_{number:02}")), ("value", "long-enough")]).await;
            assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
        }
        let first = site.get(&owner, page).await.ok().text;
        assert!(first.contains("NAME_49") && !first.contains("NAME_50"), "{page}");
        let (_, rest) = first.split_once("class=\"button more\" href=\"").unwrap();
        let second = site.get(&owner, rest.split_once('"').unwrap().0).await.ok().text;
        assert!(!second.contains("NAME_49") && second.contains("NAME_50") && !second.contains("button more"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_stands_by_command_and_is_searched_whole() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site
        .pipeline(
            &owner,
            "pipeline \"long\"\nstage \"s\" { run \"seq 1 60000\"; run \"echo 'A <b>Needle</b>'; false\" }",
        )
        .await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let page = "/acme/main/pipelines/long/runs/1";
    // What failed is looked at where it failed, however long the log is.
    let shown = site.get(&owner, page).await.ok().text;
    assert!(shown.contains("id=\"L60003\"") && !shown.contains("id=\"L2\""), "the end is not shown");
    assert!(shown.contains("<details class=\"cmd\" open>") && shown.contains("From the first line"));
    let first = site.get(&owner, &format!("{page}?stage=s&after=0")).await.ok().text;
    assert!(first.contains("id=\"L2\"") && !first.contains("id=\"L60003\""));
    let found = site.get(&owner, &format!("{page}?stage=s&find=needle")).await.ok().text;
    assert!(found.contains("&#60;b&#62;Needle") && found.contains("after=59983#L60003"), "{found}");
    assert!(site.get(&owner, &format!("{page}?stage=s&find=ab")).await.ok().text.contains("fewer than 3 bytes"));
    let search = format!("/api/v1/runs/{run}/stages/s/attempts/1/log/search");
    let found = site.get(&owner, &format!("{search}?text=5999")).await.ok().json();
    let lines: Vec<u64> = found["lines"].as_array().unwrap().iter().map(|of| of["line"].as_u64().unwrap()).collect();
    // The first line is the command.
    assert!(
        lines
            .into_iter()
            .eq((1..=60000).filter(|number: &u64| number.to_string().contains("5999")).map(|number| number + 1))
    );
    // A page at a time, none of them twice.
    let (mut after, mut count) = (json!(0), 0);
    while !after.is_null() {
        let part = site.get(&owner, &format!("{search}?text=999&after={after}")).await.ok().json();
        count += part["lines"].as_array().unwrap().len();
        after = part["next"].clone();
    }
    assert_eq!(count, (1..=60000).filter(|number: &u32| number.to_string().contains("999")).count());
    assert_eq!(site.get(&owner, &format!("{search}?text=x")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}
