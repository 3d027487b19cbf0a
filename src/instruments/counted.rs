//! Histograms that a target counts itself, as OTLP says them.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::{
    tonic::{
        common::v1::InstrumentationScope,
        metrics::v1::{
            AggregationTemporality, Histogram, HistogramDataPoint, Metric, ScopeMetrics,
            metric::Data,
        },
    },
    transform::common::tonic::Attributes,
};

use super::{
    delta::Deltas,
    point_times::Nanos,
    sent_series::{MessageSeries, may_end},
    starts::Starts,
};
use crate::{definition::Instrument, pipeline::CountedHistogram};

/// The histograms by scope, as of `now`, with deltas of the selected ones; their series are noted.
pub(super) fn scopes(
    histograms: &[CountedHistogram],
    starts: &Starts,
    now: Nanos,
    series: &mut MessageSeries,
    deltas: &mut Deltas,
) -> Vec<ScopeMetrics> {
    let mut scopes: BTreeMap<Arc<str>, Vec<Metric>> = BTreeMap::new();
    for of_metric in histograms.chunk_by(|one, next| one.index == next.index) {
        let Some(first) = of_metric.first() else {
            continue;
        };
        let instrument = &first.instrument;
        let known = may_end(instrument).then(|| series.of(first.index, &instrument.scope));
        let points = of_metric.iter().map(|counted| {
            let attributes = Attributes::from(counted.attributes.clone()).0;
            let key = starts.key(counted.attributes.iter());
            if let Some(known) = known {
                series.note(known, key, || counted.attributes.iter());
            }
            let start = starts.of(counted.index, key);
            let value = &counted.value;
            HistogramDataPoint {
                attributes,
                start_time_unix_nano: start.map_or(0, |start| start.before(now)),
                time_unix_nano: now,
                count: value.count(),
                sum: value.sum,
                bucket_counts: value.counts.clone(),
                explicit_bounds: value.bounds.clone(),
                ..HistogramDataPoint::default()
            }
        });
        let mut metric = metric(instrument, points.collect());
        deltas.apply(first.index, instrument, &mut metric);
        let scope = Arc::clone(&instrument.scope);
        scopes.entry(scope).or_default().push(metric);
    }
    let scopes = scopes.into_iter().map(|(name, metrics)| ScopeMetrics {
        scope: Some(InstrumentationScope {
            name: name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        }),
        metrics,
        schema_url: String::new(),
    });
    scopes.collect()
}

fn metric(instrument: &Instrument, data_points: Vec<HistogramDataPoint>) -> Metric {
    Metric {
        name: instrument.name.clone(),
        description: instrument.description.clone(),
        unit: instrument.unit.clone(),
        data: Some(Data::Histogram(Histogram {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })),
        ..Metric::default()
    }
}
