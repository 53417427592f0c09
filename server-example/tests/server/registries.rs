//! Private registries of a server: set, kept, and used by those whose they are.

use std::collections::HashMap;
use std::io::Read;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::site::{Site, Who};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use buildit_server::Settings;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

/// `ann:registry-s3cret`, as `Basic` has it.
const ANN: &str = "Basic YW5uOnJlZ2lzdHJ5LXMzY3JldA==";
const PASSWORD: &str = "registry-s3cret";

/// What a registry has of an image.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The image that the tests of Docker have, too.
const IMAGE: &str = "busybox:local";

fn settings(folder: &std::path::Path, docker: bool) -> Settings {
    let mut settings = Site::settings(folder);
    settings.docker = docker;
    settings
}

async fn set(site: &Site, who: &Who, tenant: &str, host: &str) {
    let path = format!("/api/v1/tenants/{tenant}/registries/{host}");
    let body = json!({ "username": "ann", "password": PASSWORD });
    site.ask(who, Method::PUT, &path, Some(body)).await.ok();
}

/// A run of this pipeline that has ended.
async fn ended(site: &Site, who: &Who, pipeline: &str) -> Value {
    let run = site.run(who, pipeline).await;
    site.events(who, &run).await;
    site.get(who, &format!("/api/v1/runs/{run}")).await.ok().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_are_kept_and_no_password_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (owner, tenant, path) = {
        let site = Site::open_with(settings(folder.path(), false)).await;
        let owner = site.owner().await;
        let tenant = site.tenant(&owner, "acme", "main").await;
        let path = format!("/api/v1/tenants/{tenant}/registries");
        set(&site, &owner, &tenant, "Registry.Example:5000").await;
        // A page sets it, too; what is refused is told on it, and the password is not.
        let page = "/acme/main/settings/registries";
        let fields = [("host", "https://ghcr.io/v2/"), ("username", "bob"), ("password", PASSWORD)];
        assert_eq!(site.form(&owner, page, &fields).await.status, StatusCode::SEE_OTHER);
        for (host, username, password) in
            [("team", "bob", PASSWORD), ("ghcr.io", " ", PASSWORD), ("ghcr.io", "bob", "abc")]
        {
            let fields = [("host", host), ("username", username), ("password", password)];
            let refused = site.form(&owner, page, &fields).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{host} {username}");
            assert!(refused.text.contains("role=\"alert\"") && !refused.text.contains(password), "{}", refused.text);
        }
        (owner, tenant, path)
    };

    let site = Site::open_with(settings(folder.path(), false)).await;
    let listed = site.get(&owner, &path).await.ok();
    assert!(!listed.text.contains(PASSWORD));
    let known: Vec<Value> = listed.json()["items"].as_array().unwrap().clone();
    let known: Vec<_> =
        known.iter().map(|one| (one["host"].as_str().unwrap(), one["username"].as_str().unwrap())).collect();
    assert_eq!(known, [("ghcr.io", "bob"), ("registry.example:5000", "ann")]);
    let shown = site.get(&owner, "/acme/main/settings/registries").await.ok().text;
    assert!(shown.contains("registry.example:5000") && shown.contains("bob") && !shown.contains(PASSWORD));

    // They are no secrets that a stage could name, and are not among them.
    let secrets = site.get(&owner, &format!("/api/v1/tenants/{tenant}/secrets")).await.ok().json();
    assert_eq!(secrets["items"], json!([]));
    let one = format!("{path}/ghcr.io");
    site.ask(&owner, Method::DELETE, &one, None).await.ok();
    assert_eq!(site.ask(&owner, Method::DELETE, &one, None).await.status, StatusCode::NOT_FOUND);
    let audit = site.get(&owner, &format!("/api/v1/tenants/{tenant}/audit")).await.ok();
    for action in ["registry.set", "registry.delete"] {
        assert!(audit.text.contains(action), "{}", audit.text);
    }
    assert!(!audit.text.contains(PASSWORD));
}

/// A registry that has one image and gives it to Ann alone.
#[derive(Clone)]
struct Registry {
    /// By their digests.
    blobs: Arc<HashMap<String, Vec<u8>>>,
    manifest: String,
    /// What was asked for, and whether by her.
    asked: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Registry {
    /// With the image of the tests, as Docker saves it.
    fn new() -> Self {
        let saved = Command::new("docker").args(["save", IMAGE]).output().unwrap();
        assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
        let mut files = HashMap::new();
        for entry in tar::Archive::new(&saved.stdout[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let saved: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let mut blobs = HashMap::new();
        let mut keep = |kind: &str, bytes: Vec<u8>| {
            let (digest, size) = (format!("sha256:{}", hex::encode(Sha256::digest(&bytes))), bytes.len());
            blobs.insert(digest.clone(), bytes);
            json!({ "mediaType": kind, "size": size, "digest": digest })
        };
        let mut of = |kind: &str, name: &Value| keep(kind, files[name.as_str().unwrap()].clone());
        let config = of("application/vnd.docker.container.image.v1+json", &saved[0]["Config"]);
        let layers = saved[0]["Layers"].as_array().unwrap().iter();
        let layers: Vec<Value> = layers.map(|name| of("application/vnd.docker.image.rootfs.diff.tar", name)).collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }).to_string();
        let manifest = keep(MANIFEST, manifest.into_bytes())["digest"].as_str().unwrap().to_owned();
        Self { blobs: Arc::new(blobs), manifest, asked: Arc::default() }
    }

    /// Its address: Docker takes one of the loopback without TLS.
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }
}

async fn answer(State(registry): State<Registry>, uri: Uri, headers: HeaderMap) -> Response {
    let is_ann = headers.get(header::AUTHORIZATION).is_some_and(|value| value == ANN);
    registry.asked.lock().unwrap().push((uri.path().to_owned(), is_ann));
    if !is_ann {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"private\"")]).into_response();
    }
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let digest = if name == "1" { &registry.manifest } else { name };
    match registry.blobs.get(digest) {
        _ if uri.path() == "/v2/" => "{}".into_response(),
        Some(bytes) => {
            let kind = if *digest == registry.manifest { MANIFEST } else { "application/octet-stream" };
            let headers = [(header::CONTENT_TYPE.as_str(), kind), ("docker-content-digest", digest)];
            (headers, bytes.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs docker"]
async fn a_private_image_is_fetched_by_whom_the_tenant_has_set() {
    let registry = Registry::new();
    let address = registry.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let (owner, tenant, pipeline) = {
        let site = Site::open_with(settings(folder.path(), true)).await;
        let owner = site.owner().await;
        let tenant = site.tenant(&owner, "acme", "main").await;
        let image = format!("{address}/private/tool:1");
        let text = format!(
            "pipeline \"private\"\nstage \"use\" {{ executor \"docker\"; image \"{image}\" pull=\"always\"; run \"echo {PASSWORD} is here\" }}"
        );
        let pipeline = site.pipeline(&owner, &text).await;
        let run = ended(&site, &owner, &pipeline).await;
        assert_eq!(run["status"], "failed", "{run}");
        assert!(registry.asked.lock().unwrap().iter().all(|(_, is_ann)| !is_ann));
        set(&site, &owner, &tenant, &address).await;
        site.server.shutdown().await;
        (owner, tenant, pipeline)
    };

    // Another start of the server, and she fetches it.
    let site = Site::open_with(settings(folder.path(), true)).await;
    let run = ended(&site, &owner, &pipeline).await;
    let id = run["id"].as_str().unwrap();
    let log = site.get(&owner, &format!("/api/v1/runs/{id}/stages/use/attempts/1/log/raw")).await.ok().text;
    assert_eq!(run["status"], "succeeded", "{run} {log}");
    assert!(log.contains("*** is here") && !log.contains(PASSWORD), "{log}");
    assert!(registry.asked.lock().unwrap().iter().any(|(path, is_ann)| path.contains("/manifests/") && *is_ann));

    // Without her it is not to be had again.
    let path = format!("/api/v1/tenants/{tenant}/registries/{address}");
    site.ask(&owner, Method::DELETE, &path, None).await.ok();
    assert_eq!(ended(&site, &owner, &pipeline).await["status"], "failed");
    let image = format!("{address}/private/tool:1");
    Command::new("docker").args(["image", "rm", &image]).output().unwrap();
}
