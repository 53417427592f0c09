//! The collector: where traces are sent.

use jiff::SignedDuration;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use url::Url;

use super::span::text;
use crate::abroad;
use crate::errands::NotSent;
use crate::problem::told;
use crate::settings::Settings;

/// How many spans a request has at most: collectors take some megabytes.
const AT_ONCE: usize = 1000;

/// Where collectors take traces when only their host is named.
const PATH: &str = "/v1/traces";

/// A collector cannot be meant as it is set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// Its address is none.
    #[error("`traces_url` is no address: it begins with http:// or https://")]
    Address,
    /// What it is to be sent with requests is no list of headers.
    #[error("`traces_headers` is no list of headers: NAME=VALUE, with commas in between")]
    Headers,
    /// Nobody can be asked over the network.
    #[error("nobody can be asked over the network")]
    Network(#[source] reqwest::Error),
}

/// Takes traces.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    http: Client,
    url: Url,
    headers: HeaderMap,
}

impl Collector {
    /// The one of the settings, if they have one.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>, CollectorError> {
        let Some(url) = &settings.traces_url else { return Ok(None) };
        let mut url = Url::parse(url).map_err(|_| CollectorError::Address)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(CollectorError::Address);
        }
        if url.path() == "/" {
            url.set_path(PATH);
        }
        let headers = settings.traces_headers.as_ref().map_or("", |headers| headers.expose());
        let headers = parse(headers).ok_or(CollectorError::Headers)?;
        let http = abroad::client(|http| http);
        let http = http.map_err(CollectorError::Network)?;
        Ok(Some(Self { http, url, headers }))
    }

    /// Sends spans; the collector has all of them when this returns.
    pub(super) async fn send(&self, spans: Vec<Span>) -> Result<(), NotSent> {
        let mut spans = spans.into_iter().peekable();
        while spans.peek().is_some() {
            self.post(request(spans.by_ref().take(AT_ONCE).collect())).await?;
        }
        Ok(())
    }

    async fn post(&self, request: ExportTraceServiceRequest) -> Result<(), NotSent> {
        let post = self.http.post(self.url.clone()).headers(self.headers.clone());
        let post = post.header(CONTENT_TYPE, "application/x-protobuf").body(request.encode_to_vec());
        // An address may have a password in it.
        let answer = post.send().await.map_err(|error| NotSent::Later(told(&error.without_url())))?;
        let status = answer.status();
        if !status.is_success() {
            let why = format!("the collector answers {status}");
            let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            return Err(match (status, after) {
                (StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE, _) => NotSent::Never(why),
                (_, Some(seconds)) => NotSent::After(SignedDuration::from_secs(seconds), why),
                (_, None) => NotSent::Later(why),
            });
        }
        let body = abroad::body(answer).await.ok().flatten().unwrap_or_default();
        let partial = ExportTraceServiceResponse::decode(&*body).ok().and_then(|answer| answer.partial_success);
        if let Some(partial) = partial.filter(|partial| partial.rejected_spans > 0) {
            let (count, why) = (partial.rejected_spans, partial.error_message);
            tracing::warn!(count, why, "the collector rejects spans");
        }
        Ok(())
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let scope = InstrumentationScope { name: "buildit".into(), version: version.into(), ..Default::default() };
    let attributes = vec![text("service.name", "buildit"), text("service.version", version)];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

/// Reads `NAME=VALUE,NAME=VALUE`. They are secrets, as far as anybody can tell.
fn parse(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let mut value = HeaderValue::try_from(value.trim()).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name.trim()).ok()?, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, headers: &str) -> Result<Option<Collector>, CollectorError> {
        let (traces_url, traces_headers) = (Some(url.to_owned()), Some(headers.to_owned().into()));
        let settings = Settings { traces_url, traces_headers, ..Settings::default() };
        Collector::of(&settings)
    }

    #[test]
    fn an_address_may_name_a_host_alone() {
        assert!(Collector::of(&Settings::default()).unwrap().is_none());
        let collector = of("http://localhost:4318", "Authorization=Bearer a=b, x-team = ci ,").unwrap().unwrap();
        assert_eq!(collector.url.as_str(), "http://localhost:4318/v1/traces");
        assert_eq!(
            (&collector.headers["authorization"], &collector.headers["x-team"]),
            (&"Bearer a=b".parse().unwrap(), &"ci".parse().unwrap())
        );
        assert!(!format!("{collector:?}").contains("Bearer"));
        let collector = of("https://traces.example.com/otlp/v1/traces", "").unwrap().unwrap();
        assert_eq!(collector.url.path(), "/otlp/v1/traces");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (url, headers) in [("localhost:4318", ""), ("file:///x", ""), ("http://x", "secret"), ("http://x", "a b=c")]
        {
            let told = of(url, headers).unwrap_err().to_string();
            assert!(told.contains("traces_") && !told.contains("secret"), "{told}");
        }
    }
}
