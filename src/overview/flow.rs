//! How many data points pass each second.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::telemetry::{
    OwnFigures,
    names::{self, Metric},
};

/// The totals that are compared over time.
const COUNTED: &[&Metric] = &[
    &names::SCRAPED_POINTS,
    &names::INCOMING_ITEMS,
    &names::OUTGOING_ITEMS,
    &names::SENT_POINTS,
];

/// The time between two of the totals that are kept.
const STEP: Duration = Duration::from_secs(5);

/// So many are kept: a minute, so that a slow schedule gives a steady rate.
const KEPT: usize = 13;

/// Totals that are older are forgotten.
const OLDEST: Duration = Duration::from_secs(70);

/// Totals of the last minute. They are noted only while somebody looks.
#[derive(Debug, Default)]
pub(super) struct FlowHistory(VecDeque<(Instant, Arc<OwnFigures>)>);

/// What passes between two moments.
#[derive(Debug, Clone)]
pub struct Flow {
    before: Option<(Instant, Arc<OwnFigures>)>,
    now: (Instant, Arc<OwnFigures>),
}

impl FlowHistory {
    /// Compares the totals with those of the last minute.
    pub(super) fn note(&mut self, figures: &OwnFigures, now: Instant) -> Flow {
        let counted = Arc::new(figures.only(COUNTED));
        // Nobody has looked for a while: the mean of such a time says nothing of now.
        self.0
            .retain(|(at, _)| now.saturating_duration_since(*at) <= OLDEST);
        let before = self.0.front().cloned();
        let last = self.0.back().map(|(at, _)| *at);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= STEP) {
            if self.0.len() >= KEPT {
                self.0.pop_front();
            }
            self.0.push_back((now, Arc::clone(&counted)));
        }
        Flow {
            before,
            now: (now, counted),
        }
    }
}

impl Flow {
    /// How much a total of a component grows each second; none before it is known.
    pub fn per_second(&self, metric: &Metric, attribute: &str, id: &str) -> Option<f64> {
        let (then, before) = self.before.as_ref()?;
        let (at, now) = &self.now;
        let seconds = at.saturating_duration_since(*then).as_secs_f64();
        let more =
            now.sum(metric, attribute, id)? - before.sum(metric, attribute, id).unwrap_or(0.0);
        (seconds >= 1.0).then(|| (more.max(0.0) / seconds * 10.0).round() / 10.0)
    }
}
