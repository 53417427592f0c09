//! What keys open, and what they do not.

use buildit::id::TenantId;
use buildit::memory::MemoryStore;
use buildit::pipeline::{PullRequest, RunContext};
use buildit::secret::{RegistryLogin, SecretReader, SecretSource};
use buildit::store::{SealedSecret, SecretPlace, SecretScope, SecretStore};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{KeyError, Keyring, SealError, SealedSecrets};

const ONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
const TWO: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";

fn place(scope: SecretScope, owner: &str, name: &str) -> SecretPlace {
    SecretPlace { scope, owner: owner.into(), name: name.into() }
}

fn token() -> SecretPlace {
    place(SecretScope::Pipeline, "shop", "TOKEN")
}

fn with(store: &MemoryStore, keys: &str) -> SealedSecrets<MemoryStore> {
    SealedSecrets::new(store.clone(), Keyring::parse(keys).unwrap())
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

async fn value(secrets: &SealedSecrets<MemoryStore>, place: &SecretPlace) -> String {
    secrets.open(place).await.unwrap().unwrap().expose_secret().to_owned()
}

fn reader<'a>(tenant: TenantId, pipeline: &'a str, context: &'a RunContext) -> SecretReader<'a> {
    SecretReader { tenant, pipeline, context, environment: None }
}

#[tokio::test]
async fn a_wrong_key_is_told_and_changes_nothing() {
    let store = MemoryStore::new();
    with(&store, ONE).set(&token(), &"value one".into(), now()).await.unwrap();
    let before = store.secret(&token()).await.unwrap();
    let other = with(&store, TWO);
    let refused = other.open(&token()).await.unwrap_err();
    assert!(matches!(refused, SealError::UnknownKey { .. }), "{refused:?}");
    assert!(refused.to_string().contains("TOKEN of the pipeline shop"), "{refused}");
    assert!(matches!(other.rotate(now()).await, Err(SealError::UnknownKey { .. })));
    assert!(
        other.secret_for(reader(TenantId::NONE, "shop", &RunContext::manual()), "TOKEN").await.is_err(),
        "a value that cannot be opened is not passed over"
    );
    assert_eq!(store.secret(&token()).await.unwrap(), before);
}

#[tokio::test]
async fn what_was_moved_or_changed_is_not_believed() {
    let store = MemoryStore::new();
    let secrets = with(&store, ONE);
    let other = place(SecretScope::Pipeline, "shop", "OTHER");
    secrets.set(&token(), &"value one".into(), now()).await.unwrap();
    secrets.set(&other, &"value two".into(), now()).await.unwrap();
    let sealed = store.secret(&token()).await.unwrap().unwrap();
    let places = [
        other.clone(),
        place(SecretScope::Tenant, "shop", "TOKEN"),
        place(SecretScope::Pipeline, "sho", "pTOKEN"),
        place(SecretScope::Pipeline, "shopT", "OKEN"),
    ];
    for elsewhere in places {
        store.delete_secret(&elsewhere).await.unwrap();
        store.put_secret(&elsewhere, sealed.clone(), now()).await.unwrap();
        let refused = secrets.open(&elsewhere).await.unwrap_err();
        assert!(matches!(refused, SealError::Forged(_)), "{elsewhere}: {refused:?}");
    }
    let changes: [fn(&mut SealedSecret); 5] = [
        |secret| secret.version = 2,
        |secret| secret.nonce[3] ^= 1,
        |secret| secret.nonce.truncate(23),
        |secret| secret.sealed[0] ^= 1,
        |secret| secret.sealed.truncate(3),
    ];
    for change in changes {
        let mut changed = sealed.clone();
        change(&mut changed);
        let refused = super::seal::open(&Keyring::parse(ONE).unwrap(), &token(), &changed).unwrap_err();
        assert!(matches!(refused, SealError::Forged(_)), "{refused:?}");
    }
    assert_eq!(value(&secrets, &token()).await, "value one");
}

#[tokio::test]
async fn keys_change_in_steps_that_may_be_broken_off() {
    let store = MemoryStore::new();
    let old = with(&store, ONE);
    let places: Vec<_> = (0..600).map(|n| place(SecretScope::Organization, "", &format!("NAME_{n}"))).collect();
    for place in &places {
        old.set(place, &format!("value of {place}").into(), now()).await.unwrap();
    }
    let both = with(&store, &format!("{TWO}\n{ONE}\n"));
    // Broken off at some point, as a kill does it.
    let reached = places.iter().take(100);
    for place in reached {
        both.set(place, &format!("value of {place}").into(), now()).await.unwrap();
    }
    assert_eq!(both.rotate(now()).await.unwrap(), 500);
    assert_eq!(both.rotate(now()).await.unwrap(), 0, "there is nothing left to do");
    let new = with(&store, TWO);
    for place in &places {
        assert_eq!(value(&new, place).await, format!("value of {place}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_change_beside_readers_and_a_writer() {
    let store = MemoryStore::new();
    let old = with(&store, ONE);
    let places: Vec<_> = (0..100).map(|n| place(SecretScope::Organization, "", &format!("NAME_{n}"))).collect();
    for place in &places {
        old.set(place, &"before".into(), now()).await.unwrap();
    }
    let both = with(&store, &format!("{TWO} {ONE}"));
    let writer = {
        let (writer, places) = (with(&store, &format!("{ONE} {TWO}")), places.clone());
        tokio::spawn(async move {
            for place in places.iter().rev() {
                writer.set(place, &"after".into(), now()).await.unwrap();
            }
        })
    };
    let reader = {
        let (reader, places) = (with(&store, &format!("{ONE} {TWO}")), places.clone());
        tokio::spawn(async move {
            for place in places.iter().cycle().take(2000) {
                assert!(["before", "after"].contains(&value(&reader, place).await.as_str()));
            }
        })
    };
    let rotator = {
        let both = both.clone();
        tokio::spawn(async move { both.rotate(now()).await.unwrap() })
    };
    writer.await.unwrap();
    reader.await.unwrap();
    rotator.await.unwrap();
    both.rotate(now()).await.unwrap();
    let new = with(&store, TWO);
    for place in &places {
        assert_eq!(value(&new, place).await, "after", "no write is lost");
    }
}

#[tokio::test]
async fn the_narrower_scope_hides_the_wider_one() {
    let store = MemoryStore::new();
    let secrets = with(&store, ONE).with_tenant("t").with_environment("live");
    let found = async |pipeline: &str| {
        let found = secrets.secret_for(reader(TenantId::NONE, pipeline, &RunContext::manual()), "TOKEN").await.unwrap();
        found.map(|value| value.expose_secret().to_owned())
    };
    assert_eq!(found("shop").await, None);
    let scopes = [
        (SecretScope::Organization, "", "organization", "organization"),
        (SecretScope::Tenant, "t", "tenant", "tenant"),
        (SecretScope::Pipeline, "shop", "pipeline", "tenant"),
        (SecretScope::Environment, "live", "environment", "environment"),
    ];
    for (scope, owner, of_shop, of_another) in scopes {
        secrets.set(&place(scope, owner, "TOKEN"), &scope.as_str().into(), now()).await.unwrap();
        assert_eq!(found("shop").await.as_deref(), Some(of_shop));
        assert_eq!(found("another").await.as_deref(), Some(of_another));
    }
    assert_eq!(secrets.secret("TOKEN").await.unwrap().unwrap().expose_secret(), "environment");
}

#[tokio::test]
async fn what_cannot_be_a_secret_is_refused() {
    let secrets = with(&MemoryStore::new(), ONE);
    let refused = async |place: SecretPlace, value: &str| {
        secrets.set(&place, &SecretString::from(value), now()).await.unwrap_err()
    };
    for name in ["", "1A", "A-B", "A B", "\u{fc}", &"A".repeat(129)] {
        assert!(matches!(refused(place(SecretScope::Organization, "", name), "value").await, SealError::Name(_)));
    }
    for owner in ["", "a\nb", &"a".repeat(513)] {
        assert!(matches!(refused(place(SecretScope::Pipeline, owner, "A"), "value").await, SealError::Owner(_)));
    }
    assert!(matches!(refused(token(), "abc").await, SealError::TooShort));
    assert!(matches!(refused(token(), &"a".repeat(64 * 1024 + 1)).await, SealError::TooLong));
    assert!(matches!(refused(token(), "a\0bcd").await, SealError::TooLong));
    secrets.set(&token(), &"a".repeat(64 * 1024).into(), now()).await.unwrap();
    secrets.set(&token(), &"abcd".into(), now()).await.unwrap();
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    assert!(matches!(Keyring::parse(" \n"), Err(KeyError::None)));
    for bad in ["AAAA", "hunter2hunter2", &ONE[..43], &format!("{ONE}{ONE}")] {
        let refused = Keyring::parse(&format!("{TWO} {bad}")).unwrap_err();
        assert!(matches!(refused, KeyError::Malformed { number: 2 }), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains(bad));
    }
    let keys = Keyring::parse(&format!("{ONE} {TWO}")).unwrap();
    assert_ne!(keys.active_id(), Keyring::parse(TWO).unwrap().active_id());
    assert!(!format!("{keys:?}").contains("AAAA"));
}

#[cfg(unix)]
#[test]
fn a_key_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    assert!(matches!(Keyring::read(&file), Err(KeyError::Unreadable { .. })));
    std::fs::write(&file, format!("{ONE}\n")).unwrap();
    for (mode, is_fine) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = Keyring::read(&file);
        assert_eq!(read.is_ok(), is_fine, "{mode:o}: {read:?}");
    }
}

#[tokio::test]
async fn g5_no_tenant_reads_the_secret_of_another() {
    let store = MemoryStore::new();
    let secrets = with(&store, ONE);
    let [one, other] = [TenantId::new(), TenantId::new()];
    let of = |scope, owner: String| SecretPlace { scope, owner, name: "TOKEN".into() };
    let context = RunContext::manual();
    let found = async |tenant, pipeline: &str| {
        let found = secrets.secret_for(reader(tenant, pipeline, &context), "TOKEN").await.unwrap();
        found.map(|value| value.expose_secret().to_owned())
    };
    secrets.set(&of(SecretScope::Pipeline, "shop".into()), &"nobody's".into(), now()).await.unwrap();
    for tenant in [one, other] {
        assert_eq!(found(tenant, "shop").await, None, "it is of nobody's pipeline of that name");
    }
    secrets.set(&of(SecretScope::Tenant, one.to_string()), &"one's".into(), now()).await.unwrap();
    assert_eq!(found(one, "shop").await.as_deref(), Some("one's"));
    assert_eq!(found(other, "shop").await, None);
    secrets.set(&of(SecretScope::Pipeline, one.scope("shop")), &"of one's shop".into(), now()).await.unwrap();
    assert_eq!(found(one, "shop").await.as_deref(), Some("of one's shop"));
    assert_eq!(found(one, "other").await.as_deref(), Some("one's"));
    assert_eq!(found(other, "shop").await, None);
    // Nobody calls a pipeline so that it gets at a tenant's.
    assert_eq!(found(TenantId::NONE, &one.scope("shop")).await, None);
    // An id wins over the name, which may change.
    let known = RunContext { pipeline_id: "p1".into(), ..RunContext::manual() };
    secrets.set(&of(SecretScope::Pipeline, "p1".into()), &"of p1".into(), now()).await.unwrap();
    let value = secrets.secret_for(reader(one, "shop", &known), "TOKEN").await.unwrap().unwrap();
    assert_eq!(value.expose_secret(), "of p1");
}

#[tokio::test]
async fn g5_registries_are_those_of_the_tenant_and_no_secrets_of_a_name() {
    let store = MemoryStore::new();
    let secrets = with(&store, ONE);
    let (ours, theirs) = (TenantId::new(), TenantId::new());
    let login = |registry: &str, username: &str| RegistryLogin {
        registry: registry.to_owned(),
        username: username.to_owned(),
        password: "pass\"word".into(),
    };
    for (tenant, login) in
        [(ours, login("r.example", "ann")), (ours, login("localhost:5000", "bob")), (theirs, login("r.example", "eve"))]
    {
        secrets.set_registry(&tenant.to_string(), &login, now()).await.unwrap();
    }
    let context = RunContext::manual();
    let found = |found: Vec<RegistryLogin>| -> Vec<String> {
        found
            .into_iter()
            .map(|login| format!("{} {} {}", login.registry, login.username, login.password.expose_secret()))
            .collect()
    };
    let of_ours = secrets.registries_for(reader(ours, "p", &context)).await.unwrap();
    assert_eq!(found(of_ours), ["localhost:5000 bob pass\"word", "r.example ann pass\"word"]);
    assert_eq!(
        found(secrets.registries_for(reader(theirs, "p", &context)).await.unwrap()),
        ["r.example eve pass\"word"]
    );
    let pull_request = Some(PullRequest { fork: true, ..PullRequest::default() });
    let fork = RunContext { pull_request, ..context.clone() };
    assert!(secrets.registries_for(reader(ours, "p", &fork)).await.unwrap().is_empty());
    assert!(secrets.secret_for(reader(ours, "p", &fork), "r.example").await.unwrap().is_none());

    // Whoever has another key now goes without those, and loses nothing else.
    let others = with(&store, TWO);
    assert!(others.registries_for(reader(ours, "p", &context)).await.unwrap().is_empty());
    assert!(secrets.delete_registry(&ours.to_string(), "r.example").await.unwrap());
    assert!(!secrets.delete_registry(&ours.to_string(), "r.example").await.unwrap());

    for wrong in ["", "Upper.example", "a/b", "r.example:port", "-r.example", "r.example:5000:1"] {
        let refused = secrets.set_registry(&ours.to_string(), &login(wrong, "ann"), now()).await;
        assert!(matches!(refused, Err(SealError::Registry(_))), "{wrong}");
    }
    let short = RegistryLogin { password: "abc".into(), ..login("r.example", "ann") };
    assert!(matches!(secrets.set_registry("t", &short, now()).await, Err(SealError::TooShort)));
}
