//! Guarantee G7 at each route of the API: what its own description allows, and what it does not, is asked of it; nothing
//! gives a 500, a refusal is a problem document, and an answer is of the schema that the description says.

use std::collections::BTreeMap;

use crate::site::things::{Things, routes};
use crate::site::{Answer, Site, Who};
use axum::http::Method;
use jsonschema::Validator;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{collection, prop_oneof};
use serde_json::{Map, Value, json};

/// How often each route is asked.
fn tries() -> usize {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse::<usize>().ok()).unwrap_or(256).div_ceil(8)
}

/// The same questions for the same seed, `PROPTEST_RNG_SEED`.
fn runner() -> TestRunner {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(20_260_101);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn one<T: std::fmt::Debug>(runner: &mut TestRunner, of: impl Strategy<Value = T>) -> T {
    of.new_tree(runner).unwrap().current()
}

/// Texts that have broken servers.
fn text() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 18] = [
        "",
        " ",
        "0",
        "-1",
        "main",
        "null",
        "\0",
        "a\0b",
        "\u{fffd}\u{202e}\u{feff}",
        "../../etc/passwd",
        "%00%2e%2e%2f",
        "' OR '1'='1",
        "<script>alert(1)</script>",
        "${secrets.X}",
        "$(reboot)",
        "00000000-0000-0000-0000-000000000000",
        "9223372036854775808",
        "a\r\nSet-Cookie: x=y",
    ];
    prop_oneof![
        4 => proptest::sample::select(KNOWN.to_vec()).prop_map(str::to_owned),
        2 => "[a-z0-9_.-]{1,40}",
        2 => "\\PC{0,80}",
        1 => (1_usize..70_000).prop_map(|length| "ä".repeat(length)),
    ]
}

/// Any JSON.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![Value::Null, json!(true), json!(-1), json!(1e300), json!(u64::MAX), json!(0.5)]),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::btree_map("[a-z_]{0,12}", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The description, with what its references stand for.
struct Description(Value);

impl Description {
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str);
        name.map_or(schema, |name| self.0.pointer(name.trim_start_matches('#')).unwrap())
    }

    /// What a schema allows, with something else in its place now and then.
    fn value(&self, runner: &mut TestRunner, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if one(runner, 0_u8..12) == 0 {
            return one(runner, anything());
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[word].as_array() {
                let chosen = one(runner, 0..choices.len());
                return self.value(runner, &choices[chosen]);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                whole.extend(self.value(runner, part).as_object().cloned().unwrap_or_default());
            }
            return Value::Object(whole);
        }
        if let Some(allowed) = schema["enum"].as_array() {
            let chosen = one(runner, 0..allowed.len());
            return allowed[chosen].clone();
        }
        let kinds = match &schema["type"] {
            Value::String(kind) => vec![kind.clone()],
            Value::Array(kinds) => kinds.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect(),
            _ => vec![],
        };
        if kinds.is_empty() {
            return one(runner, anything());
        }
        let chosen = one(runner, 0..kinds.len());
        match &*kinds[chosen] {
            "object" => self.object(runner, schema),
            "array" => {
                let length = one(runner, 0_usize..4);
                (0..length).map(|_| self.value(runner, &schema["items"])).collect()
            }
            "integer" => json!(one(runner, prop_oneof![0_i64..100, proptest::num::i64::ANY])),
            "number" => json!(one(runner, -1e12_f64..1e12)),
            "boolean" => json!(one(runner, proptest::bool::ANY)),
            "string" => json!(one(runner, text())),
            _ => Value::Null,
        }
    }

    fn object(&self, runner: &mut TestRunner, schema: &Value) -> Value {
        let mut fields = Map::new();
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let is_left_out = one(runner, 0_u8..if required.contains(&&**name) { 20 } else { 2 }) == 0;
            if !is_left_out {
                fields.insert(name.clone(), self.value(runner, field));
            }
        }
        let others = &schema["additionalProperties"];
        if others.is_object() {
            for _ in 0..one(runner, 0..3) {
                fields.insert(one(runner, text()), self.value(runner, others));
            }
        }
        Value::Object(fields)
    }

    /// The schema of an answer as a whole document, for whoever checks it.
    fn validator(&self, schema: &Value) -> Validator {
        let mut whole = schema.as_object().unwrap().clone();
        whole.insert("components".into(), self.0["components"].clone());
        jsonschema::validator_for(&Value::Object(whole)).unwrap()
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A question to a route.
#[derive(Debug)]
struct Question {
    path: String,
    headers: Vec<(String, String)>,
    kind: &'static str,
    body: String,
}

impl Question {
    /// One whose path leads to something or nowhere, with parameters and a body that may fit.
    fn new(api: &Description, runner: &mut TestRunner, things: &Things, template: &str, operation: &Value) -> Self {
        let mut path = if one(runner, 0_u8..4) == 0 {
            let parts = template.split('/');
            let fill = |part: &str, runner: &mut TestRunner| match part.starts_with('{') {
                true => encoded(&one(runner, text()).chars().take(400).collect::<String>()),
                false => part.to_owned(),
            };
            parts.map(|part| fill(part, runner)).collect::<Vec<_>>().join("/")
        } else {
            things.path(template)
        };
        let (mut query, mut headers) = (Vec::new(), Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if one(runner, 0_u8..3) == 0 {
                continue;
            }
            let value = match api.value(runner, &parameter["schema"]) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let value: String = value.chars().take(400).collect();
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str() {
                Some("query") => query.push(format!("{name}={}", encoded(&value))),
                Some("header") => {
                    let printable = |character: &char| matches!(character, ' '..='~');
                    headers.push((name.to_owned(), value.chars().filter(printable).collect()));
                }
                _ => {}
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body = match (schema.is_null(), one(runner, 0_u8..10)) {
            (true, 0..8) => String::new(),
            (_, 8) => one(runner, text()),
            (_, 9) => "[".repeat(one(runner, 1_usize..20_000)),
            _ => api.value(runner, schema).to_string(),
        };
        let kind = if one(runner, 0_u8..20) == 0 { "text/plain" } else { "application/json" };
        Self { path, headers, kind, body }
    }
}

/// What an answer has that the description does not tell of.
fn fault(api: &Description, operation: &Value, answer: &Answer) -> Option<String> {
    let status = answer.status.as_u16();
    let kind = answer.header("content-type");
    let off = |schema: &Value| {
        let document: Value = serde_json::from_str(&answer.text).unwrap_or_else(|error| error.to_string().into());
        api.validator(schema).validate(&document).err().map(|error| format!("{status} off its schema: {error}"))
    };
    if status >= 500 {
        return Some(format!("{status}"));
    }
    if status >= 400 {
        let problem = api.0.pointer("/components/schemas/Problem").unwrap();
        return match kind {
            "application/problem+json" => off(problem),
            _ => Some(format!("{status} is no problem document")),
        };
    }
    let described = &operation["responses"][status.to_string()];
    if !described.is_object() {
        return Some(format!("{status} is not described"));
    }
    let schema = &api.resolve(described)["content"]["application/json"]["schema"];
    match (kind.starts_with("application/json"), schema.is_object()) {
        (true, true) => off(schema),
        (true, false) => Some(format!("{status} is JSON that is not described")),
        (false, true) => Some(format!("{status} is {kind} where JSON is described")),
        (false, false) => None,
    }
}

/// Whether an answer goes on for ever: live streams have tests of their own.
fn is_live(template: &str) -> bool {
    template.ends_with("/live") || template.ends_with("/events")
}

#[tokio::test(flavor = "multi_thread")]
async fn g7_whatever_a_route_is_asked_it_answers_as_it_says() {
    let site = Site::new().await;
    let owner = site.owner().await;
    let things = Things::new(&site, &owner).await;
    let key = site.key(&owner, "admin").await;
    let api = Description(site.get(&owner, "/api/openapi.json").await.ok().json());
    let (mut runner, mut faults) = (runner(), BTreeMap::new());
    for (method, template) in routes(&site, &owner).await {
        if is_live(&template) {
            continue;
        }
        let operation = &api.0["paths"][&template][method.as_str().to_lowercase()];
        for _ in 0..tries() {
            let mut question = Question::new(&api, &mut runner, &things, &template, operation);
            // What is asked about stays.
            if method == Method::DELETE && question.path.starts_with(&things.path(&template)) {
                question.path = question.path.replacen(&things.path(&template), "/api/v1/runs/0", 1);
            }
            let who = question.headers.iter().fold(key.clone(), |who: Who, (name, value)| who.with(name, value));
            let asked = format!("{method} {} {:?} {:.300}", question.path, question.headers, question.body);
            let answer = site.send(&who, method.clone(), &question.path, question.kind, question.body).await;
            if let Some(fault) = fault(&api, operation, &answer) {
                faults
                    .entry(format!("{method} {template} {fault:.120}"))
                    .or_insert(format!("{asked}: {:.300}", answer.text));
            }
        }
        // And once what it is made for.
        if method != Method::DELETE {
            let (path, body) = (things.address(&template), things.body(&method, &template));
            let answer = site.ask(&owner, method.clone(), &path, body).await;
            if let Some(fault) = fault(&api, operation, &answer) {
                faults.insert(format!("{method} {template} {fault:.120}"), answer.text);
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
