//! The BuildIt server as a library: [`router`] gives an [`axum::Router`] that another program can nest, and [`Server`] is
//! the whole of it with its stores and its engine.
//!
//! ```text
//! request ─► access (who, and what they may) ─► app (what is done) ─► engine, stores
//!               │                                  ▲        │
//!               ├─ api   JSON, described ──────────┤        ▼
//!               └─ web   pages, forms ─────────────┘   view (what is shown) ─► templates, JSON
//!                                        live: events and logs as they happen
//! ```
//!
//! A handler reads what was asked, gets leave through `access`, calls one function of `app`, and says what came of it.
//! Runs go through the store's queue; the engine of this server, and those of others on the same store, take them from
//! there. Nothing about a run is kept here, so a server that is killed loses nothing.
//!
//! | feature | |
//! |---|---|
//! | `docker` | jobs run in Docker too |
//! | `oidc` | people sign in by OpenID Connect too |
//! | `postgres` | runs are kept in PostgreSQL, which several servers share |
#![forbid(unsafe_code)]

mod abroad;
mod access;
mod api;
mod app;
mod backup;
mod environments;
mod errands;
mod forge;
mod health;
mod list;
mod live;
mod log;
mod mail;
mod meters;
mod mirrors;
mod notify;
#[cfg(feature = "oidc")]
mod oidc;
mod open;
mod problem;
mod providers;
mod reports;
mod router;
#[cfg(test)]
mod samples;
mod secrets;
mod settings;
mod state;
mod statuses;
mod traces;
mod view;
mod watched;
mod web;

pub use app::upkeep::{Tidied, TidyError};
pub use backup::{BackupError, KeyFile, KeyRestored, Restored, Written};
pub use config::ConfigError;
pub use log::subscriber;
pub use mail::MailError;
pub use meters::Meters;
pub use open::{OpenError, Server, store_of_engine};
pub use problem::{Finding, Place, Problem};
pub use providers::{Admission, ProviderError, ProviderSettings};
pub use router::router;
pub use secrets::SecretKeyError;
pub use settings::{Hidden, LogFormat, Settings};
pub use state::{ServerState, ServerStore, StateError};
pub use traces::CollectorError;
