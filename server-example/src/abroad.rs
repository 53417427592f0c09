//! Who asks others over HTTP.

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

/// What asks as the server, with what is said of it here; it follows nobody who leads elsewhere, which may be what only this
/// server reaches. A system without certificates has one all the same, which nobody can prove anything to by https.
///
/// # Errors
///
/// [`reqwest::Error`] when this system cannot ask anybody.
pub(crate) fn client(with: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, reqwest::Error> {
    // Whoever set one before has one that does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || with(Client::builder().redirect(Policy::none()).user_agent("buildit"));
    builder().build().or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "nobody is asked by https");
        builder().tls_certs_only([]).build()
    })
}
