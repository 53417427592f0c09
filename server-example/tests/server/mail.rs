//! Letters, as they arrive at a mail server.

use crate::site::post::{PostOffice, Posted};
use crate::site::{Site, Who};
use axum::http::StatusCode;
use buildit_server::Settings;

/// A server that sends its mail there.
async fn site(folder: &tempfile::TempDir, office: &PostOffice) -> Site {
    let mut settings = Settings::default();
    settings.data = folder.path().to_owned();
    settings.docker = false;
    settings.smtp_url = Some(format!("smtp://ci:secret@{}", office.address).into());
    settings.mail_from = Some("BuildIt <ci@example.com>".into());
    Site::open_with(settings).await
}

/// The head of a letter.
fn head<'a>(posted: &'a Posted, name: &str) -> &'a str {
    let start = format!("{name}: ");
    posted.text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(&start)).unwrap_or("")
}

#[tokio::test]
async fn who_forgot_the_password_gets_a_letter() {
    let (folder, office) = (tempfile::tempdir().unwrap(), PostOffice::open().await);
    let site = site(&folder, &office).await;
    site.owner().await;
    let nobody = site.form(&Who::away(), "/forgot", &[("email", "nobody@example.com")]).await.ok();
    let somebody = site.form(&Who::away(), "/forgot", &[("email", "ADA@example.com")]).await.ok();
    assert_eq!(nobody.text, somebody.text, "nobody learns who is here");
    assert!(!somebody.text.contains("in its log"), "{}", somebody.text);
    let letter = office.wait(1).await.remove(0);
    assert!(letter.commands.contains(&"RCPT TO:<ada@example.com>".to_owned()), "{letter:?}");
    assert!(letter.commands.iter().any(|line| line.starts_with("MAIL FROM:<ci@example.com>")), "{letter:?}");
    // `\0ci\0secret` as AUTH PLAIN has it.
    assert!(letter.commands.contains(&"AUTH PLAIN AGNpAHNlY3JldA==".to_owned()), "{letter:?}");
    assert_eq!(head(&letter, "From"), "BuildIt <ci@example.com>");
    assert_eq!(head(&letter, "To"), "ada@example.com");
    assert_eq!(head(&letter, "Subject"), "BuildIt: Another password");
    assert_eq!(head(&letter, "Auto-Submitted"), "auto-generated");
    assert!(!head(&letter, "Message-ID").is_empty() && !head(&letter, "Date").is_empty(), "{}", letter.text);
    let done = site.form(&Who::away(), &letter.link(), &[("password", "another horse")]).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/login"), "{}", done.text);
    assert_eq!(office.posted().len(), 1, "nobody is written to in vain");
}

#[tokio::test]
async fn an_invitation_comes_by_mail_and_lets_in() {
    let (folder, office) = (tempfile::tempdir().unwrap(), PostOffice::open().await);
    let site = site(&folder, &office).await;
    let owner = site.owner().await;
    let invited = [("email", "bob@example.com"), ("role", "member")];
    let page = site.form(&owner, "/acme/main/settings/team", &invited).await.ok().text;
    assert!(page.contains("on its way to bob@example.com"), "{page}");
    assert!(!page.contains("/invitations/join_"), "whoever invites need not have the link: {page}");
    let letter = office.wait(1).await.remove(0);
    assert!(letter.body().contains("ada@example.com invites you to join acme as member"), "{}", letter.text);
    let accepted = [("email", ""), ("name", "Bob"), ("password", "correct horse")];
    let bob = Who::browser(&site.form(&Who::away(), &letter.link(), &accepted).await);
    site.get(&bob, "/acme/main").await.ok();
}

#[tokio::test]
async fn an_address_is_shown_to_be_ones_own_by_mail() {
    let (folder, office) = (tempfile::tempdir().unwrap(), PostOffice::open().await);
    let site = site(&folder, &office).await;
    let owner = site.owner().await;
    let sent = site.form(&owner, "/account/verify", &[]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let letter = office.wait(1).await.remove(0);
    // The address becomes another one before the link is followed.
    let other = [("name", "Ada"), ("email", "eve@example.com"), ("old", "correct horse")];
    assert_eq!(site.form(&owner, "/account", &other).await.status, StatusCode::SEE_OTHER);
    let late = site.form(&Who::away(), &letter.link(), &[]).await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY, "a link says nothing of another address");
    assert!(site.get(&owner, "/account").await.text.contains("Not yet known"));
    site.form(&owner, "/account/verify", &[]).await;
    let letter = office.wait(2).await.remove(1);
    assert_eq!(head(&letter, "To"), "eve@example.com");
    site.form(&Who::away(), &letter.link(), &[]).await.ok();
    assert!(site.get(&owner, "/account").await.text.contains("Known to be yours"));
}

#[tokio::test]
async fn a_mail_server_that_takes_nothing_is_told_of() {
    let office = PostOffice::answering("550 not here").await;
    let folder = tempfile::tempdir().unwrap();
    let site = site(&folder, &office).await;
    let owner = site.owner().await;
    let refused = site.form(&owner, "/account/verify", &[]).await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    assert!(refused.text.contains("The mail server does not take it"), "{}", refused.text);
    let invited = [("email", "bob@example.com"), ("role", "member")];
    let page = site.form(&owner, "/acme/main/settings/team", &invited).await.ok().text;
    assert!(page.contains("No mail was sent") && page.contains("/invitations/join_"), "{page}");
    assert_eq!(office.posted().len(), 0);
}
