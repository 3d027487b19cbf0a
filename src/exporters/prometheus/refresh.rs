//! Replaces numbers in place, where a snapshot has the series that are shown, and no others. This is
//! so for nearly every poll, and no label needs to be written.

use std::time::Duration;

use opentelemetry_sdk::metrics::data::ResourceMetrics;
use tokio::time::Instant;

use super::{
    point_id,
    render::{is_new, source_of},
    rows::SourceId,
    rules::RenderingRules,
    store::{SeriesStore, TargetSeries},
};
use crate::pipeline::Snapshot;

/// The new number of a row.
#[derive(Debug)]
pub(super) struct NewNumber {
    source: SourceId,
    row: u32,
    bits: u64,
}

impl SeriesStore {
    /// Replaces the numbers of a target. False if the snapshot may have other series than those that
    /// are shown; then nothing is replaced. `numbers` is a buffer.
    pub(super) fn refresh(
        &mut self,
        snapshot: &Snapshot<'_>,
        rules: &RenderingRules,
        numbers: &mut Vec<NewNumber>,
        max_stale: Duration,
    ) -> bool {
        let is_usual = !rules.add_labels()
            && !rules.has_time
            && !rules.has_created
            && snapshot.exemplars.is_empty()
            && snapshot.histograms.is_empty()
            && !snapshot.metrics.is_empty();
        let id = self.shown(snapshot.target).filter(|_| is_usual);
        let Some(id) = id else {
            return false;
        };
        let now = Instant::now();
        self.expire_target(id, now);
        numbers.clear();
        if !self
            .target(id)
            .is_some_and(|shown| shown.finds(snapshot, numbers))
        {
            return false;
        }
        self.change(id, (snapshot, now, max_stale), |shown, _| {
            for NewNumber { source, row, bits } in numbers.iter() {
                shown.set_number(*source, *row, *bits);
            }
        });
        true
    }
}

impl TargetSeries {
    /// Finds the row of each point of a snapshot. False if a point has none, or a row has no point.
    fn finds(&self, snapshot: &Snapshot<'_>, numbers: &mut Vec<NewNumber>) -> bool {
        if !self.is_of(snapshot.resource) {
            return false;
        }
        let scopes = snapshot.metrics.iter();
        for scope in scopes.flat_map(ResourceMetrics::scope_metrics) {
            let name = scope.scope().name();
            let Some(source) = source_of(snapshot, name) else {
                continue;
            };
            let Some(rows) = self.rows(source).filter(|rows| rows.more.is_none()) else {
                return false;
            };
            let are_found = scope.metrics().all(|metric| {
                point_id::numbers(name, metric, &mut |id, after, number| {
                    let row = rows.layout.row_of(id).map(|first| first + after);
                    let bits = number.bits;
                    numbers.extend(row.map(|row| NewNumber { source, row, bits }));
                    row.is_some()
                })
            });
            if !are_found {
                return false;
            }
        }
        // No series has two points, so each row has one if there are as many.
        let fresh = self
            .shown_sources()
            .filter(|(source, _)| is_new(snapshot, *source));
        let rows = fresh.map(|(_, rows)| rows.layout.rows.len());
        rows.sum::<usize>() == numbers.len()
    }
}
