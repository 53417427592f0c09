//! The REST API: what it does, and for whom.

use crate::site::{Site, Who};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

const HELLO: &str = "pipeline \"hello\"\nstage \"greet\" { run \"echo hello\" }";

const APPROVED: &str = "pipeline \"careful\"
stage \"ask\" {
    approval { message \"Go?\"; field \"why\" }
    run \"echo going because ${approval.why}\"
}";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_triggered_as_it_stands_while_there_is_no_owner() {
    let site = Site::new().await;
    let here = Who::here();
    let pipeline = site.pipeline(&here, HELLO).await;
    let run = site.run(&here, &pipeline).await;
    let events = site.events(&here, &run).await;
    assert!(events.iter().map(|event| event["seq"].as_u64().unwrap()).eq(1..=events.len() as u64));
    assert_eq!(events.last().unwrap()["type"], "run_finished");
    let shown = site.get(&here, &format!("/api/v1/runs/{run}")).await.ok().json();
    assert_eq!(
        (&shown["status"], &shown["number"], &shown["branch"]),
        (&json!("succeeded"), &json!(1), &json!("main"))
    );
    assert_eq!(shown["stages"][0]["attempts"][0]["exit_code"], 0);
    let log = site.get(&here, &format!("/api/v1/runs/{run}/stages/greet/attempts/1/log")).await.ok().json();
    assert_eq!(log["chunks"][1]["lines"], json!(["hello"]));
    let raw = site.get(&here, &format!("/api/v1/runs/{run}/stages/greet/attempts/1/log/raw")).await.ok();
    assert_eq!(raw.text, "echo hello\nhello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_only_somebody_at_the_machine_acts_while_there_is_no_owner() {
    let site = Site::new().await;
    let here = Who::here();
    let strangers = [
        Who::away(),
        Who { peer: crate::site::AWAY.parse().unwrap(), ..here.clone() },
        here.clone().with("host", "evil.example:30080"),
        here.clone().with("origin", "http://evil.example"),
        here.clone().with("x-forwarded-for", "127.0.0.1"),
        here.clone().with("forwarded", "for=127.0.0.1"),
    ];
    for stranger in strangers {
        let answer = site.post(&stranger, "/api/v1/pipelines", json!({ "config": HELLO })).await;
        assert!(matches!(answer.status.as_u16(), 401 | 403), "{stranger:?}: {}", answer.status);
    }
    site.pipeline(&here, HELLO).await;
    // From then on nobody is the owner-to-be, and what was made is the owner's.
    let owner = site.owner().await;
    assert_eq!(site.get(&here, "/api/v1/pipelines").await.status, StatusCode::UNAUTHORIZED);
    let found = site.get(&owner, "/api/v1/pipelines").await.ok().json();
    assert_eq!(found["items"][0]["name"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_made_once_from_here_or_with_the_token() {
    let site = Site::new().await;
    let fields =
        |token| [("organization", "acme"), ("email", "a@example.com"), ("password", "correct horse"), ("token", token)];
    let away = Who::away();
    assert_eq!(site.form(&away, "/setup", &fields("setup_wrong")).await.status, StatusCode::FORBIDDEN);
    let url = site.server.state().setup_url().await.unwrap().unwrap();
    let token = url.split_once("token=").unwrap().1.to_owned();
    let page = site.get(&away, &format!("/setup?token={token}")).await.ok();
    assert!(page.text.contains("Create the owner"));
    let fields = fields(&token);
    let (one, two) = tokio::join!(site.form(&away, "/setup", &fields), site.form(&away, "/setup", &fields));
    let mut statuses = [one.status, two.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::CONFLICT]);
    assert_eq!(site.form(&Who::here(), "/setup", &fields).await.status, StatusCode::CONFLICT);
    assert!(site.server.state().setup_url().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_do_what_their_role_says_until_they_end() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let tenant = site.tenant(&owner, "acme", "main").await;
    let (viewer, member, admin) =
        (site.key(&owner, "viewer").await, site.key(&owner, "member").await, site.key(&owner, "admin").await);
    let pipeline = site.pipeline(&member, HELLO).await;
    let trigger = format!("/api/v1/pipelines/{pipeline}/runs");
    let denied = site.post(&viewer, &trigger, json!({})).await;
    assert_eq!((denied.status, denied.header("content-type")), (StatusCode::FORBIDDEN, "application/problem+json"));
    assert_eq!(denied.json()["type"], "urn:buildit:problem:forbidden");
    site.post(&member, &trigger, json!({})).await.ok();
    site.get(&viewer, &trigger).await.ok();
    // A key makes none that may do more.
    let keys = format!("/api/v1/tenants/{tenant}/keys");
    assert_eq!(site.post(&member, &keys, json!({ "name": "x" })).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.post(&admin, &keys, json!({ "name": "x", "role": "owner" })).await.status, StatusCode::FORBIDDEN);
    let listed = site.get(&admin, &keys).await.ok();
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 3);
    for who in [&viewer, &member, &admin] {
        let token =
            who.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.strip_prefix("Bearer ").unwrap();
        assert!(!listed.text.contains(token), "a key is shown again");
    }
    let id =
        listed.json()["items"].as_array().unwrap().iter().find(|key| key["name"] == "viewer").unwrap()["id"].clone();
    let gone = site.ask(&owner, Method::DELETE, &format!("{keys}/{}", id.as_str().unwrap()), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&viewer, &trigger).await.status, StatusCode::UNAUTHORIZED);
    let past = json!({ "name": "late", "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(site.post(&admin, &keys, past).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_kept_changed_and_deleted() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let made = site.post(&owner, "/api/v1/pipelines", json!({ "name": "shop", "config": HELLO })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (place, tag) = (made.header("location").to_owned(), made.header("etag").to_owned());
    let again = site.post(&owner, "/api/v1/pipelines", json!({ "name": "shop", "config": HELLO })).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let changed = HELLO.replace("hello", "goodbye");
    let with_tag = owner.clone().with("if-match", &tag);
    let answer = site.ask(&with_tag, Method::PATCH, &place, Some(json!({ "config": changed }))).await.ok();
    assert_ne!(answer.header("etag"), tag);
    let late = site.ask(&with_tag, Method::PATCH, &place, Some(json!({ "config": HELLO }))).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(site.get(&owner, &place).await.json()["config"], changed);
    let wrong = site.ask(&owner, Method::PATCH, &place, Some(json!({ "config": "stage \"x\" { needs \"y\" }" }))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let codes: Vec<Value> =
        wrong.json()["diagnostics"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    assert!(codes.contains(&json!("unknown-need")), "{codes:?}");
    let found = site.get(&owner, "/api/v1/pipelines?search=SHO").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(site.ask(&owner, Method::DELETE, &place, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&owner, &place).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_on_where_a_page_ends() {
    let site = Site::new().await;
    let owner = site.owner().await;
    for name in ["a", "b", "c", "d", "e"] {
        site.post(&owner, "/api/v1/pipelines", json!({ "name": name, "config": HELLO })).await.ok();
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.get(&owner, &format!("/api/v1/pipelines?limit=2{cursor}")).await.ok().json();
        names.extend(page["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_waits_for_a_person_and_is_answered() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, APPROVED).await;
    for (action, status) in [("approve", "succeeded"), ("reject", "failed")] {
        let run = site.run(&owner, &pipeline).await;
        site.until(&owner, &run, |event| event["type"] == "approval_requested").await;
        let shown = site.get(&owner, &format!("/api/v1/runs/{run}")).await.json();
        assert_eq!((&shown["status"], &shown["stages"][0]["approval"]["message"]), (&json!("waiting"), &json!("Go?")));
        let path = format!("/api/v1/runs/{run}/{action}");
        let viewer = site.key(&owner, "viewer").await;
        let answer = json!({ "stage": "ask", "fields": { "why": "tests" } });
        assert_eq!(site.post(&viewer, &path, answer.clone()).await.status, StatusCode::FORBIDDEN);
        assert_eq!(site.post(&owner, &path, json!({ "stage": "nothing" })).await.status, StatusCode::NOT_FOUND);
        assert_eq!(site.post(&owner, &path, answer.clone()).await.status, StatusCode::NO_CONTENT);
        let events = site.events(&owner, &run).await;
        assert_eq!(events.last().unwrap()["status"], status, "{action}");
        let given = events.iter().find(|event| event["type"] == "approval_given").unwrap();
        assert_eq!(given["approval"]["by"], "ada@example.com");
        assert_eq!(site.post(&owner, &path, answer).await.status, StatusCode::CONFLICT, "it has ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_and_run_again() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site
        .pipeline(
            &owner,
            "pipeline \"slow\"\nstage \"ok\" { run \"true\" }\nstage \"wait\" { needs \"ok\"; run \"sleep 600\" }",
        )
        .await;
    let run = site.run(&owner, &pipeline).await;
    site.until(&owner, &run, |event| event["type"] == "attempt_started" && event["stage"] == "wait").await;
    assert_eq!(site.post(&owner, &format!("/api/v1/runs/{run}/rerun"), json!({})).await.status, StatusCode::CONFLICT);
    assert_eq!(site.post(&owner, &format!("/api/v1/runs/{run}/cancel"), json!({})).await.status, StatusCode::ACCEPTED);
    let events = site.events(&owner, &run).await;
    assert_eq!(events.last().unwrap()["status"], "cancelled");
    let why = site.get(&owner, &format!("/api/v1/runs/{run}")).await.json()["cancel_reason"].clone();
    assert_eq!(why, "cancelled by ada@example.com");
    let again = site.post(&owner, &format!("/api/v1/runs/{run}/rerun"), json!({})).await.ok().json();
    let second = again["id"].as_str().unwrap();
    assert_eq!(again["number"], 2);
    site.post(&owner, &format!("/api/v1/runs/{second}/cancel"), json!({})).await.ok();
    site.events(&owner, second).await;
    let explained = site.get(&owner, &format!("/api/v1/runs/{run}/explain")).await.ok().json();
    assert_eq!(explained["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_downloaded_as_they_were_left() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let config = "pipeline \"make\"\nstage \"build\" { run \"mkdir out && echo made > out/file.txt\"; artifacts \"out/file.txt\" name=\"result\" }";
    let pipeline = site.pipeline(&owner, config).await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let shown = site.get(&owner, &format!("/api/v1/runs/{run}/stages")).await.ok().json();
    let name = shown["items"][0]["artifacts"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(shown["items"][0]["artifacts"][0]["paths"], json!(["out/file.txt"]));
    let got = site.get(&owner, &format!("/api/v1/runs/{run}/stages/build/artifacts/{name}")).await.ok();
    assert!(got.text.contains("out/file.txt") && got.text.contains("made\n"));
    assert!(got.header("content-disposition").starts_with("attachment"));
    assert_eq!(
        site.get(&owner, &format!("/api/v1/runs/{run}/stages/build/artifacts/other")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_on_record() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let key = site.key(&owner, "member").await;
    let pipeline = site.pipeline(&key, HELLO).await;
    site.run(&key, &pipeline).await;
    let tenant = site.tenant(&owner, "acme", "main").await;
    let log = site.get(&owner, &format!("/api/v1/tenants/{tenant}/audit")).await.ok().json();
    let lines: Vec<(&str, &str)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["actor"].as_str().unwrap(), line["action"].as_str().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [("API key member", "run.trigger"), ("API key member", "pipeline.create"), ("ada@example.com", "key.create")]
    );
    assert_eq!(site.get(&key, &format!("/api/v1/tenants/{tenant}/audit")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_api_that_is_none_is_a_problem() {
    let site = Site::new().await;
    let owner = site.owner().await;
    for path in ["/api/v1/nothing", "/api/v1/runs/not-an-id", "/api/v1/pipelines/00000000-0000-7000-8000-000000000000"]
    {
        let answer = site.get(&owner, path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::NOT_FOUND, "application/problem+json"),
            "{path}"
        );
    }
    let answer = site.post(&owner, "/api/v1/pipelines", json!({ "config": HELLO, "other": 1 })).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_secret_reaches_the_job_and_nothing_that_is_told_or_kept() {
    const OF_TENANT: &str = "tenant-s3cr3t-4711";
    const OF_PIPELINE: &str = "pipeline-s3cr3t-4712";
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path()).await;
    let owner = site.owner().await;
    let tenant = site.tenant(&owner, "acme", "main").await;
    let config = r##"pipeline "p"
stage "s" {
    secrets "TOKEN" "OTHER"
    run #"test "$(printf %s "$TOKEN" | wc -c)" -eq 20 && test "$(printf %s "$OTHER" | wc -c)" -eq 18"#
    run #"echo "got $TOKEN and $OTHER""#
}"##;
    let pipeline = site.pipeline(&owner, config).await;
    let trigger = format!("/api/v1/pipelines/{pipeline}/runs");
    let missing = site.post(&owner, &trigger, json!({})).await;
    assert_eq!(missing.status, StatusCode::UNPROCESSABLE_ENTITY, "a secret that nobody has set: {}", missing.text);
    let set = async |path: String, value: &str| {
        let answer = site.ask(&owner, Method::PUT, &path, Some(json!({ "value": value }))).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    };
    set(format!("/api/v1/tenants/{tenant}/secrets/TOKEN"), "hidden-by-the-pipelines").await;
    set(format!("/api/v1/tenants/{tenant}/secrets/OTHER"), OF_TENANT).await;
    set(format!("/api/v1/pipelines/{pipeline}/secrets/TOKEN"), OF_PIPELINE).await;
    for (name, value) in [("SHORT", "abc"), ("1ST", "long enough"), ("NUL", "long\0enough")] {
        let path = format!("/api/v1/tenants/{tenant}/secrets/{name}");
        let refused = site.ask(&owner, Method::PUT, &path, Some(json!({ "value": value }))).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {}", refused.text);
    }
    let run = site.run(&owner, &pipeline).await;
    let events = site.events(&owner, &run).await;
    assert_eq!(events.last().unwrap()["status"], "succeeded", "{events:?}");
    let raw = site.get(&owner, &format!("/api/v1/runs/{run}/stages/s/attempts/1/log/raw")).await.ok().text;
    assert!(raw.contains("got *** and ***"), "{raw}");
    let told = [
        format!("/api/v1/tenants/{tenant}/secrets"),
        format!("/api/v1/pipelines/{pipeline}/secrets"),
        format!("/api/v1/runs/{run}"),
        format!("/api/v1/runs/{run}/explain"),
        format!("/api/v1/tenants/{tenant}/audit"),
        "/acme/main/settings/secrets".into(),
        "/acme/main/pipelines/p/secrets".into(),
        "/acme/main/pipelines/p/runs/1".into(),
    ];
    for path in told {
        let text = site.get(&owner, &path).await.ok().text;
        assert!(!text.contains(OF_TENANT) && !text.contains(OF_PIPELINE), "{path}: {text}");
        assert!(!path.ends_with("/secrets") || text.contains("TOKEN"), "{path} lists it");
    }
    site.server.shutdown().await;
    let mut folders = vec![folder.path().to_owned()];
    let mut is_found = false;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            is_found |= has("pipeline_runs");
            assert!(!has(OF_TENANT) && !has(OF_PIPELINE), "{} has it", entry.path().display());
        }
    }
    assert!(is_found, "the database was not looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_all_hears_the_end() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, HELLO).await;
    let run = site.run(&owner, &pipeline).await;
    let last = site.events(&owner, &run).await.len();
    for seen in [last, last + 7] {
        let again = owner.clone().with("last-event-id", &seen.to_string());
        assert!(site.events(&again, &run).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_jobs_of_other_tenants_do_not_run_as_the_server_unless_it_is_said() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let organizations = site.get(&owner, "/api/v1/organizations").await.json();
    let tenants = format!("/api/v1/organizations/{}/tenants", organizations["items"][0]["id"].as_str().unwrap());
    let other = site.post(&owner, &tenants, json!({ "name": "other" })).await.ok().json();
    let key = site.key_of(&owner, other["id"].as_str().unwrap(), "member").await;
    let pipeline = site.pipeline(&key, HELLO).await;
    let refused = site.post(&key, &format!("/api/v1/pipelines/{pipeline}/runs"), json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("local_for_all"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_pipeline_that_was_renamed_is_run_again_as_one_of_it() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, HELLO).await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let place = format!("/api/v1/pipelines/{pipeline}");
    site.ask(&owner, Method::PATCH, &place, Some(json!({ "name": "renamed" }))).await.ok();
    // Another one has its name now.
    site.pipeline(&owner, HELLO).await;
    let again = site.post(&owner, &format!("/api/v1/runs/{run}/rerun"), json!({})).await.ok().json();
    assert_eq!((&again["pipeline"], &again["number"]), (&json!("renamed"), &json!(2)));
    site.events(&owner, again["id"].as_str().unwrap()).await;
    let runs = site.get(&owner, &format!("{place}/runs")).await.ok().json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_would_take_all_memory_is_refused() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let values: String = (0..32).map(|value| format!(" \"{value}\"")).collect();
    let stage = |number: usize| format!("stage \"s{number}\" {{ matrix {{ a{values}; b{values} }}; run \"true\" }}\n");
    let config: String = std::iter::once("pipeline \"p\"\n".to_owned()).chain((0..200).map(stage)).collect();
    let judged = site.post(&owner, "/api/v1/validate", json!({ "config": config })).await.ok().json();
    assert_eq!(judged["valid"], false, "{judged}");
    let large = format!("pipeline \"p\"\nstage \"s\" {{ run \"true {}\" }}", "x".repeat(300 * 1024));
    assert_eq!(site.post(&owner, "/api/v1/validate", json!({ "config": large })).await.ok().json()["valid"], false);
    let endless = json!({ "config": "x".repeat(5 * 1024 * 1024) });
    assert_eq!(site.post(&owner, "/api/v1/validate", endless).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}
