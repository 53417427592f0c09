//! Who asks others over HTTP.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};

/// How long whoever is asked may take: to be there, and for all of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may be, in bytes.
const LONGEST: usize = 1024 * 1024;

/// What asks as the server, with what is said of it here; it follows nobody who leads elsewhere, which may be what only this
/// server reaches. A system without certificates has one all the same, which nobody can prove anything to by https.
///
/// # Errors
///
/// [`reqwest::Error`] when this system cannot ask anybody.
pub(crate) fn client(with: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, reqwest::Error> {
    // Whoever set one before has one that does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let http = Client::builder().redirect(Policy::none()).user_agent("buildit");
        with(http.connect_timeout(CONNECT).timeout(PATIENCE))
    };
    builder().build().or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "nobody is asked by https");
        builder().tls_certs_only([]).build()
    })
}

/// The body of an answer; none when it is longer than anybody has to say.
///
/// # Errors
///
/// [`reqwest::Error`] when it breaks off.
pub(crate) async fn body(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        body.extend_from_slice(&part);
        if body.len() > LONGEST {
            return Ok(None);
        }
    }
    Ok(Some(body))
}
