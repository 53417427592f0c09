//! What goes wrong, as the client is told: problem documents (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildit::diagnostic::{Diagnostic, Severity};
use buildit::engine::{ApproveError, AskError, RerunError, StartError};
use buildit::pipeline::Origin;
use buildit::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// The answer to a request that was not done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A word that programs go by, as a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:buildit:problem:not-found")]
    kind: String,
    /// The same for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What it is about this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What is wrong with a pipeline's text, all at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Finding>,
}

/// Something that is wrong with a pipeline's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// Its code, which stays the same from version to version.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A place in a pipeline's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The first byte, from 0.
    pub offset: u32,
    /// How many bytes.
    pub length: u32,
}

impl From<&Diagnostic> for Finding {
    fn from(found: &Diagnostic) -> Self {
        let place = |origin: &Origin| Place {
            file: origin.file.to_string(),
            line: origin.line,
            column: origin.column,
            offset: origin.offset,
            length: origin.length,
        };
        Self {
            code: found.code,
            severity: match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            message: found.message.clone(),
            help: found.help.clone(),
            place: found.origin.as_ref().map(place),
        }
    }
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str) -> Self {
        let kind = format!("urn:buildit:problem:{kind}");
        Self { kind, title, status: status.as_u16(), detail: None, diagnostics: Vec::new() }
    }

    /// Says what it is about this time.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Nobody may know whether it is there.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing, or it is not yours to see")
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "This needs a login or an API key")
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this").with_detail(detail)
    }

    /// A page of another site made a browser ask.
    pub(crate) fn foreign() -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign-origin", "Pages of other sites may not ask this")
    }

    pub(crate) fn no_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This cannot be done with it")
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request is not valid").with_detail(detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "It is not in a state that allows this").with_detail(detail)
    }

    /// A key was used for another request before.
    pub(crate) fn key_reused() -> Self {
        let title = "The Idempotency-Key was used for another request";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title)
    }

    /// Something elsewhere that it takes cannot be had.
    pub(crate) fn unreachable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FAILED_DEPENDENCY, "unreachable", "What it takes from elsewhere cannot be had")
            .with_detail(detail)
    }

    pub(crate) fn changed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "changed", "Somebody else has changed it meanwhile")
    }

    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests: try again later")
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large")
    }

    pub(crate) fn no_mail() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "no-mail", "The mail server does not take it: try again later")
    }

    /// Somebody who is to vouch for people does not answer.
    #[cfg(feature = "oidc")]
    pub(crate) fn no_provider(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "no-provider", "The provider does not answer").with_detail(detail)
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed; its log says why")
    }

    /// A pipeline's text is refused.
    pub(crate) fn refused(diagnostics: &[Diagnostic]) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "The pipeline is refused");
        problem.diagnostics = diagnostics.iter().map(Finding::from).collect();
        problem
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// What it says to somebody who reads it: what is wrong here, or else what is in general.
    pub(crate) fn said(&self) -> String {
        self.detail().unwrap_or(self.title()).to_owned()
    }

    pub(crate) fn diagnostics(&self) -> &[Finding] {
        &self.diagnostics
    }
}

/// What a response says, for whoever shows it to people.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) title: &'static str,
    pub(crate) detail: Option<String>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = Told { title: self.title, detail: self.detail.clone() };
        let mut response = (self.status(), Json(self)).into_response();
        response.extensions_mut().insert(told);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoRun(_) | StoreError::NoLog(_) | StoreError::NoSuchNumber { .. } | StoreError::NotFound(_) => {
                Self::not_found()
            }
            StoreError::LogRemoved(_) => {
                Self::new(StatusCode::GONE, "gone", "It was removed").with_detail(error.to_string())
            }
            StoreError::Conflict { .. } => Self::changed(),
            StoreError::NotEnded(_)
            | StoreError::Exists(_)
            | StoreError::Taken(_)
            | StoreError::LastOwner
            | StoreError::LastWayIn
            | StoreError::NotEmpty(_)
            | StoreError::HasTenants(_) => Self::conflict(error.to_string()),
            StoreError::Unfit(_) => Self::invalid(error.to_string()),
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
                Self::internal()
            }
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Diagnostics(found) => Self::refused(&found.0),
            StartError::Store(error) => error.into(),
            error => Self::conflict(told(&error)),
        }
    }
}

impl From<RerunError> for Problem {
    fn from(error: RerunError) -> Self {
        match error {
            RerunError::Diagnostics(found) => Self::refused(&found.0),
            RerunError::Store(error) => error.into(),
            error => Self::conflict(told(&error)),
        }
    }
}

/// An error with what lies behind it, on one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<ApproveError> for Problem {
    fn from(error: ApproveError) -> Self {
        match error {
            ApproveError::NoStage(_) => Self::not_found(),
            error => Self::conflict(error.to_string()),
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(error) => error.into(),
            AskError::Diagnostics(found) => Self::refused(&found.0),
            AskError::Store(error) => error.into(),
            error => Self::conflict(told(&error)),
        }
    }
}
