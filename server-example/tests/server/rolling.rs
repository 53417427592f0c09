//! Two servers on one database behind a balancer, each restarted in turn under load: no request fails, and no run is lost.
//!
//! It is the example `server`, which the whole workspace builds with PostgreSQL.

#![cfg(all(unix, feature = "postgres"))]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// How long anything may take.
const LONGEST: Duration = Duration::from_secs(120);

/// For how long a server that is told to stop goes on answering: the balancer looks five times a second.
const LEAVE: &str = "2";

/// How many runs are started; others look at pages all the time.
const RUNS: usize = 60;

/// A database of its own.
struct Database(PgConnectOptions, String);

impl Database {
    fn new() -> Self {
        let admin = std::env::var("BUILDIT_TEST_POSTGRES").expect("BUILDIT_TEST_POSTGRES has the URL of a server");
        let name = format!("buildit_rolling_{}", uuid::Uuid::now_v7().simple());
        let database = Self(admin.parse().unwrap(), name);
        database.execute(format!("CREATE DATABASE {}", database.1));
        database
    }

    fn url(&self) -> String {
        self.0.clone().database(&self.1).to_url_lossy().to_string()
    }

    fn execute(&self, statement: String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = self.0.connect().await.unwrap();
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.execute(format!("DROP DATABASE {} WITH (FORCE)", self.1));
    }
}

/// A program that is killed when it is left.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The example beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/server")
}

fn server(database: &Database, data: &Path, port: u16) -> Program {
    let mut command = Command::new(program());
    command.args(["--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data);
    command.env("BUILDIT_STORE", database.url()).env("BUILDIT_LEAVE_SECONDS", LEAVE);
    command.env("BUILDIT_LOG", "error").env("BUILDIT_DOCKER", "false").env("BUILDIT_REQUESTS_PER_SECOND", "100000");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let started = Program(child);
    assert!(lines.any(|line| line.unwrap().starts_with("listening on")), "it says where it listens");
    // Nobody need read what it says from here on, but it must be able to say it.
    std::thread::spawn(move || lines.for_each(drop));
    started
}

/// Tells a server to stop, and waits until it has.
fn stop(mut server: Program) {
    assert!(Command::new("kill").arg(server.0.id().to_string()).status().unwrap().success());
    assert!(server.0.wait().unwrap().success(), "it ends in good order");
}

/// The balancer, and where it tells how the servers are.
struct Balancer(#[expect(dead_code, reason = "it runs as long as this lives")] Program, u16, PathBuf);

impl Balancer {
    fn new(folder: &Path, servers: [u16; 2]) -> Self {
        let (port, said, config) = (free_port(), folder.join("said.sock"), folder.join("haproxy.cfg"));
        let [one, two] = servers;
        let text = format!(
            "global\n  stats socket {said}\ndefaults\n  mode http\n  retries 0\n  timeout connect 10s\n  timeout client 120s\n  \
             timeout server 120s\nfrontend all\n  bind 127.0.0.1:{port}\n  default_backend servers\nbackend servers\n  \
             option httpchk GET /health/ready\n  default-server check inter 200ms fall 1 rise 1\n  \
             server one 127.0.0.1:{one}\n  server two 127.0.0.1:{two}\n",
            said = said.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("haproxy").arg("-db").arg("-f").arg(&config).stderr(Stdio::null()).spawn().unwrap();
        let balancer = Self(Program(child), port, said);
        balancer.until("one", "UP");
        balancer.until("two", "UP");
        balancer
    }

    /// Waits until a server is like that.
    fn until(&self, server: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < LONGEST, "{server} is never {wanted}");
            let Ok(mut said) = UnixStream::connect(&self.2) else { continue };
            said.write_all(b"show stat\n").unwrap();
            let mut table = String::new();
            said.read_to_string(&mut table).unwrap();
            let row = table.lines().find(|row| row.starts_with(&format!("servers,{server},")));
            if row.is_some_and(|row| row.split(',').any(|column| column == wanted)) {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// What a request was answered with.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn ask(port: u16, method: &str, path: &str, cookie: &str, kind: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LONGEST))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nCookie: {cookie}\r\n\
         Sec-Fetch-Site: same-origin\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

fn get(port: u16, path: &str, cookie: &str) -> Answer {
    ask(port, "GET", path, cookie, "", "").unwrap()
}

fn made(port: u16, path: &str, cookie: &str, body: &Value) -> Value {
    let answer = ask(port, "POST", path, cookie, "application/json", &body.to_string()).unwrap();
    assert_eq!(answer.status, 201, "{} {}", answer.head, answer.body);
    // What came in one piece.
    let json = answer.body.lines().find(|line| line.starts_with('{')).unwrap();
    serde_json::from_str(json).unwrap()
}

/// The events of a run to its end, by as many streams as it takes: each goes on where the one before was cut.
fn follow(port: u16, run: &str, cookie: &str) -> Vec<Value> {
    let (begun, mut events) = (Instant::now(), Vec::<Value>::new());
    while events.last().is_none_or(|last| last["type"] != "run_finished") {
        assert!(begun.elapsed() < LONGEST, "run {run} goes on and on");
        let after = events.last().map_or(0, |last| last["seq"].as_u64().unwrap());
        // One that is cut is not one that failed: a stream lives as long as its server.
        let told = get(port, &format!("/api/v1/runs/{run}/events?after={after}"), cookie);
        assert_eq!(told.status, 200, "{}", told.head);
        let lines = told.body.lines().filter_map(|line| line.strip_prefix("data: "));
        events.extend(lines.map_while(|data| serde_json::from_str::<Value>(data).ok()));
    }
    events
}

#[test]
#[ignore = "needs postgres and haproxy"]
fn g2_servers_are_restarted_one_after_another_without_a_failed_request_or_a_lost_run() {
    let (database, folder) = (Database::new(), tempfile::tempdir().unwrap());
    let (data, ports) = (folder.path().join("data"), [free_port(), free_port()]);
    let first = server(&database, &data, ports[0]);
    let fields = "organization=acme&email=ada%40example.com&name=Ada&password=correct+horse";
    let founded = ask(ports[0], "POST", "/setup", "", "application/x-www-form-urlencoded", fields).unwrap();
    assert_eq!(founded.status, 303, "{}", founded.head);
    let cookie = founded.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let second = server(&database, &data, ports[1]);
    let balancer = Balancer::new(folder.path(), ports);
    let port = balancer.1;

    let quick = json!({ "config": "pipeline \"quick\"\nstage \"s\" { run \"true\" }" });
    let quick = made(port, "/api/v1/pipelines", &cookie, &quick)["id"].as_str().unwrap().to_owned();
    let go = folder.path().join("go");
    let long =
        format!("pipeline \"long\"\nstage \"s\" {{ run \"while ! test -e {}; do sleep 0.1; done\" }}", go.display());
    let long = made(port, "/api/v1/pipelines", &cookie, &json!({ "config": long }))["id"].as_str().unwrap().to_owned();
    let long = made(port, &format!("/api/v1/pipelines/{long}/runs"), &cookie, &json!({}))["id"].clone();
    let long = long.as_str().unwrap();

    let again = Mutex::new(Vec::<Program>::new());
    let (is_over, asked, runs) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::<String>::new()));
    std::thread::scope(|scope| {
        let pages = ["/acme/main", "/acme/main/pipelines/quick", "/acme/main/queue?status=taken", "/api/v1/pipelines"];
        for page in pages {
            let (is_over, asked, runs, cookie, quick) = (&is_over, &asked, &runs, &cookie, &quick);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = get(port, page, cookie);
                    assert_eq!(answer.status, 200, "{page}: {}", answer.head);
                    let count = asked.fetch_add(1, Ordering::Relaxed);
                    if count % 10 == 0 && runs.lock().unwrap().len() < RUNS {
                        let run = made(port, &format!("/api/v1/pipelines/{quick}/runs"), cookie, &json!({}));
                        runs.lock().unwrap().push(run["id"].as_str().unwrap().to_owned());
                    }
                }
            });
        }
        let followed = scope.spawn(|| follow(port, long, &cookie));
        // Under load before, in between and afterwards.
        let enough = |more: usize| {
            let (begun, until) = (Instant::now(), asked.load(Ordering::Relaxed) + more);
            while asked.load(Ordering::Relaxed) < until {
                assert!(begun.elapsed() < LONGEST, "nobody is answered any more");
                std::thread::yield_now();
            }
        };
        enough(40);
        for (server, name, at) in [(first, "one", ports[0]), (second, "two", ports[1])] {
            stop(server);
            balancer.until(name, "DOWN");
            enough(40);
            again.lock().unwrap().push(self::server(&database, &data, at));
            balancer.until(name, "UP");
            enough(40);
        }
        std::fs::write(&go, "").unwrap();
        let events = followed.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert!(events.iter().map(|event| event["seq"].as_u64().unwrap()).eq(1..=events.len() as u64), "{events:?}");
        let starts = events.iter().filter(|event| event["type"] == "attempt_started").count();
        assert_eq!((starts, &events.last().unwrap()["status"]), (1, &json!("succeeded")), "{events:?}");
    });
    let runs = runs.into_inner().unwrap();
    assert!(runs.len() > 10, "only {} runs were started", runs.len());
    assert_eq!(runs.iter().collect::<HashSet<_>>().len(), runs.len());
    for run in &runs {
        let events = follow(port, run, &cookie);
        assert_eq!(events.last().unwrap()["status"], "succeeded", "{events:?}");
        let starts = events.iter().filter(|event| event["type"] == "attempt_started").count();
        assert_eq!(starts, 1, "it was started once: {events:?}");
    }
}
