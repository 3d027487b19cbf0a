//! From one configuration to the next: what is done with each receiver, and what only a restart
//! can do. No component is touched here.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{Config, PipelineConfig},
    receivers::Config::HttpJson,
    settings::ComponentId,
};

/// What becomes of a receiver; one that is not mentioned does not notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Only its targets differ.
    Targets,
    /// It ends, and begins anew if it is still used.
    Replace,
}

/// Compares what is used of two configurations. `is_redefined` says whether a definition of a
/// receiver reads otherwise than when it was built.
///
/// # Errors
/// The keys whose changes need a restart.
pub(super) fn plan(
    old: &Config,
    new: &Config,
    is_redefined: impl Fn(&ComponentId) -> bool,
) -> Result<BTreeMap<ComponentId, Change>, Vec<String>> {
    let fixed = fixed(old, new);
    if !fixed.is_empty() {
        return Err(fixed);
    }
    let (before, after) = (ways(old), ways(new));
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changes = ids.into_iter().filter_map(|id| {
        let is_moved = before.get(id) != after.get(id);
        let change = match (old.receivers.get(*id), new.receivers.get(*id)) {
            _ if is_moved || is_redefined(id) => Some(Change::Replace),
            (Some(old), Some(new)) if old == new => None,
            (Some(HttpJson(old)), Some(HttpJson(new))) if old.differs_in_targets_only(new) => {
                Some(Change::Targets)
            }
            _ => Some(Change::Replace),
        };
        Some(((*id).clone(), change?))
    });
    Ok(changes.collect())
}

/// The keys that differ and cannot change while the collector runs.
fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    let (before, after) = (&old.service, &new.service);
    let mut differ = |is_different: bool, key: &str| {
        if is_different {
            keys.push(key.to_owned());
        }
    };
    differ(before.telemetry != after.telemetry, "service::telemetry");
    differ(before.extensions != after.extensions, "service::extensions");
    for id in &after.extensions {
        let is_different = old.extensions.get(id) != new.extensions.get(id);
        differ(is_different, &format!("extensions::{id}"));
    }
    let ids: BTreeSet<_> = before
        .pipelines
        .keys()
        .chain(after.pipelines.keys())
        .collect();
    let (mut processors, mut exporters) = (BTreeSet::new(), BTreeSet::new());
    for id in ids {
        let (old, new) = (before.pipelines.get(id), after.pipelines.get(id));
        let ends = |pipeline: Option<&PipelineConfig>| {
            pipeline.map(|p| (p.processors.clone(), p.exporters.clone()))
        };
        differ(ends(old) != ends(new), &format!("service::pipelines::{id}"));
        if let Some(pipeline) = new {
            processors.extend(&pipeline.processors);
            exporters.extend(&pipeline.exporters);
        }
    }
    for id in processors {
        let is_different = old.processors.get(id) != new.processors.get(id);
        differ(is_different, &format!("processors::{id}"));
    }
    for id in exporters {
        let is_different = old.exporters.get(id) != new.exporters.get(id);
        differ(is_different, &format!("exporters::{id}"));
    }
    keys
}

/// By receiver that is used: the pipelines that take its polls.
fn ways(config: &Config) -> BTreeMap<&ComponentId, Vec<&ComponentId>> {
    let mut ways: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, pipeline) in &config.service.pipelines {
        for receiver in &pipeline.receivers {
            ways.entry(receiver).or_default().push(id);
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{self, Source},
        yaml::Diagnostics,
    };

    const BASE: &str = "
receivers:
  betanet: {targets: [{endpoint: 'http://a:1'}]}
  betanet/b: {targets: [{endpoint: 'http://b:1'}], headers: {token: one}}
  betanet/unused: {targets: [{endpoint: 'http://c:1'}]}
exporters: {debug: {}, debug/unused: {}, otlp_http: {endpoint: 'http://sink:1'}}
extensions: {health_check: {}}
service:
  extensions: [health_check]
  pipelines:
    metrics: {receivers: [betanet, betanet/b], exporters: [debug]}
    metrics/push: {receivers: [betanet/b], exporters: [otlp_http]}
";

    fn config(set: &str) -> Config {
        let mut sources = vec![Source::config(&format!("yaml:{BASE}")).unwrap()];
        sources.extend((!set.is_empty()).then(|| Source::set(set).unwrap()));
        let mut diagnostics = Diagnostics::new();
        let environment: &config::Environment<'_> = &|_| None;
        Config::load(&sources, environment, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"))
    }

    #[test]
    fn each_change_concerns_what_it_is_about() {
        for (set, expected) in [
            ("", Ok("")),
            (
                "receivers.betanet.targets=[{endpoint: 'http://d:1'}]",
                Ok("betanet Targets"),
            ),
            (
                "receivers.betanet.collection_interval=1m",
                Ok("betanet Replace"),
            ),
            (
                "receivers.betanet/b.headers={token: two}",
                Ok("betanet/b Replace"),
            ),
            ("receivers.betanet/unused.collection_interval=1m", Ok("")),
            ("exporters.debug/unused={verbosity: detailed}", Ok("")),
            ("service.shutdown_timeout=5s", Ok("")),
            (
                "service.pipelines.metrics.receivers=[betanet]",
                Ok("betanet/b Replace"),
            ),
            (
                "service.pipelines.metrics.receivers=[betanet, betanet/b, betanet/unused]",
                Ok("betanet/unused Replace"),
            ),
            (
                "exporters.otlp_http.endpoint='http://other:1'",
                Err("exporters::otlp_http"),
            ),
            (
                "extensions.health_check.path=/status",
                Err("extensions::health_check"),
            ),
            (
                "service.telemetry.logs.level=debug",
                Err("service::telemetry"),
            ),
            (
                "service.pipelines.metrics.exporters=[debug/unused]",
                Err("service::pipelines::metrics"),
            ),
        ] {
            let found = match plan(&config(""), &config(set), |_| false) {
                Ok(changes) => {
                    let changes = changes
                        .iter()
                        .map(|(id, change)| format!("{id} {change:?}"));
                    Ok(changes.collect::<Vec<_>>().join(", "))
                }
                Err(keys) => Err(keys.join(", ")),
            };
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{set}");
        }
    }

    #[test]
    fn a_definition_that_reads_otherwise_replaces_its_receivers() {
        let config = config("");
        let changes = plan(&config, &config, |id| id.to_string() == "betanet").unwrap();
        assert_eq!(changes.into_values().collect::<Vec<_>>(), [Change::Replace]);
    }
}
