//! Traces of runs, as a collector gets them: the bytes that arrive.

use std::collections::BTreeMap;
use std::path::Path;

use crate::site::Site;
use crate::site::sink::{Got, Sink};
use axum::http::StatusCode;
use buildit_server::Settings;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

const SHOP: &str = "pipeline \"shop\"
stage \"build\" { run \"true\" }
stage \"test\" { needs \"build\"; run \"exit 3\" }
stage \"deploy\" { needs \"test\"; run \"true\" }";

fn traced(folder: &Path, url: &str) -> Settings {
    let mut settings = Site::settings(folder);
    settings.traces_url = Some(url.to_owned());
    settings.traces_headers = Some("authorization=Bearer s3cret".to_owned().into());
    settings
}

fn spans(got: &Got) -> Vec<Span> {
    let told = ExportTraceServiceRequest::decode(got.body.clone()).unwrap();
    told.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans).collect()
}

fn attributes(span: &Span) -> BTreeMap<&str, &str> {
    let each = span.attributes.iter().map(|pair| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => (pair.key.as_str(), text.as_str()),
        other => panic!("{other:?}"),
    });
    each.collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}: {spans:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_a_trace_with_the_times_of_its_record() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::open().await);
    let site = Site::open_with(traced(folder.path(), &sink.url)).await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, SHOP).await;
    // A collector that does not feel well is asked again.
    sink.answer(&[503]);
    let run = site.run(&owner, &pipeline).await;
    let events = site.events(&owner, &run).await;
    let got = sink.wait(2).await;
    assert_eq!((got[1].path.as_str(), got[1].header("content-type")), ("/v1/traces", "application/x-protobuf"));
    assert_eq!(got[1].header("authorization"), "Bearer s3cret");
    assert_eq!(got[0].body, got[1].body, "what is sent again is the same trace");
    let spans = spans(&got[1]);
    assert_eq!(spans.len(), 6, "{spans:?}");
    let id = uuid::Uuid::parse_str(&run).unwrap();
    assert!(spans.iter().all(|span| span.trace_id == id.as_bytes() && span.span_id.len() == 8));

    let root = named(&spans, "RUN shop");
    let of = attributes(root);
    assert_eq!(
        (of["cicd.pipeline.name"], of["cicd.pipeline.result"], of["vcs.ref.head.name"]),
        ("shop", "failure", "main")
    );
    assert_eq!((of["cicd.pipeline.run.id"], of["buildit.run.number"]), (run.as_str(), "1"));
    assert_eq!(of["cicd.pipeline.run.url.full"], "http://localhost:30080/acme/main/pipelines/shop/runs/1");
    let (stage, attempt) = (named(&spans, "test"), named(&spans, "test attempt 1"));
    assert!(root.parent_span_id.is_empty());
    assert_eq!((&stage.parent_span_id, &attempt.parent_span_id), (&root.span_id, &stage.span_id));
    let of = attributes(attempt);
    assert_eq!((of["cicd.pipeline.task.name"], of["cicd.pipeline.task.run.result"]), ("test", "failure"));
    assert_eq!((of["error.type"], of["buildit.executor"]), ("exit", "local"));
    let code = |name: &str| named(&spans, name).status.as_ref().unwrap().code;
    assert_eq!((code("build"), code("test attempt 1"), code("deploy")), (1, 2, 0));
    let skipped = named(&spans, "deploy");
    assert_eq!(attributes(skipped)["cicd.pipeline.task.run.result"], "skip");
    assert_eq!(skipped.start_time_unix_nano, skipped.end_time_unix_nano);

    let time = |kind: &str, stage: Option<&str>| {
        let is_it =
            |event: &&serde_json::Value| event["type"] == kind && stage.is_none_or(|stage| event["stage"] == stage);
        let event = events.iter().find(is_it).unwrap();
        let time: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
        u64::try_from(time.as_nanosecond()).unwrap()
    };
    assert_eq!(root.end_time_unix_nano, time("run_finished", None));
    assert_eq!(attempt.start_time_unix_nano, time("attempt_started", Some("test")));
    assert_eq!(attempt.end_time_unix_nano, time("attempt_finished", Some("test")));
    assert_eq!(stage.end_time_unix_nano, time("stage_finished", Some("test")));
    assert!(root.start_time_unix_nano <= stage.start_time_unix_nano);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_missed_it_is_told_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let site = Site::open_with(traced(folder.path(), &nowhere)).await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, SHOP).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = site.run(&owner, &pipeline).await;
        site.events(&owner, &run).await;
        runs.push(uuid::Uuid::parse_str(&run).unwrap().as_bytes().to_vec());
    }
    site.server.shutdown().await;
    drop(site);

    let sink = Sink::open().await;
    let site = Site::open_with(traced(folder.path(), &sink.url)).await;
    let got = sink.wait(3).await;
    let mut told: Vec<Vec<u8>> = got.iter().map(|got| spans(got)[0].trace_id.clone()).collect();
    told.sort();
    runs.sort();
    assert_eq!(told, runs, "each once");
    // The next one is told too, and none of them again.
    let run = site.run(&owner, &pipeline).await;
    let got = sink.wait(4).await;
    assert_eq!(spans(&got[3])[0].trace_id, uuid::Uuid::parse_str(&run).unwrap().as_bytes());
    assert_eq!(got.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_of_the_trace_of_whoever_started_it() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::open().await);
    let site = Site::open_with(traced(folder.path(), &sink.url)).await;
    let owner = site.owner().await;
    let config = "pipeline \"asked\"\nstage \"say\" { run \"test \\\"$TRACEPARENT\\\" = 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\" }";
    let pipeline = site.pipeline(&owner, config).await;
    let path = format!("/api/v1/pipelines/{pipeline}/runs");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let made = site.post(&owner.with("traceparent", parent), &path, json!({})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let spans = spans(&sink.wait(1).await[0]);
    let root = named(&spans, "RUN asked");
    assert_eq!(hex::encode(&root.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex::encode(&root.parent_span_id), "b7ad6b7169203331");
    assert_eq!(attributes(root)["cicd.pipeline.result"], "success", "its jobs know of it");
}

#[tokio::test]
async fn without_a_collector_nothing_is_kept_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(folder.path()).await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, SHOP).await;
    let run = site.run(&owner, &pipeline).await;
    site.events(&owner, &run).await;
    site.server.shutdown().await;
    drop(site);
    let sink = Sink::open().await;
    let site = Site::open_with(traced(folder.path(), &sink.url)).await;
    let run = site.run(&owner, &pipeline).await;
    let got = sink.wait(1).await;
    assert_eq!(spans(&got[0])[0].trace_id, uuid::Uuid::parse_str(&run).unwrap().as_bytes());
}
