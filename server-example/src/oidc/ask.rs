//! How a provider is asked.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Request};

use crate::abroad;

/// How long a provider may take: to be there, and for all of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// How large an answer may be: keys and claims are some kilobytes.
const LONGEST: usize = 1024 * 1024;

/// Asks providers. Each was named by whoever runs the server, so it may be anywhere.
#[derive(Clone, Debug)]
pub(super) struct Asker(Client);

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("it cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the answer has more than {LONGEST} bytes")]
    TooLong,
    #[error("the answer is none")]
    Odd(#[from] axum::http::Error),
}

impl Asker {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        Ok(Self(abroad::client(|http| http.connect_timeout(CONNECT).timeout(PATIENCE))?))
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        let mut answer = self.0.execute(Request::try_from(request)?).await?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST {
                return Err(AskError::TooLong);
            }
        }
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
