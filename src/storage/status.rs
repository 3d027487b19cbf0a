//! The status of the logs of a directory, which together are the status of their extension.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::pipeline::Reporter;

/// Reports the status of one log. The extension works as long as all its logs do.
#[derive(Debug, Clone)]
pub struct LogStatus {
    name: String,
    shared: Arc<DirectoryShared>,
}

/// What the logs of a directory share.
#[derive(Debug)]
pub(super) struct DirectoryShared {
    reporter: Reporter,
    /// The error of each failing log.
    failing: Mutex<BTreeMap<String, String>>,
}

impl DirectoryShared {
    pub(super) fn new(reporter: Reporter) -> Arc<Self> {
        Arc::new(Self {
            reporter,
            failing: Mutex::default(),
        })
    }

    pub(super) fn of_log(self: &Arc<Self>, name: &str) -> LogStatus {
        LogStatus {
            name: name.to_owned(),
            shared: Arc::clone(self),
        }
    }
}

impl LogStatus {
    /// Reports that the log cannot be used. `error` says why, without a secret.
    pub fn fails(&self, error: String) {
        self.change(Some(error));
    }

    /// Reports that the log can be used.
    pub fn works(&self) {
        self.change(None);
    }

    fn change(&self, error: Option<String>) {
        let failing = self.shared.failing.lock();
        let mut failing = failing.unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => failing.insert(self.name.clone(), error),
            None => failing.remove(&self.name),
        };
        match failing.first_key_value() {
            Some((name, error)) => {
                let error = format!("{name}: {error}");
                self.shared.reporter.recoverable_error(error);
            }
            None => self.shared.reporter.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ComponentStatus;

    #[test]
    fn the_extension_works_when_all_its_logs_do() {
        let reporter = Reporter::unheard();
        let shared = DirectoryShared::new(reporter.clone());
        let (first, second) = (shared.of_log("a"), shared.of_log("b"));
        let now = || {
            let state = reporter.state();
            (state.status, state.error.unwrap_or_default())
        };
        let fails = |error: &str| (ComponentStatus::RecoverableError, error.to_owned());
        second.fails("full".to_owned());
        first.works();
        assert_eq!(now(), fails("b: full"));
        first.fails("gone".to_owned());
        second.works();
        assert_eq!(now(), fails("a: gone"));
        first.works();
        assert_eq!(now(), (ComponentStatus::Ok, String::new()));
    }
}
