//! A component and how it is.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::target_row::seconds_between;
use crate::pipeline::ComponentState;

/// A component and how it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentRow {
    /// receiver, processor, exporter, extension, listener or service.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The Collector's word, such as `StatusOK`.
    pub status: String,
    /// Whether that is an error.
    pub is_failing: bool,
    /// Why, if it is one.
    pub error: Option<String>,
    /// How long it has been so.
    pub for_seconds: f64,
}

impl ComponentRow {
    /// What a component said last.
    pub(super) fn of(state: &ComponentState, now: SystemTime) -> Self {
        Self {
            kind: state.kind.name().to_owned(),
            id: state.id.clone(),
            status: state.status.name().to_owned(),
            is_failing: state.status.is_error(),
            error: state.error.clone(),
            for_seconds: seconds_between(state.since, now),
        }
    }
}
