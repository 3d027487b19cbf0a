//! How a host behaves, well and ill.

use std::time::Duration;

use fastrand::Rng;

use super::SimulationSettings;
use crate::resilience::{outcome::ResultClass, time::jittered};

/// How long a host that is well takes to answer.
pub(super) const USUAL: Duration = Duration::from_millis(80);

/// How long a refusal takes.
const REFUSAL: Duration = Duration::from_millis(1);

/// How long answers take after a restart, and for how long.
const COLD: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(30));

/// Each answer takes from (1 − this) to (1 + this) times its nominal time.
const SPREAD: f64 = 0.25;

/// The shortest and the longest outage, in seconds, where no length is given.
const LENGTH: std::ops::Range<f64> = 240.0..300.0;

/// What is wrong with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimulatedFault {
    /// It accepts, and never answers.
    Hang,
    /// It refuses connections.
    Refuse,
    /// It answers with this status.
    Status(u16),
    /// It refuses every second connection, by chance.
    Flap,
    /// It answers after so long.
    Slow(Duration),
    /// It refuses connections, and for half a minute after that answers in 3 s.
    Restart,
}

/// A kind of outage, of which many are simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What it is called in reports.
    pub name: String,
    /// What is wrong.
    pub fault: SimulatedFault,
    /// Which endpoint suffers, by its position; all of them if not given.
    pub path: Option<usize>,
    /// When it begins, after the first poll; at a random moment between two polls if not given.
    pub at: Option<Duration>,
    /// How long it lasts; 240 to 300 s if not given.
    pub length: Option<Duration>,
}

/// The outages that every configuration should stand.
pub fn builtin(settings: &SimulationSettings) -> Vec<Incident> {
    let incident = |name: &str, fault, length: Option<u64>| Incident {
        name: name.to_owned(),
        fault,
        path: None,
        at: None,
        length: length.map(Duration::from_secs),
    };
    let one_path = Incident {
        path: Some(settings.endpoints.len() / 2),
        ..incident("one path 500", SimulatedFault::Status(500), None)
    };
    let slow = SimulatedFault::Slow(Duration::from_millis(1500));
    vec![
        incident("hang", SimulatedFault::Hang, None),
        incident("refuse", SimulatedFault::Refuse, None),
        one_path,
        incident("flapping", SimulatedFault::Flap, None),
        incident("hiccup of 6s", SimulatedFault::Hang, Some(6)),
        incident("80ms to 1.5s", slow, None),
        incident("restart", SimulatedFault::Restart, Some(10)),
    ]
}

impl Incident {
    /// One of the outages.
    pub(super) fn draw(&self, settings: &SimulationSettings, rng: &mut Rng) -> Outage {
        let interval = settings.interval.get();
        let phase = interval.mul_f64(rng.f64());
        let length = LENGTH.start + (LENGTH.end - LENGTH.start) * rng.f64();
        let from = self.at.unwrap_or(interval.saturating_mul(4) + phase);
        let length = self.length.unwrap_or(Duration::from_secs_f64(length));
        Outage {
            fault: self.fault,
            path: self.path,
            from,
            to: from.saturating_add(length),
        }
    }

    /// The latest moment at which one of the outages is over.
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
    path: Option<usize>,
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// What a request would come to if it had all the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct SimulatedAnswer {
    pub(super) class: ResultClass,
    /// None for never.
    pub(super) took: Option<Duration>,
}

impl Outage {
    /// Whether it is under way.
    pub(super) fn is_on(&self, now: Duration) -> bool {
        (self.from..self.to).contains(&now)
    }

    /// What a request to this endpoint comes to now.
    pub(super) fn answer(&self, now: Duration, endpoint: usize, rng: &mut Rng) -> SimulatedAnswer {
        let after = |class, nominal, rng: &mut Rng| SimulatedAnswer {
            class,
            took: Some(jittered(nominal, SPREAD, rng)),
        };
        let suffers = self.path.is_none_or(|path| path == endpoint);
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
