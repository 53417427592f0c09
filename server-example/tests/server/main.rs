//! The server as those see it who ask it, in one program: each of its own would be linked with the whole server again.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod site;

mod access;
mod account;
mod api;
mod axe;
mod backup;
mod browser;
mod crawl;
mod deliveries;
mod described;
mod environments;
mod fetched;
mod forges;
mod killed;
mod live;
mod mail;
mod notify;
mod observe;
mod oidc;
mod organization;
mod pages;
mod queue;
mod registries;
mod reports;
mod repositories;
mod retention;
mod rolling;
mod traces;
mod triggers;
