//! Whom an image is for that somebody has fetched with credentials: a real engine, and a registry that is as small as one
//! can be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use buildit::executor::{Executor, JobSecrets};
use buildit::job::{JobOutcome, Status};
use buildit::pipeline::{ImageSpec, PullPolicy};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, job_of, with};

/// A registry with one image: <https://distribution.github.io/distribution/spec/api/>.
struct Registry {
    port: u16,
    state: Arc<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    /// By path: a type and a content.
    files: HashMap<String, (&'static str, Vec<u8>)>,
    /// Who may see them; everybody if there is nobody.
    users: Vec<String>,
    /// How often somebody has asked for the manifest.
    asked: usize,
}

impl Shown {
    /// Puts an image under the tag; the digest of its manifest.
    fn publish(&mut self, mark: &str) -> String {
        let mut keep = |kind, content: Vec<u8>| {
            let address = digest(&content);
            let about = serde_json::json!({ "mediaType": kind, "size": content.len(), "digest": address });
            self.files.insert(format!("/v2/tool/blobs/{address}"), (kind, content));
            about
        };
        let layer = layer(mark);
        let config = serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        });
        let layer = keep(LAYER, layer);
        let config = keep(CONFIG, config.to_string().into_bytes());
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]
        });
        let manifest = manifest.to_string().into_bytes();
        let address = digest(&manifest);
        for name in ["1", &address] {
            self.files.insert(format!("/v2/tool/manifests/{name}"), (MANIFEST, manifest.clone()));
        }
        address
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Registry {
    /// One that has `tool`, of which these are the contents, so that it is another image than any other test's.
    async fn start(mark: &str, users: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let users = users.iter().map(|user| format!("authorization: basic {}", STANDARD.encode(user)).to_lowercase());
        let state = Arc::new(Mutex::new(Shown { users: users.collect(), ..Shown::default() }));
        state.lock().unwrap().publish(mark);
        let told = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, Arc::clone(&told)));
            }
        });
        Self { port, state }
    }

    fn image(&self) -> String {
        format!("127.0.0.1:{}/tool:1", self.port)
    }

    /// How often it was asked for its image since the last look.
    fn asked(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

/// A file system with a shell.
fn layer(mark: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        tar.append_data(&mut header, path, content).unwrap();
    };
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find_map(|path| std::fs::read(path).ok());
    let busybox = busybox.expect("the busybox of this host");
    for name in ["sh", "busybox", "cat", "true", "mkdir", "rm", "mv", "chmod", "sleep"] {
        add(&format!("bin/{name}"), 0o755, &busybox);
    }
    add("mark", 0o644, mark.as_bytes());
    tar.into_inner().unwrap()
}

async fn answer(mut connection: TcpStream, state: Arc<Mutex<Shown>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        // An engine tries TLS first.
        if connection.read_buf(&mut request).await.unwrap_or(0) == 0 || request[0] == 0x16 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
    let (head, body) = {
        let mut state = state.lock().unwrap();
        let lower = request.to_lowercase();
        if !state.users.is_empty() && !state.users.iter().any(|user| lower.contains(&format!("{user}\r\n"))) {
            ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"".to_owned(), Vec::new())
        } else if path == "/v2/" {
            ("200 OK".to_owned(), b"{}".to_vec())
        } else if let Some((kind, content)) = state.files.get(&path).cloned() {
            state.asked += usize::from(path.contains("/manifests/"));
            (format!("200 OK\r\nContent-Type: {kind}\r\nDocker-Content-Digest: {}", digest(&content)), content)
        } else {
            ("404 Not Found".to_owned(), Vec::new())
        }
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = connection.write_all(head.as_bytes()).await;
    if method != "HEAD" {
        let _ = connection.write_all(&body).await;
    }
}

/// Runs a job of this image with these credentials.
async fn run(world: &World, image: &str, who: Option<(&str, &str)>, pull: PullPolicy) -> JobOutcome {
    let job = with(job_of(image), |stage| stage.image = Some(Box::new(ImageSpec { pull, ..ImageSpec::new(image) })));
    let registries = who.map(|(user, password)| (image.to_owned(), (user.to_owned(), password.to_owned().into())));
    let secrets = JobSecrets { registries: registries.into_iter().collect(), ..Default::default() };
    let outcome = world.executor.run(&job, world.context().secrets(secrets).build()).await.unwrap();
    world.executor.reap(job.id.run).await.unwrap();
    outcome
}

fn refused(outcome: &JobOutcome) -> &str {
    assert_eq!(outcome.status, Status::Failed);
    outcome.message.as_deref().unwrap()
}

#[tokio::test]
#[ignore = "needs docker"]
async fn g5_a_private_image_is_for_who_has_shown_that_they_may_have_it() {
    let world = World::docker().await;
    let registry = Registry::start("one", &["ann:pw-1", "cat:pw-2"]).await;
    let image = registry.image();
    let (ann, cat) = (Some(("ann", "pw-1")), Some(("cat", "pw-2")));
    let (missing, never) = (PullPolicy::default(), PullPolicy::Never);
    assert!(refused(&run(&world, &image, None, missing).await).contains("cannot be pulled"), "not there yet");
    assert_eq!(run(&world, &image, ann, missing).await.status, Status::Succeeded);
    assert!(registry.asked() > 0);
    let id = world.docker.inspect_image(&image).await.unwrap().id.unwrap();

    for who in [None, Some(("ann", "wrong")), Some(("eve", "pw-1"))] {
        assert!(refused(&run(&world, &image, who, missing).await).contains("cannot be pulled"), "{who:?}");
        assert!(refused(&run(&world, &image, who, never).await).contains("may be private"), "{who:?}");
        // By what the engine calls it, too.
        assert!(refused(&run(&world, &id, who, missing).await).contains("cannot be pulled"), "{who:?}");
    }
    assert_eq!(registry.asked(), 0);
    for policy in [missing, never] {
        assert_eq!(run(&world, &image, ann, policy).await.status, Status::Succeeded);
    }
    assert_eq!(registry.asked(), 0, "who has shown it once is not asked again");
    assert_eq!(run(&world, &image, cat, missing).await.status, Status::Succeeded);
    assert!(registry.asked() > 0);
    assert_eq!(run(&world, &image, cat, never).await.status, Status::Succeeded);
    // An engine that starts anew knows it, too.
    let again = World::docker().await;
    assert!(refused(&run(&again, &image, None, never).await).contains("may be private"));
    assert_eq!(run(&again, &image, ann, never).await.status, Status::Succeeded);

    // What everybody may have is everybody's, once somebody has shown that.
    registry.state.lock().unwrap().users.clear();
    assert_eq!(run(&world, &image, None, missing).await.status, Status::Succeeded);
    assert_eq!(run(&world, &image, None, never).await.status, Status::Succeeded);

    let all = world.docker.inspect_image(&id).await.unwrap().repo_tags.unwrap();
    assert_eq!(all.len(), 4, "{all:?}");
    remove(&world, &id).await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn a_digest_proves_nothing_and_an_image_that_its_tag_has_left_stays_private() {
    let world = World::docker().await;
    let registry = Registry::start("three", &["ann:pw-1"]).await;
    let image = registry.image();
    let ann = Some(("ann", "pw-1"));
    let old = registry.state.lock().unwrap().publish("three");
    let by_digest = format!("{}@{old}", image.strip_suffix(":1").unwrap());
    assert_eq!(run(&world, &image, ann, PullPolicy::default()).await.status, Status::Succeeded);
    let id = world.docker.inspect_image(&by_digest).await.unwrap().id.unwrap();
    let is_refused = async |who| {
        assert!(refused(&run(&world, &by_digest, who, PullPolicy::Never).await).contains("may be private"));
        for policy in [PullPolicy::default(), PullPolicy::Always] {
            assert!(refused(&run(&world, &by_digest, who, policy).await).contains("cannot be pulled"), "{policy:?}");
        }
    };
    is_refused(None).await;
    is_refused(Some(("ann", "wrong"))).await;
    assert_eq!(run(&world, &by_digest, ann, PullPolicy::Never).await.status, Status::Succeeded);
    registry.state.lock().unwrap().publish("four");
    assert_eq!(run(&world, &image, ann, PullPolicy::Always).await.status, Status::Succeeded);
    assert_ne!(world.docker.inspect_image(&image).await.unwrap().id.unwrap(), id);
    assert!(refused(&run(&world, &image, None, PullPolicy::Never).await).contains("may be private"));
    is_refused(None).await;
    assert_eq!(run(&world, &by_digest, ann, PullPolicy::Always).await.status, Status::Succeeded);
    assert_eq!(fetches(&world, &image).await, 0, "nothing is in doubt");
    remove(&world, &image).await;
    remove(&world, &id).await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn what_an_engine_was_killed_at_is_in_doubt() {
    let world = World::docker().await;
    let registry = Registry::start("five", &[]).await;
    let image = registry.image();
    assert_eq!(run(&world, &image, None, PullPolicy::default()).await.status, Status::Succeeded);
    let name = format!("buildit-test-{}", registry.port);
    let labels = HashMap::from([("buildit.fetching".to_owned(), image.clone())]);
    let volume = VolumeCreateRequest { name: Some(name.clone()), labels: Some(labels), ..Default::default() };
    world.docker.create_volume(volume).await.unwrap();
    let again = World::docker().await;
    assert!(refused(&run(&again, &image, None, PullPolicy::Never).await).contains("may be private"));
    registry.asked();
    for asked in [true, false] {
        assert_eq!(run(&again, &image, None, PullPolicy::default()).await.status, Status::Succeeded);
        assert_eq!(registry.asked() > 0, asked);
    }
    assert_eq!(fetches(&world, &image).await, 0);
    // What cannot be fetched at all leaves nothing in doubt.
    let unknown = image.replace(":1", ":2");
    let refused = run(&world, &unknown, Some(("ann", "pw-1")), PullPolicy::default()).await;
    assert_eq!((refused.status, fetches(&world, &image).await), (Status::Failed, 0));
    remove(&world, &image).await;
    world.end().await;
}

#[tokio::test]
#[ignore = "needs docker"]
async fn proofs_that_are_too_many_give_way_to_a_new_one_alone() {
    let world = World::docker().await;
    let registry = Registry::start("six", &["ann:pw-1", "cat:pw-2"]).await;
    let image = registry.image();
    let (ann, cat) = (Some(("ann", "pw-1")), Some(("cat", "pw-2")));
    assert_eq!(run(&world, &image, ann, PullPolicy::default()).await.status, Status::Succeeded);
    let further = async || {
        let names = world.docker.inspect_image(&image).await.unwrap().repo_tags.unwrap();
        names.into_iter().filter(|name| name.starts_with("buildit.invalid/")).collect::<Vec<_>>()
    };
    let repo = further().await[0].rsplit_once(':').unwrap().0.to_owned();
    for number in 0..40 {
        let options = TagImageOptionsBuilder::new().repo(&repo).tag(&format!("old-{number}")).build();
        world.docker.tag_image(&image, Some(options)).await.unwrap();
    }
    assert_eq!(run(&world, &image, ann, PullPolicy::Always).await.status, Status::Succeeded);
    assert_eq!(further().await.len(), 41, "nothing new was shown");
    assert_eq!(run(&world, &image, cat, PullPolicy::default()).await.status, Status::Succeeded);
    assert_eq!(further().await.len(), 1);
    assert!(refused(&run(&world, &image, None, PullPolicy::Never).await).contains("may be private"));
    remove(&world, &image).await;
    world.end().await;
}

/// How many volumes tell of fetches of the image's repository.
async fn fetches(world: &World, image: &str) -> usize {
    let (repository, _) = image.rsplit_once(':').unwrap();
    let filters = HashMap::from([("label".to_owned(), vec!["buildit.fetching".to_owned()])]);
    let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
    let volumes = world.docker.list_volumes(Some(options)).await.unwrap().volumes.unwrap_or_default();
    volumes.iter().filter(|volume| volume.labels["buildit.fetching"].starts_with(repository)).count()
}

/// Removes an image with all of its names.
async fn remove(world: &World, image: &str) {
    for name in world.docker.inspect_image(image).await.unwrap().repo_tags.unwrap() {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        world.docker.remove_image(&name, Some(options), None).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs docker"]
async fn an_image_that_was_here_for_all_is_nobodys_own() {
    let world = World::docker().await;
    let registry = Registry::start("two", &[]).await;
    let image = registry.image();
    assert_eq!(run(&world, &image, None, PullPolicy::default()).await.status, Status::Succeeded);
    assert_eq!(run(&world, &image, Some(("ann", "pw-1")), PullPolicy::Always).await.status, Status::Succeeded);
    assert_eq!(run(&world, &image, None, PullPolicy::Never).await.status, Status::Succeeded);
    remove(&world, &image).await;
    world.end().await;
}
