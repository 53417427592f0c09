//! What happens in a run, as it happens: by WebSocket at a real port.

use std::net::SocketAddr;

use crate::site::{Site, Who};
use buildit_server::router;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CHATTY: &str = "pipeline \"chatty\"
stage \"talk\" { run \"i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.005; done\" }
stage \"end\" { needs \"talk\"; run \"true\" }";

async fn served(site: &Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(site.server.state().clone()).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn open(address: SocketAddr, who: &Who, run: &str, after: u64) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}/api/v1/runs/{run}/live?after={after}").into_client_request().unwrap();
    for (name, value) in who.headers.iter().filter(|(name, _)| name != "host") {
        let name: axum::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn wish(socket: &mut Socket, after: u64) {
    let wish = json!({ "log": { "stage": "talk", "attempt": 1, "after": after } });
    socket.send(Message::Text(wish.to_string().into())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_page_that_is_cut_off_again_and_again_misses_nothing() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, CHATTY).await;
    let run = site.run(&owner, &pipeline).await;
    let address = served(&site).await;
    let (mut seqs, mut lines) = (Vec::new(), Vec::new());
    let (mut is_over, mut log_ended) = (false, false);
    for round in 1.. {
        let (seq, line) = (seqs.last().copied().unwrap_or(0), lines.len() as u64);
        let mut socket = open(address, &owner, &run, seq).await.unwrap();
        wish(&mut socket, line).await;
        // The connection breaks after a few messages, each time after more.
        for _ in 0..round * 7 {
            let Some(said) = next(&mut socket).await else { break };
            match said["type"].as_str().unwrap() {
                "event" => {
                    seqs.push(said["event"]["seq"].as_u64().unwrap());
                    is_over = said["event"]["type"] == "run_finished";
                }
                "log" => {
                    assert_eq!(said["first_line"], lines.len() as u64 + 1);
                    lines
                        .extend(said["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()));
                }
                "log_end" => log_ended = true,
                _ => {}
            }
            if is_over && log_ended {
                break;
            }
        }
        drop(socket);
        if is_over && log_ended {
            break;
        }
    }
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    let printed: Vec<String> = (1..=400).map(|number| format!("line {number}")).collect();
    assert_eq!(lines[1..], printed, "the first line is the command");
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_nobody_listens_who_may_not() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, "pipeline \"p\"\nstage \"s\" { run \"true\" }").await;
    let run = site.run(&owner, &pipeline).await;
    let address = served(&site).await;
    let refused = |result: Result<Socket, Error>| match result {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(open(address, &Who::away(), &run, 0).await), 401);
    // A page of another site, in the owner's own browser.
    assert_eq!(refused(open(address, &owner.clone().with("origin", "http://evil.example"), &run, 0).await), 403);
    assert!(open(address, &owner.clone().with("origin", &format!("http://{address}")), &run, 0).await.is_ok());
    let member = site.key(&owner, "viewer").await;
    assert!(open(address, &member, &run, 0).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_after_the_last_one_that_was_seen() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, "pipeline \"p\"\nstage \"s\" { run \"true\" }").await;
    let run = site.run(&owner, &pipeline).await;
    let all = site.events(&owner, &run).await;
    let rest = site.events(&owner.clone().with("last-event-id", "2"), &run).await;
    assert_eq!(rest, all[2..]);
}

/// What comes after which nothing more is heard.
async fn is_cut_off(mut socket: Socket) {
    let end = async { while next(&mut socket).await.is_some() {} };
    // Sooner than anybody looks by themselves whether they still may.
    tokio::time::timeout(std::time::Duration::from_secs(4), end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_whoever_is_out_hears_no_more() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let pipeline = site.pipeline(&owner, "pipeline \"p\"\nstage \"ask\" { approval; run \"true\" }").await;
    let run = site.run(&owner, &pipeline).await;
    site.until(&owner, &run, |event| event["type"] == "approval_requested").await;
    let address = served(&site).await;
    let member = site.key(&owner, "viewer").await;
    let keys = format!("/api/v1/tenants/{}/keys", site.tenant(&owner, "acme", "main").await);
    let key = site.get(&owner, &keys).await.ok().json()["items"][0]["id"].as_str().unwrap().to_owned();

    let (by_key, by_login) =
        (open(address, &member, &run, 0).await.unwrap(), open(address, &owner, &run, 0).await.unwrap());
    let told = site.app.clone();
    let request = member.request(axum::http::Method::GET, &format!("/api/v1/runs/{run}/events"), "", String::new());
    let stream = tower::ServiceExt::oneshot(told, request).await.unwrap().into_body();
    site.ask(&owner, axum::http::Method::DELETE, &format!("{keys}/{key}"), None).await.ok();
    is_cut_off(by_key).await;
    let rest = http_body_util::BodyExt::collect(stream).await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&rest).contains("run_finished"));

    site.form(&owner, "/logout", &[]).await;
    is_cut_off(by_login).await;
}

/// The lines that a socket, which asked for those after this one, is told of to the end of the log.
async fn read_on(mut socket: Socket, after: u64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    loop {
        let said = next(&mut socket).await.expect("it goes on to the end");
        match said["type"].as_str().unwrap() {
            "log" => {
                assert_eq!(said["first_line"], after + lines.len() as u64 + 1);
                lines.extend(said["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()));
            }
            "log_end" => return lines,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_all_who_watch_a_log_get_all_of_it_wherever_they_come_in() {
    let site = Site::new().await;
    let owner = site.owner().await;
    // More than what is kept for readers: whoever comes later begins in the store.
    let words = "w".repeat(100);
    let loud = format!(
        "pipeline \"loud\"\nstage \"talk\" {{ run \"i=0; while [ $i -lt 60 ]; do i=$((i+1)); seq -f \\\"%.0f {words}\\\" 1000; done\" }}"
    );
    let pipeline = site.pipeline(&owner, &loud).await;
    let run = site.run(&owner, &pipeline).await;
    let address = served(&site).await;
    let mut reading = Vec::new();
    for after in [0, 500, 0, 30_000, 7, 0] {
        let mut socket = open(address, &owner, &run, 0).await.unwrap();
        // Each begins later than the one before.
        next(&mut socket).await.unwrap();
        wish(&mut socket, after).await;
        reading.push((after, tokio::spawn(read_on(socket, after))));
    }
    // It asks, and then takes nothing.
    let mut stalled = open(address, &owner, &run, 0).await.unwrap();
    wish(&mut stalled, 0).await;
    let mut first: Option<Vec<String>> = None;
    for (after, reading) in reading {
        let lines = reading.await.unwrap();
        let first = first.get_or_insert_with(|| lines.clone());
        assert_eq!(first.len(), 60_001, "the first line is the command");
        assert_eq!(lines, first[usize::try_from(after).unwrap()..], "from after line {after} on");
    }
    // Whoever stood still goes on where they were.
    assert_eq!(read_on(stalled, 0).await.len(), 60_001);
}
