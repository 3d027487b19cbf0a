//! What people are shown of the configuration that runs.

use std::time::SystemTime;

use crate::{
    config::{self, Config},
    overview::{ConfigLine, ConfigSummary, PipelineShape},
    settings::ComponentId,
};

/// So many targets of a receiver are shown: a list of thousands says nothing that the page of the
/// fleet does not.
const TARGETS_SHOWN: usize = 20;

/// So many lines are shown.
const LINES_SHOWN: usize = 2000;

/// What people are shown of `config`, which is loaded `now`.
pub(super) fn of(config: &Config, now: SystemTime) -> ConfigSummary {
    let names = |ids: &[ComponentId]| ids.iter().map(ToString::to_string).collect();
    let pipelines = config.service.pipelines.iter();
    let pipelines = pipelines.map(|(id, pipeline)| PipelineShape {
        id: id.to_string(),
        receivers: names(&pipeline.receivers),
        processors: names(&pipeline.processors),
        exporters: names(&pipeline.exporters),
    });
    let lines = config::lines(&without_long_lists(config)).unwrap_or_else(|error| {
        vec![ConfigLine {
            text: format!("# it cannot be shown: {error}"),
            is_default: false,
        }]
    });
    let more = lines.len().saturating_sub(LINES_SHOWN);
    let mut lines: Vec<_> = lines.into_iter().take(LINES_SHOWN).collect();
    if more > 0 {
        lines.push(ConfigLine {
            text: format!("# … and {more} more lines: `betanet-collector print-config` has them"),
            is_default: false,
        });
    }
    ConfigSummary {
        pipelines: pipelines.collect(),
        lines,
        loaded: now,
    }
}

fn without_long_lists(config: &Config) -> Config {
    let mut config = config.clone();
    for receiver in config.receivers.values_mut() {
        if let Some(abridged) = receiver.abridged(TARGETS_SHOWN) {
            *receiver = receiver.with(abridged);
        }
    }
    config
}
