//! Finds changed keys that need a restart.

use crate::config::Config;

/// The changed keys that need a restart.
pub(super) fn keys(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    // A provider cannot change its Resource, and with a new provider all totals would start again.
    if old.service.telemetry.resource != new.service.telemetry.resource {
        keys.push("service::telemetry::resource".to_owned());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{self, ConfigSource},
        yaml::Diagnostics,
    };

    const BASE: &str = "
receivers: {betanet: {targets: [{endpoint: 'http://a:1'}]}}
exporters: {debug: {}, otlp_http: {endpoint: 'http://sink:1'}}
extensions:
  health_check: {}
  file_storage: {directory: /tmp}
service:
  extensions: [health_check, file_storage]
  pipelines: {metrics: {receivers: [betanet], exporters: [debug]}}
";

    fn config(set: &str) -> Config {
        let mut sources = vec![ConfigSource::config(&format!("yaml:{BASE}")).unwrap()];
        sources.extend((!set.is_empty()).then(|| ConfigSource::set(set).unwrap()));
        let mut diagnostics = Diagnostics::new();
        let environment: &config::Environment<'_> = &|_| None;
        Config::load(&sources, environment, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"))
    }

    #[test]
    fn only_the_resource_needs_a_restart() {
        for (set, expected) in [
            ("", ""),
            ("receivers.betanet.collection_interval=1m", ""),
            ("exporters.otlp_http.timeout=1s", ""),
            ("service.pipelines.metrics.exporters=[otlp_http]", ""),
            ("extensions.health_check.path=/status", ""),
            ("service.extensions=[health_check]", ""),
            ("extensions.file_storage.fsync=false", ""),
            ("extensions.file_storage.directory=/", ""),
            ("service.telemetry.logs.level=debug", ""),
            ("service.telemetry.metrics.level=none", ""),
            (
                "service.telemetry.resource.zone=a",
                "service::telemetry::resource",
            ),
        ] {
            let found = keys(&config(""), &config(set));
            assert_eq!(found.join(", "), expected, "{set}");
        }
    }
}
