//! Who asks, and what they may do.
//!
//! ```text
//! request ── API key (Authorization: Bearer) ─┐
//!         ── session (cookie)                 ├─► Actor ── the tenant that it is about ──► Access (tenant, role)
//!         ── loopback, while there is no owner┘
//! ```
//!
//! A handler gets at a tenant's things only through [`Access`], which is made in one place and asks for a role. Who may
//! not see a tenant is told that there is no such thing.

mod actor;
mod credential;
mod founder;
mod grant;
mod limit;
mod password;
mod session;
mod token;

pub(crate) use actor::{Actor, given};
pub(crate) use credential::Credential;
pub(crate) use founder::{SetupToken, is_local, is_loopback_name};
pub(crate) use grant::{Access, role_in};
pub(crate) use limit::{Limits, Whose};
pub(crate) use password::Passwords;
pub(crate) use session::{Sessions, USER};
pub(crate) use token::Token;
