//! A provider for sign-ins on this machine. It signs what it says with keys of its own, and lies where it is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// The key that it signs with when it signs with RSA. Nothing else has it.
const RSA: &[u8] = include_bytes!("provider.der");

/// What it calls the server, and what that proves it by: characters that a form would change.
pub(crate) const CLIENT: &str = "build it";
pub(crate) const SECRET: &str = "s3cret & more=";

/// What is wrong with the tokens that it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    NoToken,
    OtherNonce,
    NoNonce,
    OtherAudience,
    SecondAudience,
    Expired,
    Unsigned,
    SignedWithSecret,
    OtherIssuer,
    OtherKey,
    Altered,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Key {
    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(RSA).unwrap())
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signed).unwrap();
                signed
            }
            Self::Ec(key) => key.sign(&random, text.as_bytes()).unwrap().as_ref().to_vec(),
        }
    }

    fn public(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                let (n, e) = (encode(&public.n), encode(&public.e));
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e })
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({ "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": id, "x": x, "y": y })
            }
        }
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Somebody was sent here, and has a code.
struct Issued {
    redirect: String,
    nonce: String,
    challenge: String,
    claims: Value,
}

struct Inner {
    key: Key,
    key_number: u32,
    /// What it claims of who signs in next.
    claims: Value,
    /// What it tells of them beside the token.
    more: Value,
    lie: Lie,
    is_down: bool,
    codes: HashMap<String, Issued>,
    /// What it was asked for, by path.
    asked: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Provider {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            key: Key::ec(),
            key_number: 1,
            claims: json!({}),
            more: json!({}),
            lie: Lie::None,
            is_down: false,
            codes: HashMap::new(),
            asked: Vec::new(),
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { url, inner: Arc::new(Mutex::new(inner)) };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        provider
    }

    /// Who signs in next.
    pub(crate) fn is(&self, claims: Value) {
        self.inner.lock().unwrap().claims = claims;
    }

    /// What it tells of them when it is asked for more.
    pub(crate) fn tells(&self, more: Value) {
        self.inner.lock().unwrap().more = more;
    }

    pub(crate) fn lies(&self, lie: Lie) {
        self.inner.lock().unwrap().lie = lie;
    }

    pub(crate) fn goes(&self, is_down: bool) {
        self.inner.lock().unwrap().is_down = is_down;
    }

    /// Signs with another key from now on.
    pub(crate) fn changes_key(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.key_number += 1;
        inner.key = if matches!(inner.key, Key::Ec(_)) { Key::rsa() } else { Key::ec() };
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.inner.lock().unwrap().asked.iter().filter(|asked| *asked == path).count()
    }

    /// Refuses while it is down.
    fn note(&self, path: &str) -> Result<(), StatusCode> {
        let mut inner = self.inner.lock().unwrap();
        inner.asked.push(path.to_owned());
        if inner.is_down { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok(()) }
    }
}

async fn describe(State(provider): State<Provider>) -> Response {
    if let Err(refused) = provider.note("/.well-known/openid-configuration") {
        return refused.into_response();
    }
    let at = |path: &str| format!("{}{path}", provider.url);
    Json(json!({
        "issuer": provider.url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // It would take tokens that are signed with the secret, or not at all.
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
    }))
    .into_response()
}

async fn keys(State(provider): State<Provider>) -> Response {
    if let Err(refused) = provider.note("/keys") {
        return refused.into_response();
    }
    let inner = provider.inner.lock().unwrap();
    Json(json!({ "keys": [inner.key.public(&format!("key {}", inner.key_number))] })).into_response()
}

/// Lets in at once who comes, as if they had given a password.
async fn authorize(State(provider): State<Provider>, Query(asked): Query<HashMap<String, String>>) -> Response {
    if let Err(refused) = provider.note("/authorize") {
        return refused.into_response();
    }
    let value = |name: &str| asked.get(name).cloned().unwrap_or_default();
    assert_eq!((value("response_type").as_str(), value("client_id").as_str()), ("code", CLIENT));
    assert_eq!(value("code_challenge_method"), "S256");
    assert!(value("scope").split(' ').any(|scope| scope == "openid"), "{asked:?}");
    assert!(value("state").len() > 20 && value("nonce").len() > 20, "{asked:?}");
    let mut inner = provider.inner.lock().unwrap();
    let code = format!("code{}", inner.codes.len());
    let issued = Issued {
        redirect: value("redirect_uri"),
        nonce: value("nonce"),
        challenge: value("code_challenge"),
        claims: inner.claims.clone(),
    };
    inner.codes.insert(code.clone(), issued);
    Redirect::to(&format!("{}?code={code}&state={}", value("redirect_uri"), value("state"))).into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(given): Form<HashMap<String, String>>,
) -> Response {
    if let Err(refused) = provider.note("/token") {
        return refused.into_response();
    }
    let proof = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
    let proof = String::from_utf8(STANDARD.decode(proof).unwrap()).unwrap();
    assert_eq!(proof, "build+it:s3cret+%26+more%3D");
    let mut inner = provider.inner.lock().unwrap();
    let Some(issued) = inner.codes.get_mut(&given["code"]).filter(|issued| !issued.challenge.is_empty()) else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    assert_eq!(given["redirect_uri"], issued.redirect);
    assert_eq!(encode(Sha256::digest(&given["code_verifier"])), std::mem::take(&mut issued.challenge));
    let (nonce, claims) = (issued.nonce.clone(), issued.claims.clone());
    let mut answer = json!({ "access_token": "let me ask", "token_type": "Bearer", "expires_in": 60 });
    if inner.lie != Lie::NoToken {
        answer["id_token"] = Value::from(inner.token(&provider.url, &nonce, claims));
    }
    Json(answer).into_response()
}

impl Inner {
    fn token(&self, issuer: &str, nonce: &str, claims: Value) -> String {
        let now = Timestamp::now().as_second();
        let mut all = json!({ "iss": issuer, "aud": CLIENT, "iat": now - 1, "exp": now + 300, "nonce": nonce });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        match self.lie {
            Lie::OtherNonce => all["nonce"] = "another".into(),
            Lie::NoNonce => drop(all.as_object_mut().unwrap().remove("nonce")),
            Lie::OtherAudience => all["aud"] = "another".into(),
            Lie::SecondAudience => all["aud"] = json!([CLIENT, "another"]),
            Lie::Expired => all["exp"] = json!(now - 1),
            Lie::OtherIssuer => all["iss"] = "https://id.example.com".into(),
            _ => {}
        }
        let other = Key::ec();
        let key = if self.lie == Lie::OtherKey { &other } else { &self.key };
        let algorithm = match self.lie {
            Lie::Unsigned => "none",
            Lie::SignedWithSecret => "HS256",
            _ => key.algorithm(),
        };
        let head = json!({ "alg": algorithm, "typ": "JWT", "kid": format!("key {}", self.key_number) });
        let text = format!("{}.{}", encode(head.to_string()), encode(all.to_string()));
        let signature = match self.lie {
            Lie::Unsigned => Vec::new(),
            Lie::SignedWithSecret => {
                let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
                ring::hmac::sign(&secret, text.as_bytes()).as_ref().to_vec()
            }
            _ => key.sign(&text),
        };
        let text = if self.lie == Lie::Altered {
            all["sub"] = "somebody else".into();
            format!("{}.{}", encode(head.to_string()), encode(all.to_string()))
        } else {
            text
        };
        format!("{text}.{}", encode(signature))
    }
}

async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    if let Err(refused) = provider.note("/userinfo") {
        return refused.into_response();
    }
    assert_eq!(headers[header::AUTHORIZATION], "Bearer let me ask");
    Json(provider.inner.lock().unwrap().more.clone()).into_response()
}
