//! The tests that stages report: their list, what is newly failing, and what hostile reports do.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod site;

use serde_json::{Value, json};
use site::{Site, Who};

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
