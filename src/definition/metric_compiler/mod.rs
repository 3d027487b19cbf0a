//! Checks the entries of `metrics` and compiles them.

mod attributes;
mod elements;
mod instrument;
mod number;
mod start;
mod time;
mod value;

use super::{
    Definition, Derivation, Level, MappingRule, Path, is_metric_name,
    metric_file::{InstrumentKind, MetricFile, Observe, ValueFile},
    pattern::Pattern,
    unit::wrong_unit,
};
use crate::{
    telemetry::target_metrics::{PREFIXES, TargetMetric},
    yaml::{Cursor, Diagnostics, nearest},
};

/// The default limit for the elements of a `for_each` that give a series. The SDK allocates memory
/// up to the limit at once.
const MAX_SERIES_DEFAULT: usize = 200;

/// The largest limit that a file may set.
const MAX_SERIES_LIMIT: usize = 100_000;

/// Adds metrics to a definition whose endpoints are known.
pub(super) struct MetricCompiler<'d> {
    pub(super) diagnostics: &'d mut Diagnostics,
    pub(super) definition: Definition,
}

impl MetricCompiler<'_> {
    /// Adds an entry. `cursor` points to its place in the file.
    pub(super) fn add(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) {
        self.check_name(metric, cursor);
        self.check_kind(metric, cursor);
        self.check_numbers(metric, cursor);
        let endpoint = self.endpoint(metric.endpoint.as_deref(), cursor);
        let value = self.value(metric, cursor);
        let levels = self.levels(metric.for_each.as_ref(), cursor);
        let derivation = self.derivation(endpoint);
        let element = derivation.as_ref().map(|of| &*of.name);
        self.check_level_names(levels.as_deref(), element, cursor);
        let attributes = self.attributes(metric, levels.as_deref(), element, cursor);
        let time = match (&metric.time, &levels) {
            (Some(_), Some(levels)) => self.time(metric, levels, element, cursor).map(Some),
            _ => Some(None),
        };
        let max_series = max_series(metric, derivation.as_ref());
        let format = self.number_format(metric, cursor);
        let Some(endpoint) = endpoint else {
            return;
        };
        let Some(instrument) = self.instrument(metric, endpoint, max_series, cursor) else {
            return;
        };
        let (Some(value), Some(levels)) = (value, levels) else {
            return;
        };
        let (Some(format), Some(time)) = (format, time) else {
            return;
        };
        self.definition.rules.push(MappingRule {
            instrument,
            endpoint,
            levels,
            value,
            attributes,
            time,
            format,
            states: metric.states.clone(),
            state_attribute: state_attribute(metric),
            max_series,
            optional: metric.optional,
        });
    }

    /// The requests for elements of an endpoint.
    fn derivation(&self, endpoint: Option<usize>) -> Option<Derivation> {
        self.definition.endpoints.get(endpoint?)?.derivation.clone()
    }

    fn check_level_names(
        &mut self,
        levels: Option<&[Level]>,
        element: Option<&str>,
        cursor: &Cursor<'_>,
    ) {
        let mut names = levels.iter().flat_map(|levels| levels.iter());
        if let Some(element) = element
            && names.any(|level| level.name.as_deref() == Some(element))
        {
            let message = format!(
                "`{element}` is the name of the element that the request is made for already"
            );
            cursor.error(&["for_each"], message, self.diagnostics);
        }
    }

    fn check_name(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) {
        let name = &metric.name;
        if !is_metric_name(name) {
            let message = format!(
                "`{name}` is not a metric name: a letter, then letters, digits and `_.-/`, at most 255"
            );
            cursor.error(&["name"], message, self.diagnostics);
        }
        let plain = |name: &str| name.replace('.', "_").to_ascii_lowercase();
        let own = TargetMetric::ALL.iter();
        let mut own = own.flat_map(|own| PREFIXES.map(|prefix| own.name(prefix)));
        if own.any(|own| plain(&own) == plain(name)) {
            let message = format!("`{name}` is a metric that the collector itself makes");
            cursor.error(&["name"], message, self.diagnostics);
        }
        if let Some(message) = wrong_unit(&metric.unit) {
            cursor.error(&["unit"], message, self.diagnostics);
        }
    }

    fn check_kind(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) {
        let mut only = |wrong: bool, key: &str, message: &str| {
            if wrong {
                cursor.error(&[key], message, self.diagnostics);
            }
        };
        let state_set = metric.instrument == InstrumentKind::StateSet;
        let histogram = metric.instrument == InstrumentKind::Histogram;
        only(
            state_set && metric.states.is_empty(),
            "instrument",
            "a stateset lists its `states`",
        );
        only(
            !state_set && !metric.states.is_empty(),
            "states",
            "only a stateset has states",
        );
        only(
            !state_set && metric.state_attribute.is_some(),
            "state_attribute",
            "only a stateset has a state attribute",
        );
        only(
            state_set && (!metric.values.is_empty() || metric.scale.is_some()),
            "instrument",
            "a stateset compares texts: it has neither `values` nor `scale`",
        );
        only(
            !histogram && !metric.buckets.is_empty(),
            "buckets",
            "only a histogram has buckets",
        );
        only(
            histogram
                && metric.for_each.is_some()
                && metric.observe == Observe::One
                && metric.histogram.is_none(),
            "for_each",
            "a histogram takes one observation a poll; use a gauge for many elements, or \
             `observe: all` for samples of each",
        );
        only(
            !histogram && metric.observe == Observe::All,
            "observe",
            "only a histogram observes",
        );
        only(
            metric.observe == Observe::All && !matches!(metric.value, Some(ValueFile::Path(_))),
            "observe",
            "`observe: all` needs a `value` that is a path",
        );
        only(
            metric.attributes.contains_key(&state_attribute(metric)) && state_set,
            "attributes",
            "the state attribute is set by the stateset itself",
        );
    }

    fn endpoint(&mut self, asked: Option<&str>, cursor: &Cursor<'_>) -> Option<usize> {
        let known: Vec<_> = self
            .definition
            .endpoints
            .iter()
            .map(|endpoint| endpoint.id.as_str())
            .collect();
        let Some(asked) = asked else {
            // That there are none has its own message.
            if known.len() > 1 {
                let message = format!("missing key `endpoint`: one of {}", known.join(", "));
                cursor.error(&[], message, self.diagnostics);
            }
            return (known.len() == 1).then_some(0);
        };
        let found = known.iter().position(|name| *name == asked);
        if found.is_none() {
            let hint = match nearest(asked, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            let message = format!("there is no endpoint `{asked}` ({hint})");
            cursor.error(&["endpoint"], message, self.diagnostics);
        }
        found
    }

    fn path(&mut self, text: &str, cursor: &Cursor<'_>, at: &[&str]) -> Option<Path> {
        match Path::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                cursor.error(at, error.to_string(), self.diagnostics);
                None
            }
        }
    }

    fn pattern(&mut self, text: &str, cursor: &Cursor<'_>, at: &[&str]) -> Option<Pattern> {
        match Pattern::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                cursor.error(at, error.to_string(), self.diagnostics);
                None
            }
        }
    }
}

fn max_series(metric: &MetricFile, derivation: Option<&Derivation>) -> usize {
    let default = match (metric.for_each.is_some(), derivation) {
        (_, Some(requests)) => MAX_SERIES_DEFAULT.max(requests.max),
        (true, None) => MAX_SERIES_DEFAULT,
        (false, None) => 1,
    };
    metric.max_series.unwrap_or(default)
}

fn state_attribute(metric: &MetricFile) -> String {
    metric
        .state_attribute
        .clone()
        .unwrap_or_else(|| "state".to_owned())
}
