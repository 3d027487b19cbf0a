//! The behavior of a simulated host.

use std::time::Duration;

use fastrand::Rng;

use super::SimulationSettings;
use crate::resilience::{outcome::ResultClass, time::jittered};

/// The response time of a healthy host.
pub(super) const USUAL: Duration = Duration::from_millis(80);

/// The time of a refusal.
const REFUSAL: Duration = Duration::from_millis(1);

/// The response time after a restart, and how long it lasts.
const COLD: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(30));

/// Each response time is random between (1 − this) and (1 + this) times its nominal value.
const SPREAD: f64 = 0.25;

/// The shortest and the longest outage in seconds, if no length is given.
const LENGTH: std::ops::Range<f64> = 240.0..300.0;

/// The fault of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedFault {
    /// It accepts connections and never answers.
    Hang,
    /// It refuses connections.
    Refuse,
    /// It answers with this HTTP status.
    Status(u16),
    /// It refuses every second connection, at random.
    Flap,
    /// It answers after this time.
    Slow(Duration),
    /// It refuses connections. For half a minute after that it answers in 3 s.
    Restart,
}

/// A kind of outage, of which many are simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The name in reports.
    pub name: String,
    /// The fault of the host.
    pub fault: SimulatedFault,
    /// The affected endpoint, by its position. Default: all.
    pub endpoint: Option<usize>,
    /// The start, after the first poll. Default: a random time between two polls.
    pub at: Option<Duration>,
    /// The length. Default: 240 to 300 s.
    pub length: Option<Duration>,
}

/// The outages that every configuration should survive.
pub fn builtin(settings: &SimulationSettings) -> Vec<Incident> {
    let incident = |name: &str, fault, length: Option<u64>| Incident {
        name: name.to_owned(),
        fault,
        endpoint: None,
        at: None,
        length: length.map(Duration::from_secs),
    };
    let one_endpoint = Incident {
        endpoint: Some(settings.endpoints.len() / 2),
        ..incident("one endpoint 500", SimulatedFault::Status(500), None)
    };
    let slow = SimulatedFault::Slow(Duration::from_millis(1500));
    vec![
        incident("hang", SimulatedFault::Hang, None),
        incident("refuse", SimulatedFault::Refuse, None),
        one_endpoint,
        incident("flapping", SimulatedFault::Flap, None),
        incident("hiccup of 6s", SimulatedFault::Hang, Some(6)),
        incident("80ms to 1.5s", slow, None),
        incident("restart", SimulatedFault::Restart, Some(10)),
    ]
}

impl Incident {
    /// Draws one outage of this kind.
    pub(super) fn draw(&self, settings: &SimulationSettings, rng: &mut Rng) -> Outage {
        let interval = settings.interval.get();
        let phase = interval.mul_f64(rng.f64());
        let length = LENGTH.start + (LENGTH.end - LENGTH.start) * rng.f64();
        let from = self.at.unwrap_or(interval.saturating_mul(4) + phase);
        let length = self.length.unwrap_or(Duration::from_secs_f64(length));
        Outage {
            fault: self.fault,
            endpoint: self.endpoint,
            from,
            to: from.saturating_add(length),
        }
    }

    /// The latest end of an outage of this kind.
    pub(super) fn latest_end(&self, settings: &SimulationSettings) -> Duration {
        let from = self.at.unwrap_or(settings.interval.get().saturating_mul(5));
        let length = self.length.unwrap_or(Duration::from_secs_f64(LENGTH.end));
        from.saturating_add(length)
    }
}

/// One outage.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    fault: SimulatedFault,
    endpoint: Option<usize>,
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// The result of a request without a time limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct SimulatedAnswer {
    pub(super) class: ResultClass,
    /// `None` means never.
    pub(super) took: Option<Duration>,
}

impl Outage {
    /// Whether the outage is in progress.
    pub(super) fn is_on(&self, now: Duration) -> bool {
        (self.from..self.to).contains(&now)
    }

    /// The result of a request to this endpoint now.
    pub(super) fn answer(&self, now: Duration, endpoint: usize, rng: &mut Rng) -> SimulatedAnswer {
        let after = |class, nominal, rng: &mut Rng| SimulatedAnswer {
            class,
            took: Some(jittered(nominal, SPREAD, rng)),
        };
        let suffers = self.endpoint.is_none_or(|of| of == endpoint);
        let fault = (suffers && self.is_on(now)).then_some(self.fault);
        let is_cold = suffers
            && self.fault == SimulatedFault::Restart
            && (self.to..self.to.saturating_add(COLD.1)).contains(&now);
        match fault {
            Some(SimulatedFault::Hang) => SimulatedAnswer {
                class: ResultClass::Timeout,
                took: None,
            },
            Some(SimulatedFault::Refuse | SimulatedFault::Restart) => {
                after(ResultClass::Transport, REFUSAL, rng)
            }
            Some(SimulatedFault::Status(code)) => after(ResultClass::Status(code), USUAL, rng),
            Some(SimulatedFault::Flap) if rng.bool() => after(ResultClass::Transport, REFUSAL, rng),
            Some(SimulatedFault::Slow(time)) => after(ResultClass::Success, time, rng),
            None if is_cold => after(ResultClass::Success, COLD.0, rng),
            Some(SimulatedFault::Flap) | None => after(ResultClass::Success, USUAL, rng),
        }
    }
}
