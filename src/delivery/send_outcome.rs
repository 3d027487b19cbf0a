//! The result of an attempt to send.

use std::time::Duration;

use bytes::Buf;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;

use super::BoxError;
use crate::client::Secrets;

/// The result of an attempt to send.
#[derive(Debug)]
pub enum SendOutcome {
    /// The destination accepted the batch.
    Sent(ExportAnswer),
    /// The destination may accept the batch later.
    Retry {
        /// Why it failed this time.
        error: BoxError,
        /// The wait that the destination asks for.
        after: Option<Duration>,
    },
    /// The batch is too large. The destination may accept a smaller one.
    TooLarge {
        /// The message about the size.
        error: BoxError,
    },
    /// The destination will never accept the batch.
    Permanent {
        /// Why it is refused.
        error: BoxError,
    },
}

/// The answer of a destination that accepted a batch, completely or in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportAnswer {
    /// Data points that it refused.
    pub rejected: u64,
    /// The reason, or a warning; may be empty.
    pub message: String,
}

impl SendOutcome {
    /// A failure that may be temporary.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::Retry {
            error: error.into(),
            after: None,
        }
    }

    /// A refusal because of the size.
    pub fn too_large(error: impl Into<BoxError>) -> Self {
        Self::TooLarge {
            error: error.into(),
        }
    }

    /// A permanent failure.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self::Permanent {
            error: error.into(),
        }
    }
}

impl From<ExportMetricsServiceResponse> for ExportAnswer {
    fn from(response: ExportMetricsServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        Self {
            rejected: u64::try_from(partial.rejected_data_points).unwrap_or_default(),
            message: partial.error_message,
        }
    }
}

impl ExportAnswer {
    /// The same outcome with a message that is safe to show.
    pub(super) fn quoted(self, secrets: &Secrets) -> Self {
        Self {
            message: secrets.quote(self.message.as_bytes()),
            ..self
        }
    }

    /// Decodes an answer. An invalid answer counts as full success, because the status says so.
    pub(super) fn decode(body: impl Buf) -> Self {
        ExportMetricsServiceResponse::decode(body).map_or_else(|_| Self::default(), Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_answer_rejects_points() {
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
        let answer = |rejected| {
            let response = ExportMetricsServiceResponse {
                partial_success: Some(ExportMetricsPartialSuccess {
                    rejected_data_points: rejected,
                    error_message: "too old".to_owned(),
                }),
            };
            ExportAnswer::decode(&response.encode_to_vec()[..])
        };
        assert_eq!(answer(3).rejected, 3);
        assert_eq!(answer(3).message, "too old");
        assert_eq!(answer(-1).rejected, 0);
        assert_eq!(
            ExportAnswer::decode(&b"{\"partialSuccess\":{}}"[..]),
            ExportAnswer::default()
        );
    }
}
