//! Each forge's client against something that answers as told and keeps what it was asked, to the letter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use buildit::store::{CommitState, Forge, RepositorySettings};
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Client, ForgeError, Hook, Place, Saying, Standing};
use crate::errands::NotSent;
use crate::notify::Guard;
use crate::problem::told;
use crate::samples;

const TOKEN: &str = "t0ken-of-the-forge";
const SECRET: &str = "s3cr3t-of-the-hook";
const URL: &str = "https://ci.example.org/hooks/1";

/// A request: its method, its path with its query, what it shows, and its body.
type Asked = (Method, String, String, Value);

/// An answer: its status, its headers, its body.
type Answer = (u16, Vec<(&'static str, &'static str)>, String);

#[derive(Clone, Default)]
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Fake {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { url: format!("http://{}/api", listener.local_addr().unwrap()), ..Self::default() };
        let app = Router::new().fallback(take).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    /// Answers so next.
    fn answer(&self, status: u16, body: impl ToString) {
        self.answers.lock().unwrap().push_back((status, Vec::new(), body.to_string()));
    }

    fn answer_with(&self, status: u16, headers: &[(&'static str, &'static str)], body: impl ToString) {
        self.answers.lock().unwrap().push_back((status, headers.to_vec(), body.to_string()));
    }

    /// What it was asked since it was looked at last.
    fn asked(&self) -> Vec<Asked> {
        assert_eq!(self.answers.lock().unwrap().len(), 0, "answers that nobody asked for");
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn place(&self, forge: Forge) -> Place {
        let path = if forge == Forge::GitLab { "acme/tools/shop" } else { "acme/shop" };
        let settings =
            RepositorySettings { forge: Some(forge), api_url: Some(self.url.clone()), ..RepositorySettings::default() };
        Place::of(&samples::repository(&format!("https://git.example.org/{path}.git"), settings)).unwrap()
    }
}

async fn take(State(fake): State<Fake>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let shown = ["authorization", "private-token", "accept", "x-github-api-version", "content-type"].map(|name| {
        let value = headers.get(name).map(|value| value.to_str().unwrap());
        value.filter(|value| *value != "*/*").map(|value| format!("{name}: {value}"))
    });
    let shown: Vec<String> = shown.into_iter().flatten().collect();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    fake.asked.lock().unwrap().push((method, uri.to_string(), shown.join("; "), body));
    let (status, headers, body) = fake.answers.lock().unwrap().pop_front().expect("it is asked too much");
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn client() -> Client {
    Client::new(Guard { allows_private: true }).unwrap()
}

fn token() -> SecretString {
    TOKEN.into()
}

fn hook() -> Hook {
    Hook { url: URL.into(), secret: SECRET.into() }
}

const SAYING: Saying<'_> = Saying {
    commit: "c0ffee",
    reference: "main",
    context: "buildit/shop",
    state: CommitState::Succeeded,
    description: "Succeeded in 2 s",
    url: "https://ci.example.org/acme/main/pipelines/shop/runs/7",
};

/// What a forge is shown, without and with a body.
fn shown(forge: Forge) -> (String, String) {
    let shown = match forge {
        Forge::GitHub => {
            format!(
                "authorization: Bearer {TOKEN}; accept: application/vnd.github+json; x-github-api-version: 2022-11-28"
            )
        }
        Forge::GitLab => format!("private-token: {TOKEN}"),
        Forge::Gitea => format!("authorization: token {TOKEN}"),
        Forge::Bitbucket => format!("authorization: Bearer {TOKEN}"),
    };
    let with_body = format!("{shown}; content-type: application/json");
    (shown, with_body)
}

/// Where a forge has the webhooks of the repository, what it is asked for a list of them, and the list with this one.
fn hooks(forge: Forge) -> (&'static str, &'static str, Value) {
    let events = json!(["push", "pull_request"]);
    match forge {
        Forge::GitHub => (
            "/api/repos/acme/shop/hooks",
            "per_page=50&page=1",
            json!([{ "id": 11, "active": true, "events": events,
                "config": { "url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "********" } }]),
        ),
        Forge::GitLab => (
            "/api/projects/acme%2Ftools%2Fshop/hooks",
            "per_page=50&page=1",
            json!([{ "id": 11, "url": URL, "push_events": true, "tag_push_events": true, "merge_requests_events": true,
                "enable_ssl_verification": true, "alert_status": "executable" }]),
        ),
        Forge::Gitea => (
            "/api/repos/acme/shop/hooks",
            "limit=50&page=1",
            json!([{ "id": 11, "type": "gitea", "active": true, "events": events,
                "config": { "url": URL, "content_type": "json" } }]),
        ),
        Forge::Bitbucket => (
            "/api/repositories/acme/shop/hooks",
            "pagelen=50&page=1",
            json!({ "values": [{ "uuid": "{11}", "url": URL, "active": true, "secret_set": true,
                "events": ["repo:push", "pullrequest:created", "pullrequest:updated"] }] }),
        ),
    }
}

/// The same list with these changes of its one webhook.
fn changed(list: &Value, changes: &[(&str, Value)]) -> Value {
    let mut list = list.clone();
    let hook = if list.is_array() { &mut list[0] } else { &mut list["values"][0] };
    for (pointer, value) in changes {
        *hook.pointer_mut(pointer).unwrap() = value.clone();
    }
    list
}

fn empty(forge: Forge) -> Value {
    if forge == Forge::Bitbucket { json!({ "values": [] }) } else { json!([]) }
}

#[tokio::test]
async fn each_forge_is_told_of_a_commit_in_its_own_way() {
    let fake = Fake::open().await;
    for forge in Forge::ALL {
        let (path, body) = match forge {
            Forge::GitHub | Forge::Gitea => (
                "/api/repos/acme/shop/statuses/c0ffee",
                json!({ "state": "success", "context": SAYING.context, "description": SAYING.description,
                    "target_url": SAYING.url }),
            ),
            Forge::GitLab => (
                "/api/projects/acme%2Ftools%2Fshop/statuses/c0ffee",
                json!({ "state": "success", "name": SAYING.context, "description": SAYING.description,
                    "target_url": SAYING.url, "ref": "main" }),
            ),
            Forge::Bitbucket => (
                "/api/repositories/acme/shop/commit/c0ffee/statuses/build",
                json!({ "state": "SUCCESSFUL", "key": SAYING.context, "name": SAYING.context,
                    "description": SAYING.description, "url": SAYING.url }),
            ),
        };
        fake.answer(201, "{}");
        client().say(&fake.place(forge), &token(), &SAYING).await.unwrap();
        assert_eq!(fake.asked(), [(Method::POST, path.to_owned(), shown(forge).1, body)], "{forge:?}");
    }
}

#[tokio::test]
async fn each_forge_has_its_words_for_how_it_stands() {
    let fake = Fake::open().await;
    for (forge, words) in [
        (Forge::GitHub, ["pending", "pending", "success", "failure", "error", "error"]),
        (Forge::GitLab, ["pending", "running", "success", "failed", "failed", "canceled"]),
        (Forge::Gitea, ["pending", "pending", "success", "failure", "error", "error"]),
        (Forge::Bitbucket, ["INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "STOPPED"]),
    ] {
        for (state, word) in CommitState::ALL.into_iter().zip(words) {
            fake.answer(200, "");
            client().say(&fake.place(forge), &token(), &Saying { state, ..SAYING }).await.unwrap();
            assert_eq!(fake.asked()[0].3["state"], word, "{forge:?} {state:?}");
        }
    }
}

#[tokio::test]
async fn what_is_too_long_for_a_forge_is_cut() {
    let fake = Fake::open().await;
    let (context, description) = (format!("buildit/{}", "p".repeat(300)), "ü".repeat(300));
    let saying = Saying { context: &context, description: &description, reference: "refs/pull/7/head", ..SAYING };
    let mut bodies = Vec::new();
    for forge in Forge::ALL {
        fake.answer(200, "");
        client().say(&fake.place(forge), &token(), &saying).await.unwrap();
        bodies.push(fake.asked().remove(0).3);
    }
    let lengths: Vec<usize> = bodies.iter().map(|body| body["description"].as_str().unwrap().chars().count()).collect();
    assert_eq!(lengths, [140, 255, 255, 255]);
    assert_eq!(bodies[1]["ref"], "refs/merge-requests/7/head");
    let key = bodies[3]["key"].as_str().unwrap().to_owned();
    assert_eq!((key.len(), key.starts_with("buildit/ppp")), (40, true));
    fake.answer(200, "");
    let other = format!("{context}2");
    client().say(&fake.place(Forge::Bitbucket), &token(), &Saying { context: &other, ..saying }).await.unwrap();
    assert_ne!(fake.asked()[0].3["key"], key, "another one's is another one");
}

#[tokio::test]
async fn a_token_with_a_user_is_shown_as_each_forge_wants_it() {
    let fake = Fake::open().await;
    for (forge, expected) in [
        (Forge::GitHub, format!("authorization: Bearer {TOKEN}")),
        (Forge::GitLab, format!("private-token: {TOKEN}")),
        (Forge::Gitea, format!("authorization: token {TOKEN}")),
        (Forge::Bitbucket, "authorization: Basic YW5uQGV4YW1wbGUub3JnOnQwa2VuLW9mLXRoZS1mb3JnZQ==".to_owned()),
    ] {
        fake.answer(200, "");
        let token = SecretString::from(format!("ann@example.org:{TOKEN}"));
        client().say(&fake.place(forge), &token, &SAYING).await.unwrap();
        assert!(fake.asked()[0].2.starts_with(&expected), "{forge:?}");
    }
}

#[tokio::test]
async fn gitlab_says_already_what_it_refuses_to_say_again() {
    let fake = Fake::open().await;
    let place = fake.place(Forge::GitLab);
    let message = "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")";
    fake.answer(400, json!({ "message": message }));
    client().say(&place, &token(), &SAYING).await.unwrap();
    fake.answer(400, json!({ "message": { "name": ["is too long"] } }));
    let refused = client().say(&place, &token(), &SAYING).await.unwrap_err();
    assert_eq!(told(&refused), "the forge refuses it: 400 Bad Request, {\"name\":[\"is too long\"]}");
}

#[tokio::test]
async fn a_webhook_is_made_where_there_is_none() {
    let fake = Fake::open().await;
    for forge in Forge::ALL {
        let ((path, query, list), (without, with)) = (hooks(forge), shown(forge));
        let look = (Method::GET, format!("{path}?{query}"), without, Value::Null);
        let body = match forge {
            Forge::GitHub => json!({ "name": "web", "active": true, "events": ["push", "pull_request"],
                "config": { "url": URL, "content_type": "json", "secret": SECRET, "insecure_ssl": "0" } }),
            Forge::GitLab => json!({ "url": URL, "token": SECRET, "enable_ssl_verification": true, "push_events": true,
                "tag_push_events": true, "merge_requests_events": true }),
            Forge::Gitea => json!({ "type": "gitea", "active": true, "events": ["push", "pull_request"],
                "config": { "url": URL, "content_type": "json", "secret": SECRET } }),
            Forge::Bitbucket => json!({ "description": "BuildIt", "url": URL, "active": true, "secret": SECRET,
                "events": ["repo:push", "pullrequest:created", "pullrequest:updated"] }),
        };
        fake.answer(200, empty(forge));
        fake.answer(201, json!({ "id": 11 }));
        fake.answer(200, &list);
        client().make(&fake.place(forge), &token(), &hook()).await.unwrap();
        let made = (Method::POST, path.to_owned(), with, body);
        assert_eq!(fake.asked(), [look.clone(), made, look], "{forge:?}");
    }
}

#[tokio::test]
async fn a_webhook_that_is_there_is_not_made_twice() {
    let fake = Fake::open().await;
    for (forge, method) in
        [(Forge::GitHub, Method::PATCH), (Forge::GitLab, Method::PUT), (Forge::Bitbucket, Method::PUT)]
    {
        let (path, _, list) = hooks(forge);
        let id = if forge == Forge::Bitbucket { "%7B11%7D" } else { "11" };
        fake.answer(200, &list);
        fake.answer(200, "{}");
        client().make(&fake.place(forge), &token(), &hook()).await.unwrap();
        let asked = fake.asked();
        assert_eq!((&asked[1].0, &asked[1].1), (&method, &format!("{path}/{id}")), "{forge:?}");
        assert!(asked[1].3.to_string().contains(SECRET), "{forge:?}: its secret is ours now");
        assert_eq!(asked[1].3["name"], Value::Null, "{forge:?}: what only a new one has");
    }
}

/// Gitea keeps the secret of a webhook whatever is asked: another one takes its place.
#[tokio::test]
async fn gitea_gets_a_new_webhook_and_the_one_before_goes_after_that() {
    let fake = Fake::open().await;
    let (path, _, list) = hooks(Forge::Gitea);
    let both = json!([list[0], changed(&list, &[("/id", json!(102))])[0]]);
    fake.answer(200, &list);
    fake.answer(201, "{}");
    fake.answer(200, &both);
    fake.answer(204, "");
    client().make(&fake.place(Forge::Gitea), &token(), &hook()).await.unwrap();
    let methods: Vec<(Method, String)> = fake.asked().into_iter().map(|asked| (asked.0, asked.1)).collect();
    assert_eq!((&methods[1].0, &methods[3]), (&Method::POST, &(Method::DELETE, format!("{path}/11"))));
}

#[tokio::test]
async fn it_is_told_how_it_stands_with_a_webhook() {
    let fake = Fake::open().await;
    let look = async |forge, list: &Value| {
        fake.answer(200, list);
        client().look(&fake.place(forge), &token(), URL).await.unwrap()
    };
    for forge in Forge::ALL {
        let list = hooks(forge).2;
        assert_eq!(look(forge, &list).await, Standing::Made, "{forge:?}");
        assert_eq!(look(forge, &empty(forge)).await, Standing::Missing, "{forge:?}");
        let at = if list.pointer("/0/config").is_some() { "/config/url" } else { "/url" };
        let elsewhere = changed(&list, &[(at, json!("https://ci.example.org/hooks/2"))]);
        assert_eq!(look(forge, &elsewhere).await, Standing::Missing, "{forge:?}: that of another repository");
        let (wrong, why) = match forge {
            Forge::GitLab => (("/tag_push_events", json!(false)), "it does not tell of tags"),
            Forge::Bitbucket => {
                (("/events", json!(["repo:push"])), "it does not tell of pullrequest:created, pullrequest:updated")
            }
            _ => (("/events", json!(["push", "pull_request_review"])), "it does not tell of pull_request"),
        };
        assert_eq!(look(forge, &changed(&list, &[wrong])).await, Standing::Wrong(why.into()), "{forge:?}");
        let (off, why) = match forge {
            Forge::GitLab => (("/alert_status", json!("disabled")), "it is switched off"),
            _ => (("/active", json!(false)), "it is switched off"),
        };
        assert_eq!(look(forge, &changed(&list, &[off])).await, Standing::Wrong(why.into()), "{forge:?}");
        let twice = match list.as_array() {
            Some(one) => json!([one[0], one[0]]),
            None => json!({ "values": [list["values"][0], list["values"][0]] }),
        };
        assert_eq!(look(forge, &twice).await, Standing::Wrong("it is there 2 times".into()), "{forge:?}");
    }
    let form = changed(&hooks(Forge::GitHub).2, &[("/config/content_type", json!("form"))]);
    assert_eq!(look(Forge::GitHub, &form).await, Standing::Wrong("it does not send JSON".into()));
    fake.asked();
}

#[tokio::test]
async fn webhooks_are_looked_for_on_every_page() {
    let fake = Fake::open().await;
    for forge in Forge::ALL {
        let list = hooks(forge).2;
        let ours = if list.is_array() { list[0].clone() } else { list["values"][0].clone() };
        let other = {
            let at = if ours["config"].is_object() { "/config/url" } else { "/url" };
            let mut other = ours.clone();
            *other.pointer_mut(at).unwrap() = json!("https://chat.example.org/");
            other
        };
        let page = |hooks: Vec<Value>| if list.is_array() { json!(hooks) } else { json!({ "values": hooks }) };
        fake.answer(200, page(vec![other; 50]));
        fake.answer(200, page(vec![ours]));
        let standing = client().look(&fake.place(forge), &token(), URL).await.unwrap();
        assert_eq!(standing, Standing::Made, "{forge:?}");
        assert!(fake.asked()[1].1.ends_with("page=2"), "{forge:?}");
    }
}

#[tokio::test]
async fn a_webhook_is_removed_and_one_that_is_gone_is_none() {
    let fake = Fake::open().await;
    for forge in Forge::ALL {
        let ((path, _, list), (without, _)) = (hooks(forge), shown(forge));
        let id = if forge == Forge::Bitbucket { "%7B11%7D" } else { "11" };
        for gone in [204, 404] {
            fake.answer(200, &list);
            fake.answer(gone, "");
            assert_eq!(client().remove(&fake.place(forge), &token(), URL).await.unwrap(), 1, "{forge:?}");
            let expected = (Method::DELETE, format!("{path}/{id}"), without.clone(), Value::Null);
            assert_eq!(fake.asked()[1], expected, "{forge:?}");
        }
        fake.answer(200, empty(forge));
        assert_eq!(client().remove(&fake.place(forge), &token(), URL).await.unwrap(), 0, "{forge:?}");
        assert_eq!(fake.asked().len(), 1, "{forge:?}");
    }
}

#[tokio::test]
async fn who_is_refused_is_told_why_and_what_the_token_needs() {
    let fake = Fake::open().await;
    for forge in Forge::ALL {
        let place = fake.place(forge);
        let say = async || client().say(&place, &token(), &SAYING).await.unwrap_err();
        fake.answer(401, json!({ "message": "Bad credentials" }));
        let refused = say().await;
        assert!(matches!(refused, ForgeError::Unauthorized), "{refused:?}");
        for status in [403, 404] {
            // Whatever it says, the token is not told on.
            fake.answer(status, json!({ "message": format!("no {TOKEN}\u{7} here") }));
            let refused = say().await;
            let text = told(&refused);
            assert!(text.contains("(no *** here)") && text.contains(super::needs(forge)), "{text}");
            assert!(matches!(NotSent::from(refused), NotSent::Never(_)), "{forge:?} {status}");
        }
        fake.answer(422, json!({ "message": "Validation Failed" }));
        assert_eq!(told(&say().await), "the forge refuses it: 422 Unprocessable Entity, Validation Failed");
        fake.asked();
    }
    fake.answer(400, json!({ "type": "error", "error": { "message": "key is too long" } }));
    let refused = client().say(&fake.place(Forge::Bitbucket), &token(), &SAYING).await.unwrap_err();
    assert!(told(&refused).ends_with("key is too long"), "{refused}");
    fake.answer(400, "<html>");
    let refused = client().say(&fake.place(Forge::Bitbucket), &token(), &SAYING).await.unwrap_err();
    assert!(told(&refused).ends_with("it does not say why"), "{refused}");
}

#[tokio::test]
async fn a_forge_that_is_busy_or_not_well_is_asked_again_later() {
    let fake = Fake::open().await;
    let place = fake.place(Forge::GitHub);
    let later = async || NotSent::from(client().say(&place, &token(), &SAYING).await.unwrap_err());
    fake.answer_with(429, &[("retry-after", "17")], "{}");
    assert!(matches!(later().await, NotSent::After(pause, _) if pause == SignedDuration::from_secs(17)));
    // GitHub says so with the status of who may not.
    fake.answer_with(403, &[("retry-after", "60")], json!({ "message": "secondary rate limit" }));
    assert!(matches!(later().await, NotSent::After(pause, _) if pause == SignedDuration::from_mins(1)));
    fake.answer_with(403, &[("x-ratelimit-remaining", "0")], "{}");
    assert!(matches!(later().await, NotSent::Later(_)));
    fake.answer(429, "{}");
    assert!(matches!(later().await, NotSent::Later(_)));
    for status in [500, 502, 503] {
        fake.answer(status, "oh");
        assert!(matches!(later().await, NotSent::Later(why) if why.contains("does not feel well")));
    }
    fake.answer(201, "{}");
    client().say(&place, &token(), &SAYING).await.unwrap();
    let nobody = Fake { url: "http://127.0.0.1:9/".into(), ..Fake::default() };
    let unreached = client().say(&nobody.place(Forge::GitHub), &token(), &SAYING).await.unwrap_err();
    assert!(!told(&unreached).contains("127.0.0.1:9/"), "{}", told(&unreached));
    assert!(matches!(NotSent::from(unreached), NotSent::Later(_)));
}

#[tokio::test]
async fn a_forge_that_wants_to_be_left_alone_is() {
    let (fake, client) = (Fake::open().await, client());
    let place = fake.place(Forge::Gitea);
    fake.answer_with(429, &[("retry-after", "3600")], "{}");
    assert!(client.say(&place, &token(), &SAYING).await.is_err());
    let looked = client.clone().look(&place, &token(), URL).await.unwrap_err();
    let ForgeError::TooOften(Some(pause)) = looked else { panic!("{looked:?}") };
    assert!(pause > SignedDuration::from_mins(50), "{pause:?}");
    assert_eq!(fake.asked().len(), 1, "it is asked for nothing meanwhile");
    // It counts what each asks by itself.
    fake.answer(201, "{}");
    client.say(&place, &"another-t0ken".into(), &SAYING).await.unwrap();
    fake.answer_with(429, &[("retry-after", "0")], "{}");
    assert!(client.say(&place, &"third-t0ken".into(), &SAYING).await.is_err());
    fake.answer(201, "{}");
    client.say(&place, &"third-t0ken".into(), &SAYING).await.unwrap();
}

#[tokio::test]
async fn a_token_is_shown_to_its_forge_alone() {
    let (fake, other) = (Fake::open().await, Fake::open().await);
    let place = fake.place(Forge::GitHub);
    let elsewhere: &'static str = format!("{}/statuses", other.url).leak();
    for status in [301, 302, 307, 308] {
        fake.answer_with(status, &[("location", elsewhere)], "");
        let refused = client().say(&place, &token(), &SAYING).await.unwrap_err();
        assert!(matches!(refused, ForgeError::Elsewhere), "{refused:?}");
    }
    assert_eq!(other.asked(), []);
    // One's own network is asked only where that is allowed.
    let guarded = Client::new(Guard { allows_private: false }).unwrap();
    let refused = guarded.say(&place, &token(), &SAYING).await.unwrap_err();
    assert!(told(&refused).contains("private_targets"), "{}", told(&refused));
    let odd = client().say(&place, &"a\nb".into(), &SAYING).await.unwrap_err();
    assert!(matches!(odd, ForgeError::OddToken(_)), "{odd:?}");
    assert_eq!(fake.asked().len(), 4, "and is not asked for any of these");
}

#[tokio::test]
async fn an_answer_without_end_or_sense_is_not_read() {
    let fake = Fake::open().await;
    let place = fake.place(Forge::GitHub);
    fake.answer(200, "[".repeat(1024 * 1024 + 1));
    let refused = client().look(&place, &token(), URL).await.unwrap_err();
    assert!(matches!(refused, ForgeError::TooLong), "{refused:?}");
    fake.answer(200, "<html>");
    let refused = client().look(&place, &token(), URL).await.unwrap_err();
    assert!(matches!(refused, ForgeError::Unreadable(_)), "{refused:?}");
    // What makes no sense in a list is no webhook.
    fake.answer(200, json!([null, 1, { "id": {} }, { "config": { "url": 7 } }, { "id": 1, "config": [] }]));
    assert_eq!(client().look(&place, &token(), URL).await.unwrap(), Standing::Missing);
}
