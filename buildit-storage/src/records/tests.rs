//! That no statement reads a whole table.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use buildit::account::{
    ApiKey, AuditEntry, Invitation, LinkedAccount, Membership, Organization, Role, Session, Tenant, TokenHash,
    TokenPurpose, User,
};
use buildit::id::{
    ApiKeyId, ChannelId, InvitationId, NotificationId, OrganizationId, PipelineId, RunId, TenantId, UserId,
};
use buildit::store::{AuditFilter, Channel, ChannelKind, NoticeRule, Notification, Settled, StoreError};
use jiff::Timestamp;

use super::{Change, News, Query, Records, Row, Statements, audit, credential, export, identity, notification};
use crate::sqlite::SqliteStore;

/// Statements with how they are carried out.
type Plans = Arc<Mutex<Vec<(&'static str, String)>>>;

/// A store that asks how each statement is carried out, and then does so.
#[derive(Debug)]
struct Explained {
    store: SqliteStore,
    plans: Plans,
}

fn explaining(query: &Query) -> Query {
    let text = format!("EXPLAIN QUERY PLAN {}", query.text);
    let mut explaining = query.clone();
    explaining.text = Box::leak(text.into_boxed_str());
    explaining
}

fn note(plans: &Plans, query: &Query, rows: Vec<Row>) {
    for mut row in rows {
        let _: (i64, i64, i64) = (row.take().unwrap(), row.take().unwrap(), row.take().unwrap());
        plans.lock().unwrap().push((query.text, row.take().unwrap()));
    }
}

#[async_trait]
impl Records for Explained {
    async fn read(&self, query: Query) -> Result<Vec<Row>, StoreError> {
        note(&self.plans, &query, self.store.read(explaining(&query)).await?);
        self.store.read(query).await
    }

    async fn run(&self, query: Query) -> Result<u64, StoreError> {
        note(&self.plans, &query, self.store.read(explaining(&query)).await?);
        self.store.run(query).await
    }

    async fn change<C: Change>(&self, change: C) -> Result<C::Answer, StoreError> {
        self.store.change(Explaining { change, plans: self.plans.clone() }).await
    }

    async fn announce(&self, _: News) {}
}

#[derive(Debug)]
struct Explaining<C> {
    change: C,
    plans: Plans,
}

#[async_trait]
impl<C: Change> Change for Explaining<C> {
    type Answer = C::Answer;

    async fn change(&self, to: &mut dyn Statements) -> Result<C::Answer, StoreError> {
        self.change.change(&mut Spy { to, plans: &self.plans }).await
    }
}

struct Spy<'a> {
    to: &'a mut dyn Statements,
    plans: &'a Plans,
}

#[async_trait]
impl Statements for Spy<'_> {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        note(self.plans, &query, self.to.rows(explaining(&query)).await?);
        self.to.rows(query).await
    }

    async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        note(self.plans, &query, self.to.rows(explaining(&query)).await?);
        self.to.run(query).await
    }
}

const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn user(email: &str) -> User {
    let (id, email, name) = (UserId::new(), email.to_owned(), String::new());
    User { id, email, email_verified: false, name, password_hash: None, created_at: NOW }
}

fn organization(name: &str) -> Organization {
    let (name, plan) = (name.to_owned(), String::new());
    Organization { id: OrganizationId::new(), name, plan, billing_email: None, created_at: NOW }
}

/// Makes each change and asks each question of people.
async fn try_people(store: &Explained) -> Result<(UserId, OrganizationId, TenantId), StoreError> {
    let (ada, bob, shop) = (user("ada"), user("bob"), organization("shop"));
    let web = Tenant { id: TenantId::new(), organization: shop.id, name: "web".into(), created_at: NOW };
    identity::found(store, ada.clone(), shop.clone(), web.clone()).await?;
    identity::has_users(store).await?;
    identity::create_user(store, bob.clone()).await?;
    identity::user(store, bob.id).await?;
    identity::user_by_email(store, "bob").await?;
    identity::change_user(store, &bob, bob.clone()).await?;
    let (carol, issuer, label) = (user("carol"), "https://id.example".to_owned(), String::new());
    let link = LinkedAccount { issuer, subject: "1".into(), user: carol.id, label, created_at: NOW };
    identity::create_linked_user(store, carol.clone(), link.clone()).await?;
    identity::link(store, LinkedAccount { subject: "2".into(), ..link.clone() }).await?;
    identity::linked_user(store, &link.issuer, "2").await?;
    identity::links_of(store, carol.id).await?;
    identity::unlink(store, carol.id, &link.issuer, "2").await?;
    identity::create_organization(store, organization("other"), ada.id).await?;
    identity::organization(store, shop.id).await?;
    identity::organization_named(store, "shop").await?;
    identity::update_organization(store, shop.clone()).await?;
    identity::organizations_of(store, ada.id).await?;
    let member =
        Membership { organization: shop.id, user: bob.id, role: Role::Viewer, invited_by: None, created_at: NOW };
    identity::set_member(store, member).await?;
    identity::members(store, shop.id, Some(ada.id), 9).await?;
    identity::membership(store, shop.id, bob.id).await?;
    identity::tenant_member(store, web.id, bob.id).await?;
    identity::remove_member(store, shop.id, bob.id).await?;
    identity::tenant(store, web.id).await?;
    identity::tenant_named(store, shop.id, "web").await?;
    identity::tenants(store, shop.id, Some("a"), 9).await?;
    identity::rename_tenant(store, web.id, "site").await?;
    let invitation = Invitation {
        id: InvitationId::new(),
        organization: shop.id,
        email: "bob".into(),
        role: Role::Member,
        invited_by: None,
        created_at: NOW,
        expires_at: Timestamp::MAX,
    };
    identity::create_invitation(store, invitation.clone(), TokenHash([1; 32])).await?;
    identity::invitations(store, shop.id, Some(InvitationId::new()), 9).await?;
    identity::invitation(store, &TokenHash([1; 32]), NOW).await?;
    identity::accept_invitation(store, &TokenHash([1; 32]), bob.id, NOW).await?;
    identity::revoke_invitation(store, invitation.id).await?;
    Ok((ada.id, shop.id, web.id))
}

/// Makes each change and asks each question of channels and what is to be sent to them.
async fn try_channels(store: &Explained) -> Result<(), StoreError> {
    let known = Channel {
        id: ChannelId::new(),
        tenant: TenantId::new(),
        name: "ops".into(),
        kind: ChannelKind::Slack,
        target: String::new(),
        rule: NoticeRule::default(),
        created_at: NOW,
    };
    let run = RunId::new();
    export::export(store, run, NOW).await?;
    for taken in export::take(store, NOW, NOW, 9).await? {
        export::settle(store, taken, Some(NOW)).await?;
        export::settle(store, taken, None).await?;
    }
    notification::create_channel(store, known.clone()).await?;
    notification::channel(store, known.id).await?;
    notification::channels(store, known.tenant, Some("a"), 9).await?;
    notification::change_channel(store, &known, known.clone()).await?;
    let pipeline = PipelineId::new();
    notification::set_rule(store, known.id, pipeline, Some(NoticeRule::default())).await?;
    notification::rules(store, pipeline).await?;
    notification::set_rule(store, known.id, pipeline, None).await?;
    let told = Notification {
        id: NotificationId::new(),
        channel: known.id,
        run: None,
        subject: String::new(),
        occasion: None,
        message: serde_json::Map::new(),
        created_at: NOW,
    };
    notification::notify(store, vec![told.clone()]).await?;
    notification::take(store, NOW, NOW, 9).await?;
    for how in [
        Settled::Later { at: NOW, error: String::new() },
        Settled::Sent { at: NOW },
        Settled::GivenUp { at: NOW, error: String::new() },
    ] {
        notification::settle(store, told.id, 1, how).await?;
    }
    notification::retry(store, known.id, told.id, NOW).await?;
    notification::dispatches(store, known.id, None, 9).await?;
    notification::sweep(store, NOW).await?;
    notification::delete_channel(store, known.id).await.map(drop)
}

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("runs.db")).await.unwrap();
    let store = Explained { store, plans: Plans::default() };
    let (user, organization, tenant) = try_people(&store).await.unwrap();
    try_channels(&store).await.unwrap();
    let hash = TokenHash([1; 32]);
    let key = ApiKey {
        id: ApiKeyId::new(),
        tenant,
        user: None,
        name: "key".into(),
        prefix: "k".into(),
        role: Role::Viewer,
        scopes: Vec::new(),
        expires_at: None,
        last_used_at: None,
        created_at: NOW,
    };
    let session = Session { user, data: Vec::new(), created_at: NOW, expires_at: NOW };
    credential::create_key(&store, key.clone(), hash).await.unwrap();
    credential::key(&store, &hash).await.unwrap();
    credential::keys(&store, tenant, Some(ApiKeyId::new()), 9).await.unwrap();
    credential::note_key_use(&store, key.id, NOW).await.unwrap();
    credential::delete_key(&store, tenant, key.id).await.unwrap();
    credential::put_session(&store, hash, session).await.unwrap();
    credential::session(&store, &hash, NOW).await.unwrap();
    credential::delete_session(&store, &hash).await.unwrap();
    credential::delete_sessions_of(&store, user).await.unwrap();
    credential::create_token(&store, hash, TokenPurpose::VerifyEmail, user, NOW).await.unwrap();
    credential::take_token(&store, &hash, TokenPurpose::VerifyEmail, NOW).await.unwrap();
    credential::delete_tokens_of(&store, user, TokenPurpose::VerifyEmail).await.unwrap();
    credential::begin_sign_in(&store, hash, Vec::new(), NOW).await.unwrap();
    credential::take_sign_in(&store, &hash, NOW).await.unwrap();
    credential::sweep_credentials(&store, NOW).await.unwrap();
    let (actor, action, subject, details) = (String::new(), String::new(), String::new(), serde_json::Map::new());
    let entry = AuditEntry { time: NOW, organization: None, tenant: None, actor, action, subject, details };
    audit::audit(&store, entry).await.unwrap();
    for filter in [
        AuditFilter::default(),
        AuditFilter::of_organization(organization),
        AuditFilter::of_tenant(tenant),
        AuditFilter { organization: Some(organization), tenant: Some(tenant) },
    ] {
        audit::audit_log(&store, filter, Some(9), 9).await.unwrap();
    }

    let plans = store.plans.lock().unwrap();
    assert!(plans.len() > 40, "{} steps", plans.len());
    for (text, plan) in &*plans {
        // The first user there is, whichever it is.
        let is_any = text.ends_with("FROM users LIMIT 1");
        let is_whole = plan.contains("SCAN") || plan.contains("TEMP B-TREE FOR ORDER BY");
        // The organizations of one user are few.
        let is_few = text.contains("WHERE m.user_id = $1 ORDER BY o.name");
        assert!(is_any || is_few || !is_whole, "{plan}\n{text}");
    }
}
