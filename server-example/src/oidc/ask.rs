//! How a provider is asked.

use std::pin::Pin;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Request};

use crate::abroad;

/// Asks providers. Each was named by whoever runs the server, so it may be anywhere.
#[derive(Clone, Debug)]
pub(super) struct Asker(Client);

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("it cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the answer is too long")]
    TooLong,
    #[error("the answer is none")]
    Odd(#[from] axum::http::Error),
}

impl Asker {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        Ok(Self(abroad::client(|http| http)?))
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        let mut answer = self.0.execute(Request::try_from(request)?).await?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let body = abroad::body(answer).await?.ok_or(AskError::TooLong)?;
        let mut response = axum::http::Response::builder().status(status).body(body)?;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Asker {
    type Error = AskError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, AskError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}
