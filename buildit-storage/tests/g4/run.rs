//! A run that tells everybody.

use std::path::Path;
use std::sync::Arc;

use buildit::artifact::BlobStore;
use buildit::engine::{Engine, StartOptions};
use buildit::event::RunStatus;
use buildit::pipeline::{PipelineBuilder, RunContext, StageBuilder};
use buildit::store::{SecretPlace, SecretScope, SecretStore, Store};
use buildit_storage::secrets::{Keyring, SealedSecrets};
use jiff::Timestamp;

use super::search::{LINES, PLANTED, TOKEN};

/// Prints the value of `$1` in all that a shell can make of it.
const TELL: &str = r#"tell() {
    printf '%s\n' "$1"; printf 'a%sb\n' "$1"
    printf '%s' "$1" | base64; printf '%s' "$1" | base64 -w 0; echo
    printf 'x%s' "$1" | base64 -w 0; echo; printf 'xy%s' "$1" | base64 -w 64 | tr '+/' '-_'; echo
    printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; echo; printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n' | tr a-f A-F; echo
    printf '%s\n' "$1" | sed 's/%/%25/g; s/+/%2B/g; s,/,%2F,g; s/"/%22/g; s/ /%20/g; s/&/%26/g'
    printf '%s\n' "$1" | sed 's/%/%25/g; s/+/%2B/g; s,/,%2F,g; s/"/%22/g; s/ /+/g; s/&/%26/g'
    printf '{"value": "%s"}\n' "$(printf '%s' "$1" | sed 's/"/\\"/g')"
    printf '%s' "$1" | tee /dev/stderr | cat
}"#;

/// Sets two secrets and has a run print them.
pub(crate) async fn drive<S: Store + SecretStore>(store: Arc<S>, blobs: Arc<dyn BlobStore>, state: &Path) {
    let keys = Keyring::parse("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=").unwrap();
    let secrets = SealedSecrets::new(store.clone() as Arc<dyn SecretStore>, keys);
    for (scope, owner, name, value) in
        [(SecretScope::Pipeline, "tells", "TOKEN", TOKEN), (SecretScope::Organization, "", "LINES", LINES)]
    {
        let place = SecretPlace { scope, owner: owner.into(), name: name.into() };
        secrets.set(&place, &value.into(), Timestamp::now()).await.unwrap();
    }
    let tells = StageBuilder::run("tell", format!("{TELL}\ntell \"$TOKEN\"\ntell \"$LINES\"\necho {PLANTED}"))
        .secrets(["TOKEN", "LINES"]);
    // The error text of the stage, too.
    let fails = StageBuilder::run("fail", r#"echo "$TOKEN" >"$TOKEN" || sh -c "exit 3" "$TOKEN""#)
        .secrets(["TOKEN"])
        .allow_failure();
    let leaves = StageBuilder::run("leave", format!("echo {PLANTED} >left.txt")).artifact("left.txt");
    let pipeline = PipelineBuilder::new("tells").stage(tells).stage(fails).stage(leaves).build();
    let engine = Engine::builder()
        .executor(Arc::new(buildit_executors::local::executor(state)) as Arc<dyn buildit::Executor>)
        .store(store as Arc<dyn Store>)
        .blobs(blobs)
        .secrets(secrets)
        .build()
        .unwrap();
    let run = engine.start(&pipeline, StartOptions::new(RunContext::manual())).await.unwrap();
    assert_eq!(run.wait().await.unwrap().status, RunStatus::Succeeded);
    engine.shutdown().await;
}
