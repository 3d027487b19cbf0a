//! What the resilience layer did for all targets of a receiver together. At the default level of
//! report metrics, no single target says it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry::{KeyValue, metrics::AsyncInstrument};

use super::{
    circuit::BreakerLevel, recorder::DecisionEvent, retry::RetryStop, state::TransitionReason,
};
use crate::telemetry::{Meter, names};

/// The sums of a receiver.
#[derive(Debug, Default)]
pub(super) struct ReceiverCounts {
    retries: AtomicU64,
    failovers: AtomicU64,
    suppressed: [AtomicU64; RetryStop::SUPPRESSING.len()],
    rejections: [AtomicU64; BreakerLevel::ALL.len()],
    transitions: [[AtomicU64; TransitionReason::ALL.len()]; BreakerLevel::ALL.len()],
}

impl ReceiverCounts {
    /// Counts a decision.
    pub(super) fn note(&self, event: &DecisionEvent) {
        match event {
            DecisionEvent::Transition { level, reason, .. } => {
                let reasons = TransitionReason::ALL.iter();
                let of_level = self.transitions.get(*level as usize).into_iter().flatten();
                for ((known, ..), count) in reasons.zip(of_level) {
                    add(count, u64::from(known == reason));
                }
            }
            DecisionEvent::Refused {
                level: Some(level), ..
            } => {
                if let Some(count) = self.rejections.get(*level as usize) {
                    add(count, 1);
                }
            }
            _ => {}
        }
    }

    /// Counts a repeated attempt that was sent.
    pub(super) fn retried(&self) {
        add(&self.retries, 1);
    }

    /// Counts a repeated attempt that was sent to another instance.
    pub(super) fn failed_over(&self) {
        add(&self.failovers, 1);
    }

    /// Counts a retry that was due but not made.
    pub(super) fn suppressed(&self, reason: RetryStop) {
        let reasons = RetryStop::SUPPRESSING.into_iter();
        for (known, count) in reasons.zip(&self.suppressed) {
            add(count, u64::from(known == reason));
        }
    }

    /// Registers the metrics of a receiver, as long as the counts exist.
    pub(super) fn observe(self: &Arc<Self>, meter: &Meter, receiver: &str) {
        let of = KeyValue::new(names::RECEIVER, receiver.to_owned());
        let key = of.clone();
        names::RECEIVER_RETRIES.observe(meter, self, move |all, to| {
            say(to, &all.retries, [key.clone()]);
        });
        let key = of.clone();
        names::RECEIVER_FAILOVERS.observe(meter, self, move |all, to| {
            say(to, &all.failovers, [key.clone()]);
        });
        let key = of.clone();
        names::RECEIVER_RETRIES_SUPPRESSED.observe(meter, self, move |all, to| {
            for (reason, count) in RetryStop::SUPPRESSING.into_iter().zip(&all.suppressed) {
                let reason = KeyValue::new(names::REASON, reason.name());
                say(to, count, [key.clone(), reason]);
            }
        });
        let key = of.clone();
        names::RECEIVER_BREAKER_REJECTIONS.observe(meter, self, move |all, to| {
            for (level, count) in BreakerLevel::ALL.into_iter().zip(&all.rejections) {
                say(to, count, [key.clone(), scope(level)]);
            }
        });
        names::RECEIVER_BREAKER_TRANSITIONS.observe(meter, self, move |all, to| {
            for (level, counts) in BreakerLevel::ALL.into_iter().zip(&all.transitions) {
                for ((reason, from, into), count) in TransitionReason::ALL.into_iter().zip(counts) {
                    let change = [
                        of.clone(),
                        scope(level),
                        KeyValue::new(names::FROM, from.name()),
                        KeyValue::new(names::TO, into.name()),
                        KeyValue::new(names::REASON, reason.name()),
                    ];
                    say(to, count, change);
                }
            }
        });
    }
}

fn scope(level: BreakerLevel) -> KeyValue {
    KeyValue::new(names::BREAKER_SCOPE, level.name())
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn say<const N: usize>(to: &dyn AsyncInstrument<u64>, count: &AtomicU64, of: [KeyValue; N]) {
    to.observe(count.load(Ordering::Relaxed), &of);
}
