//! What can change only while the collector does not run.

use crate::{config::Config, extensions};

/// The keys that differ and need a restart.
pub(super) fn keys(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    // Logs, metrics and traces of our own are set up once, before all else.
    if old.service.telemetry != new.service.telemetry {
        keys.push("service::telemetry".to_owned());
    }
    for id in &new.service.extensions {
        // Its directory is locked, and queues are in it.
        let is_kept = old.service.extensions.contains(id);
        let (before, after) = (old.extensions.get(id), new.extensions.get(id));
        let is_storage = matches!(after, Some(extensions::Config::FileStorage(_)));
        if is_kept && is_storage && before != after {
            keys.push(format!("extensions::{id}"));
        }
    }
    keys
}
