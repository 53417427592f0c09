//! That each forge's webhooks are understood, and that nothing else does harm.

use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::event::Commit;
use super::headers::{delivery_id, forge_of};
use super::signature::{check, sign};
use super::*;

const ALL: [Forge; 4] = [Forge::GitHub, Forge::GitLab, Forge::Gitea, Forge::Bitbucket];
const NAMES: [&str; 9] = [
    "push",
    "pull_request",
    "delete",
    "Push Hook",
    "Tag Push Hook",
    "Merge Request Hook",
    "repo:push",
    "pullrequest:created",
    "pullrequest:updated",
];
const SHA: &str = "199eddf46df50de8d02e99bf1c5fdb4101338224";
const OLD: &str = "a10867b14bb761a232cd80139fbd4c0d33264240";
const NONE: &str = "0000000000000000000000000000000000000000";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn event(forge: Forge, name: &str, body: &Value) -> Result<ForgeEvent, Unreadable> {
    read(forge, name, body.to_string().as_bytes()).map(|mut events| {
        assert_eq!(events.len(), 1);
        events.remove(0)
    })
}

fn github_push() -> Value {
    json!({
        "ref": "refs/heads/release/1.0", "before": OLD, "after": SHA,
        "head_commit": {"id": SHA, "message": "Mend it\n\nAt last.", "url": "https://forge.example/c",
            "author": {"name": "Ada", "email": "ada@example.org"}},
        "sender": {"login": "ada"}
    })
}

fn github_request(action: &str, fork: &str) -> Value {
    json!({
        "action": action, "number": 7, "sender": {"login": "ada"},
        "pull_request": {
            "number": 7, "title": "Better", "html_url": "https://forge.example/pr/7", "user": {"login": "bob"},
            "head": {"ref": "better", "sha": SHA, "repo": {"full_name": fork, "clone_url": "https://forge.example/f.git"}},
            "base": {"ref": "main", "sha": OLD, "repo": {"full_name": "shop/web"}}
        }
    })
}

#[test]
fn a_push_is_told_with_its_commit() {
    let ForgeEvent::Push { branch, before, commit } = event(Forge::GitHub, "push", &github_push()).unwrap() else {
        panic!("no push")
    };
    assert_eq!((branch.as_str(), before.as_deref()), ("release/1.0", Some(OLD)));
    let expected = Commit {
        sha: SHA.into(),
        message: "Mend it\n\nAt last.".into(),
        author: "Ada".into(),
        author_email: "ada@example.org".into(),
        actor: "ada".into(),
        url: "https://forge.example/c".into(),
    };
    assert_eq!(commit, expected);
}

#[test]
fn a_tag_with_a_message_is_of_its_commit() {
    let mut push = github_push();
    push["ref"] = json!("refs/tags/v1.0");
    push["before"] = json!(NONE);
    push["after"] = json!(OLD);
    let told = event(Forge::GitHub, "push", &push).unwrap();
    assert!(matches!(&told, ForgeEvent::Tag { tag, commit } if tag == "v1.0" && commit.sha == SHA), "{told:?}");
    let push = json!({"ref": "refs/tags/v2", "before": NONE, "after": OLD, "checkout_sha": SHA, "commits": []});
    let told = event(Forge::GitLab, "Tag Push Hook", &push).unwrap();
    assert!(matches!(&told, ForgeEvent::Tag { tag, commit } if tag == "v2" && commit.sha == SHA), "{told:?}");
}

#[test]
fn what_is_gone_starts_nothing() {
    let mut push = github_push();
    push["after"] = json!(NONE);
    push["head_commit"] = Value::Null;
    let gone = ForgeEvent::Deleted { name: "release/1.0".into() };
    assert_eq!(event(Forge::GitHub, "push", &push).unwrap(), gone);
    assert_eq!(event(Forge::Gitea, "push", &push).unwrap(), gone);
    assert_eq!(event(Forge::GitLab, "Push Hook", &push).unwrap(), gone);
    let push = json!({"push": {"changes": [{"new": null, "old": {"type": "branch", "name": "release/1.0", "target": {"hash": SHA}}}]}});
    assert_eq!(event(Forge::Bitbucket, "repo:push", &push).unwrap(), gone);
}

#[test]
fn a_pull_request_starts_runs_when_its_head_is_new() {
    for (action, starts) in [
        ("opened", true),
        ("reopened", true),
        ("synchronize", true),
        ("closed", false),
        ("labeled", false),
        ("edited", false),
        ("review_requested", false),
    ] {
        let told = event(Forge::GitHub, "pull_request", &github_request(action, "shop/web")).unwrap();
        assert_eq!(matches!(told, ForgeEvent::PullRequest { .. }), starts, "{action}");
        assert_eq!(matches!(told, ForgeEvent::Ignored { .. }), !starts, "{action}");
    }
    let mut retargeted = github_request("edited", "shop/web");
    retargeted["changes"] = json!({"base": {"ref": {"from": "dev"}}});
    let told = event(Forge::GitHub, "pull_request", &retargeted).unwrap();
    assert!(matches!(told, ForgeEvent::PullRequest { .. }), "{told:?}");
}

#[test]
fn whose_branch_it_is_is_told() {
    let is_fork = |body: &Value| match event(Forge::GitHub, "pull_request", body).unwrap() {
        ForgeEvent::PullRequest { request, .. } => request.is_fork,
        other => panic!("{other:?}"),
    };
    assert!(!is_fork(&github_request("opened", "shop/web")));
    assert!(is_fork(&github_request("opened", "eve/web")));
    let mut gone = github_request("opened", "eve/web");
    gone["pull_request"]["head"]["repo"] = Value::Null;
    assert!(is_fork(&gone), "a fork that is gone was one");
    let mut request = json!({"object_attributes": {"action": "open", "iid": 3, "source_branch": "a", "target_branch": "main",
        "source_project_id": 1, "target_project_id": 1, "last_commit": {"id": SHA}}});
    let told = event(Forge::GitLab, "Merge Request Hook", &request).unwrap();
    assert!(matches!(&told, ForgeEvent::PullRequest { request, .. } if !request.is_fork), "{told:?}");
    request["object_attributes"]["source_project_id"] = json!(2);
    let told = event(Forge::GitLab, "Merge Request Hook", &request).unwrap();
    assert!(matches!(&told, ForgeEvent::PullRequest { request, .. } if request.is_fork), "{told:?}");
}

#[test]
fn one_push_may_bring_several_branches() {
    let change = |name: &str| {
        json!({"new": {"type": "branch", "name": name, "target": {"hash": SHA,
        "author": {"raw": "Ada <ada@example.org>"}}}, "old": null})
    };
    let push = json!({"actor": {"nickname": "ada"}, "push": {"changes": [change("a"), change("b")]}});
    let told = read(Forge::Bitbucket, "repo:push", push.to_string().as_bytes()).unwrap();
    let branches = told.iter().map(|event| match event {
        ForgeEvent::Push { branch, before: None, commit } if commit.author_email == "ada@example.org" => {
            branch.as_str()
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(branches.collect::<Vec<_>>(), ["a", "b"]);
    let many = json!({"push": {"changes": vec![change("a"); 1000]}});
    assert_eq!(read(Forge::Bitbucket, "repo:push", many.to_string().as_bytes()).unwrap().len(), MOST_EVENTS);
}

#[test]
fn a_body_that_cannot_be_meant_is_refused() {
    for (pointer, value) in [
        ("/ref", json!(null)),
        ("/ref", json!(7)),
        ("/ref", json!("refs/heads/")),
        ("/ref", json!("refs/heads/a\nb")),
        ("/ref", json!("refs/heads/--upload-pack=x")),
        ("/ref", json!("refs/heads/a..b")),
        ("/after", json!(null)),
        ("/head_commit/id", json!("HEAD")),
        ("/before", json!("$(reboot)")),
    ] {
        let mut push = github_push();
        *push.pointer_mut(pointer).unwrap() = value.clone();
        assert!(event(Forge::GitHub, "push", &push).is_err(), "{pointer} {value}");
    }
    let deep = "[".repeat(100_000);
    for body in [&b""[..], b"null", b"[]", b"{}", b"\xff\xfe", b"{\"ref\":", deep.as_bytes()] {
        for forge in ALL {
            for name in NAMES {
                if let Ok(told) = read(forge, name, body) {
                    assert!(told.iter().all(|event| matches!(event, ForgeEvent::Ignored { .. })), "{forge:?} {told:?}");
                }
            }
        }
    }
}

#[test]
fn a_forge_is_known_by_its_headers() {
    let gitea = headers(&[("x-github-event", "push"), ("x-gitea-event", "push"), ("x-gitea-delivery", "one")]);
    assert_eq!(forge_of(&gitea), Some(Forge::Gitea));
    assert_eq!(delivery_id(Forge::Gitea, &gitea), Some("one"));
    let gitlab = headers(&[("x-gitlab-event", "Push Hook"), ("x-gitlab-event-uuid", "a"), ("idempotency-key", "b")]);
    assert_eq!((forge_of(&gitlab), delivery_id(Forge::GitLab, &gitlab)), (Some(Forge::GitLab), Some("b")));
    assert_eq!(forge_of(&headers(&[("x-event-key", "repo:push")])), Some(Forge::Bitbucket));
    assert_eq!(forge_of(&headers(&[("x-github-event", "push")])), Some(Forge::GitHub));
    assert_eq!(forge_of(&HeaderMap::new()), None);
    assert_eq!(event_name(Forge::GitHub, &HeaderMap::new()), None);
}

#[test]
fn a_signature_is_of_the_secret_and_the_raw_body() {
    let (secret, other): (SecretString, SecretString) = ("It's a Secret to Everybody".into(), "another".into());
    // The example of GitHub's documentation.
    let (body, known) = (b"Hello, World!", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    assert_eq!(sign(body, &secret), known);
    for (forge, name, value) in [
        (Forge::GitHub, "x-hub-signature-256", format!("sha256={known}")),
        (Forge::Gitea, "x-gitea-signature", known.to_owned()),
        (Forge::Gitea, "x-forgejo-signature", known.to_owned()),
        (Forge::Bitbucket, "x-hub-signature", format!("sha256={known}")),
    ] {
        let signed = headers(&[(name, &value)]);
        assert_eq!(check(forge, &signed, body, &secret), Ok(()), "{forge:?}");
        assert_eq!(check(forge, &signed, b"Hello, World! ", &secret), Err(Unsigned::Wrong), "{forge:?}");
        assert_eq!(check(forge, &signed, body, &other), Err(Unsigned::Wrong), "{forge:?}");
        assert_eq!(check(forge, &signed, body, &"".into()), Err(Unsigned::Wrong), "{forge:?}");
        assert_eq!(check(forge, &HeaderMap::new(), body, &secret), Err(Unsigned::Missing), "{forge:?}");
        for odd in ["sha256=", "sha1=aa", "zz", &known[..32], &format!("sha256={known}00")] {
            assert_eq!(check(forge, &headers(&[(name, odd)]), body, &secret), Err(Unsigned::Wrong), "{forge:?} {odd}");
        }
    }
    let token = headers(&[("x-gitlab-token", "It's a Secret to Everybody")]);
    assert_eq!(check(Forge::GitLab, &token, body, &secret), Ok(()));
    assert_eq!(check(Forge::GitLab, &token, body, &other), Err(Unsigned::Wrong));
    assert_eq!(check(Forge::GitLab, &HeaderMap::new(), body, &secret), Err(Unsigned::Missing));
}

#[test]
fn a_webhook_of_no_forge_is_signed_or_bears_the_secret() {
    let secret: SecretString = "s3cret".into();
    let signed = headers(&[("x-buildit-signature", &format!("sha256={}", sign(b"{}", &secret)))]);
    assert_eq!(check_generic(&signed, b"{}", &secret), Ok(()));
    assert_eq!(check_generic(&signed, b"{ }", &secret), Err(Unsigned::Wrong));
    let bearer = |token: &str| headers(&[("authorization", &format!("Bearer {token}"))]);
    assert_eq!(check_generic(&bearer("s3cret"), b"{}", &secret), Ok(()));
    assert_eq!(check_generic(&bearer("s3cre"), b"{}", &secret), Err(Unsigned::Wrong));
    assert_eq!(check_generic(&bearer(""), b"{}", &"".into()), Err(Unsigned::Missing));
    assert_eq!(check_generic(&HeaderMap::new(), b"{}", &secret), Err(Unsigned::Missing));
}

/// Some JSON, of the keys that forges use.
fn json_value() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "ref",
        "before",
        "after",
        "head_commit",
        "id",
        "commits",
        "sender",
        "login",
        "action",
        "pull_request",
        "head",
        "base",
        "repo",
        "sha",
        "object_attributes",
        "last_commit",
        "iid",
        "push",
        "changes",
        "new",
        "old",
        "type",
        "name",
        "target",
        "hash",
        "pullrequest",
        "source",
        "destination",
        "branch",
        "commit",
        "number",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        Just(json!(SHA)),
        Just(json!("refs/heads/main")),
        Just(json!("opened")),
        Just(json!("branch")),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_does_harm(value in json_value(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let text = value.to_string();
        for forge in ALL {
            for name in NAMES {
                drop(read(forge, name, text.as_bytes()));
                drop(read(forge, name, &bytes));
                for told in read(forge, name, text.as_bytes()).unwrap_or_default() {
                    if let ForgeEvent::Push { branch, commit, .. } = told {
                        prop_assert!(!branch.is_empty() && !branch.starts_with('-'));
                        prop_assert!(commit.sha.bytes().all(|digit| digit.is_ascii_hexdigit()));
                    }
                }
            }
        }
    }
}

/// The event of a published payload, which its forge says in a header that is not kept with it.
fn name_of(forge: Forge, file: &str, body: &Value) -> &'static str {
    match forge {
        Forge::GitHub | Forge::Gitea => match file {
            _ if file.starts_with("push") => "push",
            _ if file.starts_with("pr_review") => "pull_request_review",
            _ if body.get("comment").is_some() => "issue_comment",
            _ if body.get("pull_request").is_some() => "pull_request",
            _ if file.ends_with("_delete") => "delete",
            _ if file.ends_with("_create") => "create",
            _ => "other",
        },
        Forge::GitLab => match body["object_kind"].as_str() {
            Some("push") => "Push Hook",
            Some("tag_push") => "Tag Push Hook",
            Some("merge_request") => "Merge Request Hook",
            _ => "Note Hook",
        },
        Forge::Bitbucket => match file {
            _ if file.starts_with("push") => "repo:push",
            "pr_created" => "pullrequest:created",
            "pr_updated" => "pullrequest:updated",
            _ => "pullrequest:other",
        },
    }
}

/// What somebody else's reading of a payload says that ours must say too.
fn compare(told: &ForgeEvent, golden: &Value, what: &str) {
    let said = |pointer: &str| golden.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let action = said("/Action");
    match told {
        ForgeEvent::Push { branch, before, commit } => {
            assert_eq!(format!("refs/heads/{branch}"), said("/Ref"), "{what}");
            assert_eq!(commit.sha, said("/Commit/Sha"), "{what}");
            assert_eq!(commit.message.trim_end(), said("/Commit/Message").trim_end(), "{what}");
            assert_eq!(commit.author_email, said("/Commit/Author/Email"), "{what}");
            let none = if said("/Before").is_empty() { String::new() } else { NONE.to_owned() };
            assert_eq!(before.clone().unwrap_or(none), said("/Before"), "{what}");
        }
        ForgeEvent::Tag { tag, commit } => {
            let reference = Some(said("/Ref")).filter(|text| !text.is_empty());
            assert_eq!(
                format!("refs/tags/{tag}"),
                reference.unwrap_or(format!("refs/tags/{}", said("/Ref/Name"))),
                "{what}"
            );
            let sha = Some(said("/Commit/Sha")).filter(|text| !text.is_empty()).unwrap_or(said("/Ref/Sha"));
            assert_eq!(commit.sha, sha, "{what}");
        }
        ForgeEvent::PullRequest { request, commit } => {
            assert!(["opened", "reopened", "synchronized", "updated"].contains(&action.as_str()), "{what}: {action}");
            assert_eq!(golden.pointer("/PullRequest/Number").and_then(Value::as_u64), Some(request.number), "{what}");
            assert_eq!(request.title, said("/PullRequest/Title"), "{what}");
            assert_eq!(request.base, said("/PullRequest/Target"), "{what}");
            assert_eq!(request.head, said("/PullRequest/Source"), "{what}");
            assert_eq!(commit.sha, said("/PullRequest/Sha"), "{what}");
        }
        ForgeEvent::Deleted { name } => {
            let reference = Some(said("/Ref")).filter(|text| !text.is_empty()).unwrap_or(said("/Ref/Name"));
            assert!(reference.ends_with(name.as_str()), "{what}: {reference}");
            assert!(action == "deleted" || said("/After") == NONE, "{what}: {action}");
        }
        ForgeEvent::Ping => panic!("{what}: no such thing"),
        ForgeEvent::Ignored { .. } => {
            let is_start = ["opened", "reopened", "synchronized"].contains(&action.as_str())
                && golden.get("PullRequest").is_some_and(Value::is_object)
                && golden.get("Comment").is_none()
                && golden.get("Review").is_none();
            assert!(!is_start && golden.get("After").is_none(), "{what}: {told:?}");
        }
    }
}

#[test]
fn published_payloads_are_understood_as_others_do() {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/webhooks");
    if !all.is_dir() {
        eprintln!("skipped: {} is not there", all.display());
        return;
    }
    let mut started = 0;
    for (forge, folder) in
        [(Forge::GitHub, "github"), (Forge::GitLab, "gitlab"), (Forge::Gitea, "gitea"), (Forge::Bitbucket, "bitbucket")]
    {
        for entry in std::fs::read_dir(all.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let raw = std::fs::read(&path).unwrap();
            let body: Value = serde_json::from_slice(&raw).unwrap();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let what = format!("{folder}/{stem}");
            let told = read(forge, name_of(forge, stem, &body), &raw).unwrap_or_else(|error| panic!("{what}: {error}"));
            let Ok(golden) = std::fs::read(path.with_extension("json.golden")) else { continue };
            // Some of them are empty.
            let Ok(golden) = serde_json::from_slice::<Value>(&golden) else { continue };
            for told in &told {
                compare(told, &golden, &what);
                started += usize::from(!matches!(told, ForgeEvent::Ignored { .. } | ForgeEvent::Deleted { .. }));
            }
        }
    }
    assert!(started >= 15, "{started}");
}
