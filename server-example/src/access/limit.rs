//! How often somebody may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use buildit::account::TokenHash;
use buildit::id::{ApiKeyId, UserId};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Token;
use crate::problem::Problem;

/// How much larger a short burst may be than what may be asked each second.
const BURST: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Tries to log in from one address, for each minute.
const LOGINS: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// After how long one more password may be tried at one account, and how many at once: from however many addresses.
const PASSWORD_EACH: Duration = Duration::from_secs(30);
const PASSWORDS: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Key(ApiKeyId),
    User(UserId),
    /// Of whoever is nobody known.
    Address(IpAddr),
}

/// What was asked lately.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    requests: Arc<DefaultKeyedRateLimiter<Whose>>,
    logins: Arc<DefaultKeyedRateLimiter<IpAddr>>,
    /// By the digest of an e-mail address, whose length is bounded so.
    passwords: Arc<DefaultKeyedRateLimiter<TokenHash>>,
}

impl Limits {
    /// So many requests each second.
    pub(crate) fn new(requests: NonZeroU32) -> Self {
        let quota = Quota::per_second(requests).allow_burst(requests.saturating_mul(BURST));
        // No shorter than the quota allows, so it is there.
        let passwords = Quota::with_period(PASSWORD_EACH).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        let passwords = passwords.allow_burst(PASSWORDS);
        Self {
            requests: Arc::new(RateLimiter::keyed(quota)),
            logins: Arc::new(RateLimiter::keyed(Quota::per_minute(LOGINS))),
            passwords: Arc::new(RateLimiter::keyed(passwords)),
        }
    }

    /// Refuses whoever asks too often.
    pub(crate) fn request(&self, whose: Whose) -> Result<(), Problem> {
        let whose = match whose {
            Whose::Address(address) => Whose::Address(network(address)),
            known => known,
        };
        self.requests.check_key(&whose).map_err(|_| Problem::too_many())
    }

    /// Refuses whoever tries too many passwords.
    pub(crate) fn login(&self, from: IpAddr) -> Result<(), Problem> {
        self.logins.check_key(&network(from)).map_err(|_| Problem::too_many())
    }

    /// Refuses who tries too many passwords of the account of this e-mail address, whether or not there is one.
    pub(crate) fn password(&self, email: &str) -> Result<(), Problem> {
        let account = Token::given(email.trim().to_ascii_lowercase()).hash();
        self.passwords.check_key(&account).map_err(|_| Problem::too_many())
    }

    /// Forgets who has not asked for a while.
    pub(crate) fn sweep(&self) {
        self.requests.retain_recent();
        self.logins.retain_recent();
        self.passwords.retain_recent();
    }
}

/// A whole network is one asker where addresses cost nothing.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_share_of_their_own() {
        let limits = Limits::new(NonZeroU32::MIN);
        let asked = |address: &str| {
            (0..100).take_while(|_| limits.request(Whose::Address(address.parse().unwrap())).is_ok()).count()
        };
        assert_eq!(asked("192.0.2.1"), 10);
        assert_eq!(asked("192.0.2.2"), 10);
        assert_eq!(asked("2001:db8::1"), 10);
        assert_eq!(asked("2001:db8::2"), 0, "the same network");
        assert_eq!(asked("2001:db8:0:1::2"), 10);
        assert_eq!(asked("::ffff:192.0.2.1"), 0, "the same address");
    }

    #[test]
    fn an_account_is_tried_slowly_from_everywhere() {
        let limits = Limits::new(NonZeroU32::MAX);
        let tried = |email: &str| (0..100).take_while(|_| limits.password(email).is_ok()).count();
        assert_eq!(tried("ada@example.com"), 20);
        assert_eq!(tried(" Ada@Example.com"), 0, "the same account");
        assert_eq!(tried("bob@example.com"), 20);
    }

    #[test]
    fn passwords_are_tried_slowly() {
        let limits = Limits::new(NonZeroU32::MAX);
        assert_eq!((0..100).take_while(|_| limits.login("192.0.2.1".parse().unwrap()).is_ok()).count(), 10);
    }
}
