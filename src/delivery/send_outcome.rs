//! What an attempt to send came to.

use std::time::Duration;

use bytes::Buf;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;

use super::BoxError;
use crate::client::Secrets;

/// What an attempt to send came to.
#[derive(Debug)]
pub enum SendOutcome {
    /// The destination accepted the batch.
    Sent(ExportAnswer),
    /// It may accept it later.
    Retry {
        /// Why not now.
        error: BoxError,
        /// How long it asks us to wait.
        after: Option<Duration>,
    },
    /// It never will, because of the size of the batch: it may accept less at once.
    TooLarge {
        /// What it says of the size.
        error: BoxError,
    },
    /// It never will.
    Permanent {
        /// Why not.
        error: BoxError,
    },
}

/// What a destination says about a batch that it accepted, entirely or in part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportAnswer {
    /// Data points that it did not take.
    pub rejected: u64,
    /// Why, or a warning, or nothing.
    pub message: String,
}

impl SendOutcome {
    /// A failure that may pass.
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

    /// A failure that stays.
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
    /// The same, in words that may be shown.
    pub(super) fn quoted(self, secrets: &Secrets) -> Self {
        Self {
            message: secrets.quote(self.message.as_bytes()),
            ..self
        }
    }

    /// Reads an answer. What is not one is taken as full success: the status said so already.
    pub(super) fn decode(body: impl Buf) -> Self {
        ExportMetricsServiceResponse::decode(body).map_or_else(|_| Self::default(), Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_answer_rejects() {
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
