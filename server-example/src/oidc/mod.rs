//! Sign-in by OpenID Connect.
//!
//! ```text
//! /login/NAME ─ Provider::begin ─► the provider, with a state, a nonce and the digest of a verifier
//!      │ keeps what it comes back to (Begun) under a cookie of this browser
//!      ▼
//! /login/NAME/callback ─ takes that, once ─► Provider::finish: code and verifier for an ID token, which is checked
//!      │                                                                            │
//!      ▼                                                                            ▼
//! app::sign_in: whose account it is                                         Person: who it is there
//! ```
//!
//! What a provider says of itself is asked for when somebody first signs in with it, so one that is down keeps nothing but its
//! own button from working.

mod ask;
mod begun;
mod error;
mod person;
mod provider;
mod rules;

pub(crate) use begun::{Begun, Kept, Proven, Purpose, no_cookie};
pub(crate) use person::Person;
pub(crate) use provider::{Provider, Providers};
