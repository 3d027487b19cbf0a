//! A destination that follows a script.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use super::*;

/// The reaction of the destination to an attempt. After the end of the script it accepts.
#[derive(Debug, Clone)]
pub(super) enum DestinationStep {
    Accept,
    Reject(u64),
    /// Rejects one point, with this message.
    Say(String),
    Fail,
    After(u64),
    Refuse,
    Hang,
    /// Like `Hang`, and panics when it is told about the timeout.
    HangAndPanic,
    Panic,
}

/// Follows a script and records what it accepted.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripted {
    script: Arc<Mutex<VecDeque<DestinationStep>>>,
    /// Fails until this time, whatever the script says.
    pub(super) away_until: Arc<Mutex<Option<Instant>>>,
    /// Refuses larger requests, whatever the script says.
    pub(super) max_bytes: Arc<Mutex<Option<usize>>>,
    pub(super) accepted: Arc<Mutex<Vec<Bytes>>>,
    attempts: Arc<Mutex<Vec<(Instant, Bytes)>>>,
    panics_when_late: Arc<AtomicBool>,
}

impl Scripted {
    pub(super) fn script(&self, steps: impl IntoIterator<Item = DestinationStep>) {
        self.script.lock().unwrap().extend(steps);
    }

    pub(super) fn accepted(&self) -> Vec<u8> {
        self.accepted.lock().unwrap().concat()
    }

    pub(super) fn attempts(&self) -> Vec<(Instant, Bytes)> {
        self.attempts.lock().unwrap().clone()
    }
}

#[async_trait]
impl Destination for Scripted {
    async fn send(&self, payload: Bytes) -> SendOutcome {
        let now = Instant::now();
        self.attempts.lock().unwrap().push((now, payload.clone()));
        if self
            .away_until
            .lock()
            .unwrap()
            .is_some_and(|until| now < until)
        {
            return SendOutcome::retry("away");
        }
        if self
            .max_bytes
            .lock()
            .unwrap()
            .is_some_and(|max| payload.len() > max)
        {
            return SendOutcome::too_large("too large");
        }
        let step = self.script.lock().unwrap().pop_front();
        let rejected = match step.unwrap_or(DestinationStep::Accept) {
            DestinationStep::Accept => 0,
            DestinationStep::Reject(points) => points,
            DestinationStep::Say(message) => {
                self.accepted.lock().unwrap().push(payload);
                return SendOutcome::Sent(ExportAnswer {
                    rejected: 1,
                    message,
                });
            }
            DestinationStep::Fail => return SendOutcome::retry("busy"),
            DestinationStep::After(seconds) => {
                return SendOutcome::Retry {
                    error: "throttled".into(),
                    after: Some(Duration::from_secs(seconds)),
                };
            }
            DestinationStep::Refuse => return SendOutcome::permanent("no"),
            DestinationStep::Hang => std::future::pending().await,
            DestinationStep::HangAndPanic => {
                self.panics_when_late.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            DestinationStep::Panic => panic!("out of luck"),
        };
        self.accepted.lock().unwrap().push(payload);
        SendOutcome::Sent(ExportAnswer {
            rejected,
            message: String::new(),
        })
    }

    fn timed_out(&self) {
        let panics = self.panics_when_late.swap(false, Ordering::Relaxed);
        assert!(!panics, "too late");
    }
}
