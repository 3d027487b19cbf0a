//! What people are shown of the configuration that runs.

use std::time::SystemTime;

use crate::{
    config::{self, Config},
    overview::{ConfigLine, ConfigNote, ConfigSummary, PipelineShape},
    resilience::feasibility::Severity,
    settings::ComponentId,
    yaml::Diagnostic,
};

/// So many targets of a receiver are shown: a list of thousands says nothing that the page of the
/// fleet does not.
const TARGETS_SHOWN: usize = 20;

/// So many lines are shown.
const LINES_SHOWN: usize = 2000;

/// So many notes are shown.
const NOTES_SHOWN: usize = 100;

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
        notes: notes(config),
        loaded: now,
    }
}

/// The warnings of `validate`, and what `simulate` says besides.
fn notes(config: &Config) -> Vec<ConfigNote> {
    let warnings = config.notes.iter().map(warning);
    let receivers = config.receivers.iter().flat_map(|(id, receiver)| {
        let findings = receiver.feasibility().into_iter();
        let findings = findings.filter(|finding| finding.severity == Severity::Note);
        findings.map(move |finding| ConfigNote {
            is_warning: false,
            place: None,
            key: format!("receivers::{id}::{}", finding.path.join("::")),
            message: finding.message,
        })
    });
    warnings.chain(receivers).take(NOTES_SHOWN).collect()
}

fn warning(diagnostic: &Diagnostic) -> ConfigNote {
    let help = diagnostic.help.as_ref();
    let help = help.map_or_else(String::new, |help| format!(" ({help})"));
    ConfigNote {
        is_warning: true,
        place: Some(diagnostic.place.to_string()),
        key: diagnostic.path.clone(),
        message: format!("{}{help}", diagnostic.message),
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
