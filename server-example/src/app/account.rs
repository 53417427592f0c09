//! One's own account: its name, its address, its password.

use buildit::account::{TokenPurpose, User};
use buildit::id::UserId;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::audit;
use super::letter::{self, Letter};
use crate::access::{Actor, Token};
use crate::problem::Problem;
use crate::state::ServerState;

/// How long a link to set another password is good.
const RESET: SignedDuration = SignedDuration::from_hours(1);

/// How long a link that shows that mail arrives is good.
const VERIFY: SignedDuration = SignedDuration::from_hours(48);

/// Sends a link to set another password to this address, if somebody has it. What is said and how long it takes is the
/// same when nobody has.
pub(crate) fn forgot(state: &ServerState, email: &str) {
    let (state, email) = (state.clone(), email.to_owned());
    tokio::spawn(async move {
        let sent = async {
            let Some(user) = state.identity().user_by_email(&email).await? else { return Ok(()) };
            let link = link(&state, user.id, TokenPurpose::ResetPassword, "reset", RESET).await?;
            let text = "Somebody, you perhaps, has asked for another password. This link sets one; it works once, for an \
                hour. If it was not you, leave it: nothing has changed.";
            letter::send(&state, Letter { to: &user.email, subject: "Another password", text, link: &link }).await
        };
        if let Err(error) = sent.await {
            tracing::error!(title = error.title(), detail = error.detail(), "a link for a password cannot be sent");
        }
    });
}

/// Sends a link that shows that mail to the user's address arrives.
pub(crate) async fn send_verification(state: &ServerState, user: &User) -> Result<(), Problem> {
    let link = link(state, user.id, TokenPurpose::VerifyEmail, "verify", VERIFY).await?;
    let text = "This link shows that mail to this address arrives; it works once, for two days.";
    letter::send(state, Letter { to: &user.email, subject: "Your address", text, link: &link }).await
}

/// A link to a page below this path, with a new token of this purpose; the earlier ones are void.
async fn link(
    state: &ServerState,
    user: UserId,
    purpose: TokenPurpose,
    path: &str,
    lifetime: SignedDuration,
) -> Result<String, Problem> {
    let token = Token::new(path).map_err(|_| Problem::internal())?;
    state.credentials().delete_tokens_of(user, purpose).await?;
    state.credentials().create_token(token.hash(), purpose, user, Timestamp::now() + lifetime).await?;
    Ok(format!("{}/{path}/{}", state.settings().url(), token.expose()))
}

/// Sets the password of whoever was sent this token, which is used up then. All their logins end.
pub(crate) async fn reset(state: &ServerState, token: &str, password: SecretString) -> Result<(), Problem> {
    // A password that is refused costs no token.
    let digest = state.passwords().digest(password).await?;
    let hash = Token::given(token).hash();
    let taken = state.credentials().take_token(&hash, TokenPurpose::ResetPassword, Timestamp::now()).await?;
    let user = taken.ok_or_else(void)?;
    // Whatever else of the account is changed meanwhile stays.
    loop {
        let known = state.identity().user(user).await?.ok_or_else(void)?;
        if set_password(state, &known, digest.clone(), "password.reset").await? {
            return Ok(());
        }
    }
}

fn void() -> Problem {
    Problem::invalid("this link was used, or is too old: ask for another one")
}

/// Sets another password for who knows the one of today. All their logins end, this one too: the caller lets them in anew.
pub(crate) async fn change_password(
    state: &ServerState,
    user: User,
    old: SecretString,
    new: SecretString,
) -> Result<(), Problem> {
    prove(state, &user, old).await?;
    let digest = state.passwords().digest(new).await?;
    match set_password(state, &user, digest, "password.change").await? {
        true => Ok(()),
        false => Err(Problem::changed()),
    }
}

/// Refuses who does not know the user's password.
pub(super) async fn prove(state: &ServerState, user: &User, password: SecretString) -> Result<(), Problem> {
    state.limits().password(&user.email)?;
    if user.password_hash.is_none() {
        return Err(Problem::invalid("this account has no password yet: have a link sent that sets one"));
    }
    match state.passwords().is_of(password, user.password_hash.clone()).await? {
        true => Ok(()),
        false => Err(Problem::invalid("the password of today is wrong")),
    }
}

/// Sets the password of a user who is as known; whether they are.
async fn set_password(state: &ServerState, known: &User, digest: String, action: &str) -> Result<bool, Problem> {
    let changed = User { password_hash: Some(digest), ..known.clone() };
    if !state.identity().change_user(known, changed).await? {
        return Ok(false);
    }
    state.credentials().delete_tokens_of(known.id, TokenPurpose::ResetPassword).await?;
    state.credentials().delete_sessions_of(known.id).await?;
    state.ended().notify_waiters();
    note(state, known, action, &known.email).await?;
    Ok(true)
}

/// Changes the name, and for who knows the password the address, which is not known to be theirs then: whoever has the
/// address can have another password. Links that were sent to the old one are void.
pub(crate) async fn change(
    state: &ServerState,
    user: User,
    name: &str,
    email: String,
    password: SecretString,
) -> Result<(), Problem> {
    let is_other = email != user.email;
    if is_other {
        prove(state, &user, password).await?;
    }
    let (name, email_verified) = (name.trim().to_owned(), user.email_verified && !is_other);
    let changed = User { name, email_verified, email, ..user.clone() };
    // Before too: a link that was followed by then shows nothing of the new address.
    void_links(state, &user, is_other).await?;
    if !state.identity().change_user(&user, changed.clone()).await? {
        return Err(Problem::changed());
    }
    void_links(state, &user, is_other).await?;
    note(state, &changed, "account.change", &changed.email).await
}

/// Voids the links that were sent to the address of a user who has another one now.
async fn void_links(state: &ServerState, user: &User, has_other: bool) -> Result<(), Problem> {
    if has_other {
        for purpose in [TokenPurpose::ResetPassword, TokenPurpose::VerifyEmail] {
            state.credentials().delete_tokens_of(user.id, purpose).await?;
        }
    }
    Ok(())
}

/// Notes that mail to whoever was sent this token arrives.
pub(crate) async fn verify(state: &ServerState, token: &str) -> Result<(), Problem> {
    let hash = Token::given(token).hash();
    let taken = state.credentials().take_token(&hash, TokenPurpose::VerifyEmail, Timestamp::now()).await?;
    let user = taken.ok_or_else(void)?;
    let known = state.identity().user(user).await?.ok_or_else(void)?;
    // Whoever changes the account meanwhile may change the address, of which the link says nothing then.
    if !state.identity().change_user(&known, User { email_verified: true, ..known.clone() }).await? {
        return Err(void());
    }
    note(state, &known, "email.verify", &known.email).await
}

/// Every organization of a user sees what they did to their account, or with it.
pub(super) async fn note(state: &ServerState, user: &User, action: &str, subject: &str) -> Result<(), Problem> {
    for (organization, _) in state.identity().organizations_of(user.id).await? {
        audit::of_organization(state, &Actor::User(user.clone()), organization.id, action, subject).await;
    }
    Ok(())
}
