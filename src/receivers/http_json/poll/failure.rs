//! Why an attempt gave no document.

use std::time::Duration;

use super::{asked::UnaskableError, pages::NextPageError};
use crate::{
    client::auth::AuthError,
    pipeline::{ErrorType, PollFailure},
    receivers::http_json::{format::error::DocumentError, http::transport::TransportError},
    resilience::{executor::AttemptError, outcome::ResultClass},
    runtime::{heavy, seconds},
    telemetry::chain,
};

/// Why an attempt gave no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResponseError {
    #[error("no place among the concurrent requests")]
    Limiter,
    #[error("no answer within {}", seconds(*.0))]
    Timeout(Duration),
    #[error("answered with status {status}{detail}")]
    Status {
        status: u16,
        detail: String,
        retry_after: Option<Duration>,
    },
    #[error("the request cannot be made")]
    Request(#[from] UnaskableError),
    #[error("failed to authenticate")]
    Credentials(#[from] AuthError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("answered with status {status} and no body, where a document is wanted")]
    Empty { status: u16 },
    #[error("{what}")]
    Unreadable {
        what: String,
        #[source]
        source: DocumentError,
    },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("failed to read the body")]
    Undone(#[from] heavy::Undone),
    #[error("page {number}")]
    Page {
        number: usize,
        #[source]
        source: Box<Self>,
    },
    #[error(transparent)]
    NextPage(#[from] NextPageError),
    #[error("not sent: the requests before it got no answer, or the time of the poll is over")]
    Unasked,
}

impl ResponseError {
    pub(super) fn into_attempt_error(self) -> AttemptError {
        let error_type = self.error_type();
        let retry_after = self.retry_after();
        let failure = PollFailure {
            error_type,
            message: chain(&self).into(),
        };
        AttemptError {
            failure,
            class: class(error_type),
            retry_after,
            is_final: false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Page { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// Whether nothing came back.
    pub(super) fn is_silence(&self) -> bool {
        let class = class(self.error_type());
        matches!(
            class,
            ResultClass::Transport | ResultClass::Timeout | ResultClass::Body
        )
    }

    /// Whether a request was sent.
    pub(super) fn was_sent(&self) -> bool {
        class(self.error_type()) != ResultClass::NotSent
    }

    pub(super) fn error_type(&self) -> ErrorType {
        match self {
            Self::Limiter => ErrorType::Limiter,
            Self::Timeout(_) => ErrorType::Timeout,
            Self::Status { status, .. } => ErrorType::Status(*status),
            Self::Request(_) => ErrorType::Request,
            Self::Credentials(_) => ErrorType::Credentials,
            Self::Transport(error) => error.error_type(),
            Self::Empty { .. } => ErrorType::Empty,
            Self::Document(DocumentError::TooLarge(_) | DocumentError::Rows) => ErrorType::TooLarge,
            Self::Document(DocumentError::Transform { .. } | DocumentError::NotRun { .. }) => {
                ErrorType::Transform
            }
            Self::Document(_) | Self::Unreadable { .. } => ErrorType::Decode,
            Self::Undone(_) => ErrorType::Memory,
            Self::Page { source, .. } => source.error_type(),
            Self::NextPage(NextPageError::TooLarge { .. }) => ErrorType::TooLarge,
            Self::NextPage(_) => ErrorType::Pages,
            Self::Unasked => ErrorType::Waiting,
        }
    }
}

/// How the breakers see a failure.
fn class(error_type: ErrorType) -> ResultClass {
    match error_type {
        ErrorType::Dns | ErrorType::Connect | ErrorType::Tls => ResultClass::Transport,
        ErrorType::Timeout => ResultClass::Timeout,
        ErrorType::Body | ErrorType::Protocol | ErrorType::Header | ErrorType::Redirect => {
            ResultClass::Body
        }
        ErrorType::TooLarge => ResultClass::TooLarge,
        ErrorType::Decode | ErrorType::Transform | ErrorType::Empty | ErrorType::Pages => {
            ResultClass::Decode
        }
        ErrorType::Status(status) => ResultClass::Status(status),
        ErrorType::Limiter
        | ErrorType::Request
        | ErrorType::Credentials
        | ErrorType::CircuitOpen
        | ErrorType::Paused
        | ErrorType::Waiting
        | ErrorType::Suspect
        | ErrorType::Parent
        | ErrorType::Memory => ResultClass::NotSent,
    }
}
