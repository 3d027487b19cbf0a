//! Why a body is not a document.

use crate::{definition::TransformError, runtime::heavy::Lost};

use super::{budget::DocumentTooLarge, prometheus::ExpositionError};

/// Why a body is not a document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the body is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the body is not Prometheus text")]
    Exposition(#[source] ExpositionError),
    #[error(transparent)]
    TooLarge(#[from] DocumentTooLarge),
    #[error("the `transform` of the endpoint `{endpoint}` gives no document")]
    Transform {
        endpoint: String,
        #[source]
        source: TransformError,
    },
    #[error("the `transform` of the endpoint `{endpoint}` cannot be run")]
    NotRun {
        endpoint: String,
        #[source]
        source: Lost,
    },
}
