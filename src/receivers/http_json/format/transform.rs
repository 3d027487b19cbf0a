//! The `transform` of an endpoint. It runs on a thread of its own, so that the network does not wait
//! for it.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::error::DocumentError;
use crate::{
    definition::{
        Endpoint, Transform, TransformError,
        transform::{Runaway, Transformed},
    },
    runtime::heavy::{self, DEEP_BYTES, Lost},
};

/// The time limit of a program. Its steps and its memory have limits as well, so this one is for a
/// single step that takes long.
const TIME_MAX: Duration = Duration::from_secs(5);

/// The program of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct EndpointTransform {
    endpoint: String,
    program: Arc<Transform>,
}

impl EndpointTransform {
    pub(crate) fn of(endpoint: &Endpoint) -> Option<Self> {
        let program = Arc::clone(endpoint.transform.as_ref()?);
        let endpoint = endpoint.id.to_string();
        Some(Self { endpoint, program })
    }

    /// Does `work`, which runs the program, on another thread.
    pub(crate) async fn on_another_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DocumentError> {
        if self.program.is_running_away() {
            return Err(self.noted(Runaway::StillRuns.into()));
        }
        let (running, awaited) = self.program.begin();
        let work = move || {
            let _running = running;
            work()
        };
        match heavy::deep("transform", TIME_MAX, work).await {
            Ok(done) => Ok(done),
            Err(Lost::TooLong(limit)) => {
                awaited.abandon();
                let seconds = limit.as_secs();
                Err(self.noted(Runaway::Time { seconds }.into()))
            }
            Err(lost) => Err(self.not_run(lost)),
        }
    }

    /// Runs the program. It waits here, whatever the thread. The result takes at most `limit_bytes`.
    pub(crate) fn here(&self, document: &Value, limit_bytes: u64) -> Result<Value, DocumentError> {
        let run = heavy::deep_here(|| self.program.run(document, DEEP_BYTES, limit_bytes));
        match run {
            Ok(Ok(Transformed { value, .. })) => {
                self.program.notes_failure(false);
                Ok(value)
            }
            Ok(Err(error)) => Err(self.noted(error)),
            Err(lost) => Err(self.not_run(lost)),
        }
    }

    fn not_run(&self, source: Lost) -> DocumentError {
        let endpoint = self.endpoint.clone();
        DocumentError::NotRun { endpoint, source }
    }

    /// Logs a failure of the program, unless its last run failed as well.
    fn noted(&self, source: TransformError) -> DocumentError {
        let endpoint = self.endpoint.clone();
        if self.program.notes_failure(true) {
            tracing::warn!(
                endpoint,
                error = %source,
                "a transform gives no document; this is logged once until it gives one"
            );
        }
        DocumentError::Transform { endpoint, source }
    }
}
