//! Why a body is not a document.

use crate::{definition::TransformError, runtime::heavy::Lost};

use super::{budget::DocumentTooLarge, prometheus::ExpositionError};

/// A body has no more rows: NDJSON lines, CSV records, lines that match.
pub(crate) const ROWS_MAX: usize = 1_000_000;

/// Why a body is not a document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("the body is not JSON")]
    Json(#[source] serde_json::Error),
    #[error("the body is not NDJSON")]
    Ndjson(#[source] LineError),
    #[error("the body is not CSV")]
    Csv(#[source] LineError),
    #[error("the body is not XML")]
    Xml(#[source] PlaceError),
    #[error("none of its {lines} lines matches `lines: {{pattern}}`")]
    Unmatched { lines: usize },
    #[error("the body is not Prometheus text")]
    Exposition(#[source] ExpositionError),
    #[error("the body has more than {ROWS_MAX} rows")]
    Rows,
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

/// What is wrong in a line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {reason}")]
pub(crate) struct LineError {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

/// What is wrong at a place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}, column {column}: {reason}")]
pub(crate) struct PlaceError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: String,
}
