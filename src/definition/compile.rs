//! Checks a file and compiles it.

use std::sync::Arc;

use super::{
    AttributeSource, Definition, Endpoint, Instrument, MappingRule, Path,
    file::{EndpointFile, File, InstrumentKind, MetricFile, PathFile, ValueType},
    is_metric_name,
    request::{shown, shown_paths},
    unit::wrong_unit,
};
use crate::{
    telemetry::names,
    yaml::{Cursor, Diagnostics, nearest},
};

/// The most elements of a `for_each` that give a series, if the file says nothing. The SDK
/// allocates to the limit at once.
const MAX_SERIES_DEFAULT: usize = 200;

/// The most that a file may ask for.
const MAX_SERIES_LIMIT: usize = 100_000;

/// Compiles `file`, of which `metrics` can be read. Mistakes go to `diagnostics`; with any, the result is of no use.
pub(super) fn compile(
    name: &str,
    file: &File,
    metrics: &[(Cursor<'_>, MetricFile)],
    root: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Definition {
    let is_whole = diagnostics.is_empty();
    if is_whole && file.metrics.is_empty() {
        let message = "a definition has at least one metric";
        root.error(&["metrics"], message, diagnostics);
    }
    if is_whole && file.endpoints.is_empty() {
        let message = "a definition has at least one endpoint";
        root.error(&["endpoints"], message, diagnostics);
    }
    let endpoints = endpoints(name, file, root, diagnostics);
    let mut compiler = Compiler {
        diagnostics,
        definition: Definition {
            name: name.to_owned(),
            resource: file.resource.clone(),
            endpoints,
            instruments: Vec::new(),
            rules: Vec::new(),
            digest: 0,
        },
    };
    for (cursor, metric) in metrics {
        compiler.metric(metric, cursor);
    }
    let mut definition = compiler.definition;
    for endpoint in 0..definition.endpoints.len() {
        let keys = definition.root_keys(endpoint).map(Arc::new);
        if let Some(endpoint) = definition.endpoints.get_mut(endpoint) {
            endpoint.families = keys;
        }
    }
    definition
}

fn endpoints(
    name: &str,
    file: &File,
    root: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Endpoint> {
    for (endpoint, EndpointFile { path, .. }) in &file.endpoints {
        // One that cannot be read has none.
        let is_read = !path.is_empty() || diagnostics.is_empty();
        if is_read && !path.starts_with('/') {
            let found = shown(root, endpoint, path);
            let message = format!("expected a path that begins with `/`, found `{found}`");
            root.error(&["endpoints", endpoint, "path"], message, diagnostics);
        }
    }
    // In the order of the file: who writes a definition says what is asked first.
    let section = root.at(&["endpoints"]);
    let entries = section.iter().flat_map(|section| section.node.entries());
    let named = entries.filter_map(|entry| file.endpoints.get_key_value(&entry.key));
    let paths = named
        .clone()
        .map(|(name, of)| (name.as_str(), of.path.as_str()));
    let paths = shown_paths(root, paths);
    let compiled = named.zip(paths).map(|((endpoint, from), path)| Endpoint {
        name: endpoint.clone(),
        path,
        request: from.path.as_str().into(),
        format: from.format,
        scope: format!("{name}/{endpoint}").into(),
        families: None,
    });
    compiled.collect()
}

struct Compiler<'d> {
    diagnostics: &'d mut Diagnostics,
    definition: Definition,
}

impl Compiler<'_> {
    fn metric(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) {
        self.check_name(metric, cursor);
        self.check_kind(metric, cursor);
        self.check_numbers(metric, cursor);
        let endpoint = self.endpoint(metric, cursor);
        let value = self.path(&metric.value, cursor, &["value"]);
        let for_each = match &metric.for_each {
            Some(PathFile { path, .. }) => self.path(path, cursor, &["for_each"]).map(Some),
            None => Some(None),
        };
        let attributes = self.attributes(metric, cursor);
        let max_series = max_series(metric);
        let Some(endpoint) = endpoint else {
            return;
        };
        let Some(instrument) = self.instrument(metric, endpoint, cursor) else {
            return;
        };
        let (Some(value), Some(for_each)) = (value, for_each) else {
            return;
        };
        self.definition.rules.push(MappingRule {
            instrument,
            endpoint,
            for_each,
            for_each_is_optional: metric.for_each.as_ref().is_some_and(|it| it.optional),
            value,
            attributes,
            parse: metric.parse,
            values: metric.values.clone(),
            scale: metric.scale,
            states: metric.states.clone(),
            state_attribute: state_attribute(metric),
            max_series,
            optional: metric.optional,
        });
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
        if names::TARGET
            .iter()
            .any(|own| plain(own.name) == plain(name))
        {
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
            histogram && metric.for_each.is_some(),
            "for_each",
            "a histogram takes one observation a poll; use a gauge for many elements",
        );
        only(
            metric.attributes.contains_key(&state_attribute(metric)) && state_set,
            "attributes",
            "the state attribute is set by the stateset itself",
        );
    }

    fn check_numbers(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) {
        let ascending = metric
            .buckets
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a < b));
        if !ascending || metric.buckets.iter().any(|bound| !bound.is_finite()) {
            cursor.error(
                &["buckets"],
                "expected finite bounds in ascending order",
                self.diagnostics,
            );
        }
        if metric
            .scale
            .is_some_and(|scale| scale == 0.0 || !scale.is_finite())
        {
            cursor.error(
                &["scale"],
                "expected a number other than 0",
                self.diagnostics,
            );
        }
        if metric.values.values().any(|value| !value.is_finite()) {
            cursor.error(&["values"], "expected finite numbers", self.diagnostics);
        }
        if metric
            .max_series
            .is_some_and(|max| !(1..=MAX_SERIES_LIMIT).contains(&max))
        {
            let message = format!("expected a number from 1 to {MAX_SERIES_LIMIT}");
            cursor.error(&["max_series"], message, self.diagnostics);
        }
    }

    fn endpoint(&mut self, metric: &MetricFile, cursor: &Cursor<'_>) -> Option<usize> {
        let known: Vec<_> = self
            .definition
            .endpoints
            .iter()
            .map(|endpoint| endpoint.name.as_str())
            .collect();
        let Some(asked) = metric.endpoint.as_deref() else {
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

    fn attributes(
        &mut self,
        metric: &MetricFile,
        cursor: &Cursor<'_>,
    ) -> Vec<(String, AttributeSource)> {
        let mut attributes = Vec::new();
        for (key, PathFile { path, optional }) in &metric.attributes {
            let at = ["attributes", key.as_str()];
            let optional = *optional;
            let source = match path.as_str() {
                "@key" if metric.for_each.is_none() => {
                    cursor.error(&at, "`@key` needs a `for_each`", self.diagnostics);
                    continue;
                }
                "@key" => Some(AttributeSource::Key),
                text if text.starts_with('$') => {
                    let path = self.path(text, cursor, &at);
                    path.map(|path| AttributeSource::Path { path, optional })
                }
                literal if optional => {
                    let message = format!(
                        "only a path can be optional: it begins with `$`, and `{literal}` does not"
                    );
                    cursor.error(&at, message, self.diagnostics);
                    continue;
                }
                literal => Some(AttributeSource::Literal(literal.to_owned())),
            };
            attributes.extend(source.map(|source| (key.clone(), source)));
        }
        attributes
    }

    /// The instrument of that name, made if it is new. Entries of one name form one metric.
    fn instrument(
        &mut self,
        metric: &MetricFile,
        endpoint: usize,
        cursor: &Cursor<'_>,
    ) -> Option<usize> {
        let scope = self
            .definition
            .endpoints
            .get(endpoint)
            .map(|e| Arc::clone(&e.scope))?;
        let new = Instrument {
            name: metric.name.clone(),
            description: metric.description.clone(),
            unit: metric.unit.clone(),
            kind: metric.instrument,
            value_type: metric
                .value_type
                .unwrap_or_else(|| default_value_type(metric.instrument)),
            buckets: metric.buckets.clone(),
            max_series: series_of(metric),
            scope,
            delta: None,
        };
        let instruments = &mut self.definition.instruments;
        let differs_in_case = |known: &&Arc<Instrument>| {
            known.name != new.name && known.name.eq_ignore_ascii_case(&new.name)
        };
        if let Some(other) = instruments.iter().find(differs_in_case) {
            let message = format!(
                "`{}` and `{}` above differ in case only, and OpenTelemetry takes them for one name",
                new.name, other.name
            );
            cursor.error(&["name"], message, self.diagnostics);
            return None;
        }
        let Some(index) = instruments.iter().position(|known| known.name == new.name) else {
            instruments.push(Arc::new(new));
            return Some(instruments.len() - 1);
        };
        let known = instruments.get_mut(index)?;
        let merged = Instrument {
            max_series: known.max_series + new.max_series,
            ..new
        };
        if (Instrument {
            max_series: merged.max_series,
            ..known.as_ref().clone()
        }) == merged
        {
            *known = Arc::new(merged);
        } else {
            let message = format!(
                "`{}` stands above with another instrument, unit, description, value_type, buckets or endpoint",
                metric.name
            );
            cursor.error(&["name"], message, self.diagnostics);
        }
        Some(index)
    }
}

fn max_series(metric: &MetricFile) -> usize {
    let default = if metric.for_each.is_some() {
        MAX_SERIES_DEFAULT
    } else {
        1
    };
    metric.max_series.unwrap_or(default)
}

/// Series of one entry: a state set has one a state.
fn series_of(metric: &MetricFile) -> usize {
    max_series(metric) * metric.states.len().max(1)
}

fn state_attribute(metric: &MetricFile) -> String {
    metric
        .state_attribute
        .clone()
        .unwrap_or_else(|| "state".to_owned())
}

fn default_value_type(instrument: InstrumentKind) -> ValueType {
    match instrument {
        InstrumentKind::Histogram => ValueType::Double,
        InstrumentKind::StateSet => ValueType::Int,
        InstrumentKind::Counter | InstrumentKind::Gauge | InstrumentKind::UpDownCounter => {
            ValueType::Auto
        }
    }
}
