//! The tests that stages report: their list, what is newly failing, and what hostile reports do.

use crate::site::{Site, Who};
use axum::http::Method;
use serde_json::{Value, json};

/// A pipeline whose test fails when it is told to, and which fails elsewhere when it is told that.
const PIPELINE: &str = r##"
pipeline "shop"
param "broken" default="no"
stage "unit" {
    run #"if [ "${params.broken}" = yes ]; then bad='<failure message="left is 1">at line 7\n&lt;b&gt;not markup</failure>'; fi; printf '<testsuite name="math"><testcase name="adds" time="0.5"/><testcase name="divides" time="1.25">%b</testcase><testcase name="old"><failure/></testcase><testcase name="later"><skipped/></testcase></testsuite>' "$bad" > junit.xml"#
    run #"echo '<testsuite><testcase' > cut.xml"#
    reports junit="*.xml"
}
stage "slow" { run #"echo '<testsuite name="slow"><testcase name="waits" time="3"/></testsuite>' > r.xml"#; reports junit="r.xml" }
"##;

async fn run(site: &Site, who: &Who, pipeline: &str, branch: &str, broken: &str) -> String {
    let start = json!({ "branch": branch, "params": { "broken": broken } });
    let run = site.post(who, &format!("/api/v1/pipelines/{pipeline}/runs"), start).await.ok().json();
    let run = run["id"].as_str().unwrap().to_owned();
    site.events(who, &run).await;
    run
}

fn names(tests: &Value) -> Vec<&str> {
    tests["items"].as_array().unwrap().iter().map(|test| test["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_are_listed_with_what_is_newly_failing_first() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, PIPELINE).await;
    let first = run(&site, &owner, &pipeline, "main", "no").await;
    run(&site, &owner, &pipeline, "other", "yes").await;
    let broken = run(&site, &owner, &pipeline, "main", "yes").await;
    let tests =
        async |run: &str, query: &str| site.get(&owner, &format!("/api/v1/runs/{run}/tests{query}")).await.ok().json();

    let alone = tests(&first, "").await;
    assert_eq!(names(&alone), ["old", "later", "adds", "divides", "waits"]);
    assert_eq!((&alone["compared_with"], &alone["counts"]["newly_failing"]), (&Value::Null, &json!(0)));

    let found = tests(&broken, "").await;
    assert_eq!(names(&found), ["divides", "old", "later", "adds", "waits"]);
    assert_eq!(found["compared_with"]["number"], 1, "the run of the other branch is not the one before");
    let divides = &found["items"][0];
    assert_eq!((&divides["newly_failing"], &divides["message"]), (&json!(true), &json!("left is 1")));
    assert_eq!((&divides["duration_ms"], &divides["stage"]), (&json!(1250), &json!("unit")));
    assert_eq!(divides["details"], "at line 7\n<b>not markup");
    let counts = json!({ "all": 5, "newly_failing": 1, "failed": 2, "flaky": 0, "skipped": 1, "passed": 2, "duration_ms": 4750 });
    assert_eq!(found["counts"], counts);
    assert_eq!((&found["unread"][0]["stage"], &found["unread"][0]["file"]), (&json!("unit"), &json!("cut.xml")));

    assert_eq!(names(&tests(&broken, "?status=newly_failing").await), ["divides"]);
    assert_eq!(names(&tests(&broken, "?stage=slow").await), ["waits"]);
    assert_eq!(names(&tests(&broken, "?search=MATH%20%E2%80%BA%20a").await), ["adds"]);
    assert_eq!(names(&tests(&broken, "?order=duration&limit=2").await), ["waits", "divides"]);
    let (mut paged, mut cursor) = (Vec::new(), Some("0".to_owned()));
    while let Some(from) = cursor {
        let page = tests(&broken, &format!("?limit=2&cursor={from}")).await;
        paged.extend(names(&page).into_iter().map(str::to_owned));
        cursor = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(paged, ["divides", "old", "later", "adds", "waits"]);

    let again = site.post(&owner, &format!("/api/v1/runs/{broken}/rerun"), json!({})).await.ok().json();
    let again = again["id"].as_str().unwrap();
    site.events(&owner, again).await;
    let found = tests(again, "").await;
    assert_eq!(found["compared_with"]["number"], 1, "a rerun is compared as the first one was");
    assert_eq!(found["counts"]["newly_failing"], 1);

    let page = "/acme/main/pipelines/shop/runs/3";
    let shown = site.get(&owner, &format!("{page}?tab=tests")).await.ok().text;
    assert!(shown.contains("math › divides") && shown.contains("<b class=\"badge\">new</b>"), "{shown}");
    assert!(shown.contains("&lt;b&gt;not markup") && !shown.contains("<b>not markup"), "{shown}");
    assert!(shown.contains("cut.xml is no report"));
    let failed = site.get(&owner, &format!("{page}?tab=tests&only=failed")).await.ok().text;
    assert!(failed.contains("math › old") && !failed.contains("math › adds"));
    let none = site.get(&owner, &format!("{page}?tab=tests&text=nothing")).await.ok().text;
    assert!(none.contains("No test is like that"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_reports_says_how_to_leave_some() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, "pipeline \"bare\"\nstage \"s\" { run \"true\" }").await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let found = site.get(&owner, &format!("/api/v1/runs/{run}/tests")).await.ok().json();
    assert_eq!((&found["items"], &found["counts"]["all"]), (&json!([]), &json!(0)));
    let shown = site.get(&owner, "/acme/main/pipelines/bare/runs/1?tab=tests").await.ok().text;
    assert!(shown.contains("No stage has reported a test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_a_report_of_a_hundred_thousand_tests_is_paged() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let config = "pipeline \"many\"\nstage \"s\" { run \"(echo '<testsuite name=\\\"s\\\">'; seq 1 100000 | sed 's/.*/<testcase name=\\\"t&\\\" time=\\\"0.001\\\"\\\\/>/'; echo '</testsuite>') > r.xml\"; reports junit=\"r.xml\" }";
    let pipeline = site.pipeline(&owner, config).await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let found = site.get(&owner, &format!("/api/v1/runs/{run}/tests?limit=5")).await.ok().json();
    assert_eq!(found["counts"]["all"], 100_000, "{found}");
    assert_eq!(names(&found).len(), 5);
    let shown = site.get(&owner, "/acme/main/pipelines/many/runs/1?tab=tests&text=t99999").await.ok().text;
    assert!(shown.contains("s › t99999") && shown.len() < 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_are_compared_down_to_their_tests() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, PIPELINE).await;
    let first = run(&site, &owner, &pipeline, "main", "no").await;
    let changed = json!({ "config": PIPELINE.replace("> r.xml", "> r.xml; true") });
    let path = format!("/api/v1/pipelines/{pipeline}");
    let tag = site.get(&owner, &path).await.ok().header("etag").to_owned();
    site.ask(&owner.clone().with("if-match", &tag), Method::PATCH, &path, Some(changed)).await.ok();
    let broken = run(&site, &owner, &pipeline, "main", "yes").await;

    let diff = site.get(&owner, &format!("/api/v1/runs/{broken}/diff")).await.ok().json();
    assert_eq!((&diff["before"]["number"], &diff["after"]["number"]), (&json!(1), &json!(2)));
    let of = |kind: &str| -> Vec<&Value> {
        diff["differences"].as_array().unwrap().iter().filter(|of| of["kind"] == kind).collect()
    };
    assert_eq!(of("plan")[0]["stage"], "slow");
    assert_eq!(of("input").iter().filter(|of| of["name"] == "params.broken").count(), 1);
    let tests = diff["tests"].as_array().unwrap();
    assert_eq!((tests.len(), &tests[0]["change"], &tests[0]["name"]), (1, &json!("newly_failing"), &json!("divides")));
    let back = site.get(&owner, &format!("/api/v1/runs/{first}/diff?before={broken}")).await.ok().json();
    assert_eq!(back["tests"][0]["change"], "fixed");
    let alone = site.get(&owner, &format!("/api/v1/runs/{first}/diff")).await;
    assert_eq!(alone.status.as_u16(), 404, "{}", alone.text);
    let same = site.get(&owner, &format!("/api/v1/runs/{first}/diff?before={first}")).await.ok().json();
    assert_eq!((&same["differences"], &same["tests"]), (&json!([]), &json!([])));

    let page = "/acme/main/pipelines/shop/runs/2?tab=compare";
    let shown = site.get(&owner, page).await.ok().text;
    assert!(shown.contains("Newly failing tests") && shown.contains("math › divides"), "{shown}");
    assert!(shown.contains("params.broken"), "{shown}");
    assert!(site.get(&owner, &format!("{page}&with=9")).await.ok().text.contains("shop has no run 9"));
    let plan = site.get(&owner, "/acme/main/pipelines/shop/runs/2?tab=plan&text=sl").await.ok().text;
    assert!(plan.contains("action.commands[0].source") && plan.contains("r.xml; true"), "{plan}");
    assert!(!plan.contains("junit.xml"), "the other stage is not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_a_run_of_another_tenant_is_compared_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = buildit_server::Settings::default();
    settings.data = folder.path().to_owned();
    settings.docker = false;
    settings.local_for_all = true;
    let site = Site::open_with(settings).await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, "pipeline \"mine\"\nstage \"s\" { run \"true\" }").await;
    let mine = site.run(&owner, &pipeline).await;
    site.events(&owner, &mine).await;
    let organizations = site.get(&owner, "/api/v1/organizations").await.json();
    let tenants = format!("/api/v1/organizations/{}/tenants", organizations["items"][0]["id"].as_str().unwrap());
    let other = site.post(&owner, &tenants, json!({ "name": "other" })).await.ok().json();
    let other = other["id"].as_str().unwrap();
    let stranger = site.key_of(&owner, other, "admin").await;
    let made = json!({ "tenant": other, "config": "pipeline \"theirs\"\nstage \"s\" { approval; run \"true\" }" });
    let theirs = site.post(&owner, "/api/v1/pipelines", made).await.ok().json();
    let theirs = format!("/api/v1/pipelines/{}/runs", theirs["id"].as_str().unwrap());
    let theirs = site.post(&owner, &theirs, json!({})).await;
    let Some(theirs) = theirs.json()["id"].as_str().map(str::to_owned) else { panic!("{}", theirs.text) };
    for (run, before) in [(&mine, &theirs), (&theirs, &mine)] {
        let answer = site.get(&stranger, &format!("/api/v1/runs/{run}/diff?before={before}")).await;
        assert_eq!(answer.status.as_u16(), 404, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_artifacts_come_as_one_archive() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let config = "pipeline \"left\"\nstage \"a\" { run \"mkdir d; echo one > d/x; echo two > y\"; artifacts \"d/**\"; artifacts \"y\" name=\"y\" }\nstage \"b\" { run \"echo three > y\"; artifacts \"y\" name=\"y\" }";
    let pipeline = site.pipeline(&owner, config).await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    let answer = site.get(&owner, &format!("/api/v1/runs/{run}/artifacts")).await.ok();
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"left-1.tar\"");
    for path in ["a/d___/d/x", "a/y/y", "b/y/y"] {
        assert!(answer.text.contains(&format!("{path}\0")), "{path}");
    }
    assert!(
        site.get(&owner, "/acme/main/pipelines/left/runs/1?tab=artifacts").await.ok().text.contains("Download all 3")
    );
    let bare = site.pipeline(&owner, "pipeline \"bare\"\nstage \"s\" { run \"true\" }").await;
    let bare = site.run(&owner, &bare).await;
    site.events(&owner, &bare).await;
    let none = site.get(&owner, &format!("/api/v1/runs/{bare}/artifacts")).await;
    assert_eq!((none.status.as_u16(), none.header("content-type")), (404, "application/problem+json"));
}
