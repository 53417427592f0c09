//! Accounts that people read with SQL of their own, and that two servers change at once.

#[path = "../shared/people.rs"]
mod people;

use buildit::account::{Organization, Tenant, User};
use buildit::id::{OrganizationId, TenantId, UserId};
use buildit::store::IdentityStore;

use crate::{Scratch, at};

#[tokio::test]
#[ignore = "needs postgres"]
async fn columns_of_accounts_have_the_names_that_people_use() {
    let scratch = Scratch::new().await;
    people::fill(&scratch.store().await).await;
    let found: people::Found =
        sqlx::query_as(people::COLUMNS).fetch_one(&mut scratch.connection().await).await.unwrap();
    assert_eq!(found, people::expected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs postgres"]
async fn of_many_servers_that_are_founded_at_once_one_is() {
    let scratch = Scratch::new().await;
    let mut founders = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = scratch.store().await;
        founders.spawn(async move {
            let (organization, name) = (OrganizationId::new(), format!("founder {number}"));
            let owner = User {
                id: UserId::new(),
                email: name.clone(),
                email_verified: false,
                name: name.clone(),
                password_hash: None,
                created_at: at(0),
            };
            let (plan, billing_email) = (String::new(), None);
            let shop = Organization { id: organization, name: name.clone(), plan, billing_email, created_at: at(0) };
            let web = Tenant { id: TenantId::new(), organization, name, created_at: at(0) };
            store.found(owner, shop, web).await.unwrap()
        });
    }
    let founded = founders.join_all().await.into_iter().filter(|founded| *founded).count();
    assert_eq!(founded, 1);
    let count = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM organizations)";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&mut scratch.connection().await).await.unwrap();
    assert_eq!(count, 2);
}
