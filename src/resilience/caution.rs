//! Decides which endpoints of a target may be polled at the same time, and which not at all.
//!
//! A single request can make a whole server hang forever, and it can be identified only if no other
//! request was in progress. So endpoints are polled one after the other until the host has survived
//! a request to each, and again after each outage. The endpoint after which nothing answers any
//! more is the suspect. It is not polled for a long time after the host is back.

use std::time::Duration;

use tokio::time::Instant;

use super::{positions::Positions, time::later};
use crate::pipeline::{ErrorType, PollOutcome};

/// How long a suspect is not polled the first time, counted from the next answer of the host. The
/// time grows, because each new attempt may make the node hang again.
pub const LEFT_OUT: Duration = Duration::from_secs(24 * 3600);

/// The longest time without polls of a suspect.
pub const LEFT_OUT_MAX: Duration = Duration::from_secs(32 * 24 * 3600);

/// What a request says about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The host answered, well or badly.
    Answer,
    /// There was no answer in time: it may hang.
    Silence,
    /// The host cannot be reached.
    Gone,
    /// Nothing was sent.
    Nothing,
}

/// The order in which the endpoints of one poll are polled, by their positions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steps {
    /// At the same time, first of all.
    pub together: Vec<usize>,
    /// One after the other, each only if the host survived the previous one.
    pub alone: Vec<usize>,
    /// Not at all.
    pub left_out: Vec<usize>,
}

/// What follows from a request that was alone in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Poll the next endpoint.
    GoOn,
    /// Poll no other endpoint this time.
    Over,
    /// Find out whether the host still answers, with this endpoint, which has answered before.
    Confirm(usize),
}

/// A change about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The host hangs since a request to this endpoint.
    Suspected {
        /// The position of the endpoint.
        endpoint: usize,
        /// How long it is not polled when the host answers again. Zero for an endpoint that had
        /// answered before, which gets a second chance alone.
        left_out: Duration,
    },
    /// The host has survived a request to this endpoint after all.
    Cleared {
        /// The position of the endpoint.
        endpoint: usize,
    },
}

/// A suspicion, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// When it started.
    pub since: Instant,
    /// When the suspect is polled again. `None` until the host answers.
    pub asked_again: Option<Instant>,
}

/// What is known of the endpoints of one target.
#[derive(Debug, Clone, Default)]
pub struct Caution {
    endpoints: Box<[Standing]>,
    /// The only endpoint without an answer when the host last answered.
    in_flight: Option<usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// The host has survived a request to it since its last outage.
    outlived: bool,
    /// It has answered at some time.
    is_known: bool,
    /// It did not answer the last request.
    is_silent: bool,
    /// Consecutive polls that started with it and got no answer.
    in_vain: u32,
    /// How long it was not polled the last time.
    left_out: Option<Duration>,
    suspicion: Option<Suspicion>,
}

impl Heard {
    /// What the result of an endpoint says.
    pub fn of(outcome: &PollOutcome) -> Self {
        match outcome {
            PollOutcome::Fresh(_) | PollOutcome::NotModified(_) => Self::Answer,
            PollOutcome::Failed(failure) => Self::of_failure(failure.error_type),
            PollOutcome::Skipped => Self::Nothing,
        }
    }

    /// What a failure says.
    pub fn of_failure(error_type: ErrorType) -> Self {
        match error_type {
            ErrorType::Status(_)
            | ErrorType::Body
            | ErrorType::Protocol
            | ErrorType::Header
            | ErrorType::Redirect
            | ErrorType::Empty
            | ErrorType::TooLarge
            | ErrorType::Decode
            | ErrorType::Transform
            | ErrorType::Pages => Self::Answer,
            ErrorType::Timeout => Self::Silence,
            ErrorType::Dns | ErrorType::Connect | ErrorType::Tls => Self::Gone,
            ErrorType::Limiter
            | ErrorType::Request
            | ErrorType::Credentials
            | ErrorType::CircuitOpen
            | ErrorType::Paused
            | ErrorType::Memory
            | ErrorType::Waiting
            | ErrorType::Suspect
            | ErrorType::Parent => Self::Nothing,
        }
    }

    fn is_none(self) -> bool {
        matches!(self, Self::Silence | Self::Gone)
    }
}

impl Caution {
    /// Creates the state of this number of endpoints, about which nothing is known.
    pub fn new(endpoints: usize) -> Self {
        Self {
            endpoints: vec![Standing::default(); endpoints].into(),
            in_flight: None,
        }
    }

    /// Knows these endpoints.
    pub fn arrange(&mut self, endpoints: &Positions) {
        let before = std::mem::take(&mut self.endpoints);
        self.endpoints = endpoints.arrange(before, Standing::default);
        self.in_flight = self.in_flight.and_then(|was| endpoints.now_at(was));
    }

    /// The order for the endpoints in `asked`, one flag for each endpoint. Those that have answered
    /// before come first, so that a host that is down gets no new kind of request. Those without an
    /// answer come after those that were not polled. Suspects come last.
    pub fn steps(&self, now: Instant, asked: &[bool]) -> Steps {
        let mut steps = Steps::default();
        for (position, standing) in self.endpoints.iter().enumerate() {
            if !asked.get(position).is_some_and(|asked| *asked) {
                continue;
            }
            match (standing.is_left_out(now), standing.outlived) {
                (true, _) => steps.left_out.push(position),
                (false, true) => steps.together.push(position),
                (false, false) => steps.alone.push(position),
            }
        }
        steps.alone.sort_by_key(|position| {
            let standing = self.endpoints.get(*position).copied();
            let standing = standing.unwrap_or_default();
            let is_suspect = standing.suspicion.is_some();
            (is_suspect, !standing.is_known, standing.in_vain, *position)
        });
        steps
    }

    /// Whether an endpoint must not be polled.
    pub fn is_left_out(&self, now: Instant, endpoint: usize) -> bool {
        let standing = self.endpoints.get(endpoint);
        standing.is_some_and(|standing| standing.is_left_out(now))
    }

    /// Whether an endpoint has answered at some time.
    pub fn is_known(&self, endpoint: usize) -> bool {
        self.endpoints.get(endpoint).is_some_and(|e| e.is_known)
    }

    /// Whether the host is known to have survived a request to any endpoint.
    pub fn has_outlived_any(&self) -> bool {
        self.endpoints.iter().any(|standing| standing.outlived)
    }

    /// Since when some endpoint is suspected, the latest; none where none is.
    pub fn suspected_since(&self) -> Option<Instant> {
        let suspicions = self.endpoints.iter().filter_map(|of| of.suspicion);
        suspicions.map(|suspicion| suspicion.since).max()
    }

    /// The suspicion against an endpoint, if there is one.
    pub fn suspicion(&self, endpoint: usize) -> Option<Suspicion> {
        self.endpoints.get(endpoint)?.suspicion
    }

    /// Records the results of endpoints that were polled together. Returns whether others may be
    /// polled now.
    pub fn together(&mut self, now: Instant, heard: &[(usize, Heard)]) -> (bool, Option<Change>) {
        if heard.iter().any(|(_, heard)| *heard == Heard::Answer) {
            self.answered(now, heard);
            return (true, None);
        }
        if !heard.iter().any(|(_, heard)| heard.is_none()) {
            return (true, None);
        }
        let mut outlived = self.endpoints.iter().enumerate();
        let covers_all = outlived.all(|(position, standing)| {
            !standing.outlived || heard.iter().any(|(of, _)| *of == position)
        });
        let mut change = None;
        if covers_all {
            let of_others = |suspect: &usize| {
                let mut heard = heard.iter();
                heard.any(|(of, heard)| of != suspect && heard.is_none())
            };
            let suspect = self.in_flight.filter(of_others);
            change = suspect.map(|suspect| self.suspect(now, suspect));
            self.sicken();
        }
        (false, change)
    }

    fn answered(&mut self, now: Instant, heard: &[(usize, Heard)]) {
        self.is_well(now);
        let silent = |(_, heard): &&(usize, Heard)| *heard == Heard::Silence;
        let newly = heard.iter().filter(silent).filter(|(of, _)| {
            let standing = self.endpoints.get(*of);
            standing.is_some_and(|standing| !standing.is_silent)
        });
        let newly: Vec<_> = newly.map(|(of, _)| *of).collect();
        self.in_flight = match newly.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        for (of, heard) in heard {
            let Some(standing) = self.endpoints.get_mut(*of) else {
                continue;
            };
            match heard {
                Heard::Answer => standing.answered(),
                Heard::Silence => standing.is_silent = true,
                Heard::Gone | Heard::Nothing => {}
            }
        }
    }

    /// Records the result of the only request in progress.
    pub fn alone(&mut self, now: Instant, endpoint: usize, heard: Heard) -> (Next, Option<Change>) {
        let is_witness = |(of, standing): &(usize, &Standing)| *of != endpoint && standing.outlived;
        let mut witnesses = self.endpoints.iter().enumerate().filter(is_witness);
        let witness = witnesses.next().map(|(position, _)| position);
        match (heard, witness) {
            (Heard::Nothing, _) => (Next::GoOn, None),
            (Heard::Answer, _) => {
                self.is_well(now);
                let cleared = self.clear(endpoint);
                if let Some(standing) = self.endpoints.get_mut(endpoint) {
                    standing.answered();
                }
                (Next::GoOn, cleared)
            }
            (Heard::Silence | Heard::Gone, Some(witness)) => (Next::Confirm(witness), None),
            (Heard::Silence | Heard::Gone, None) => {
                self.was_in_vain(endpoint);
                (Next::Over, None)
            }
        }
    }

    /// Records the answer of a witness after an endpoint with the result `was`. Returns whether
    /// others may be polled now.
    pub fn confirmed(
        &mut self,
        now: Instant,
        (endpoint, was): (usize, Heard),
        heard: Heard,
    ) -> (bool, Option<Change>) {
        match heard {
            Heard::Answer => {
                // Only this endpoint is silent, and it does no harm.
                let cleared = self.clear(endpoint);
                if let Some(standing) = self.endpoints.get_mut(endpoint) {
                    standing.outlived = true;
                    standing.is_silent = true;
                    standing.in_vain = 0;
                }
                (true, cleared)
            }
            Heard::Silence | Heard::Gone => {
                let hangs = was == Heard::Silence;
                let change = hangs.then(|| self.suspect(now, endpoint));
                self.was_in_vain(endpoint);
                self.sicken();
                (false, change)
            }
            Heard::Nothing => {
                // The next poll finds out.
                self.in_flight = (was == Heard::Silence).then_some(endpoint);
                self.was_in_vain(endpoint);
                (false, None)
            }
        }
    }

    fn suspect(&mut self, now: Instant, endpoint: usize) -> Change {
        let mut left_out = Duration::ZERO;
        if let Some(standing) = self.endpoints.get_mut(endpoint) {
            left_out = standing.next_left_out();
            standing.left_out = Some(left_out);
            standing.suspicion = Some(Suspicion {
                since: now,
                asked_again: None,
            });
        }
        Change::Suspected { endpoint, left_out }
    }

    fn clear(&mut self, endpoint: usize) -> Option<Change> {
        let standing = self.endpoints.get_mut(endpoint)?;
        standing.suspicion.take()?;
        Some(Change::Cleared { endpoint })
    }

    /// The host answers: the time without polls of suspects starts now.
    fn is_well(&mut self, now: Instant) {
        for standing in &mut self.endpoints {
            if let Some(suspicion) = &mut standing.suspicion {
                let left_out = standing.left_out.unwrap_or_default();
                let asked_again = suspicion.asked_again;
                suspicion.asked_again = asked_again.or_else(|| Some(later(now, left_out)));
            }
        }
    }

    /// Nothing answers: what the host survived before says nothing about the process that comes
    /// back.
    fn sicken(&mut self) {
        self.in_flight = None;
        for standing in &mut self.endpoints {
            standing.outlived = false;
            standing.is_silent = false;
        }
    }

    fn was_in_vain(&mut self, endpoint: usize) {
        if let Some(standing) = self.endpoints.get_mut(endpoint) {
            standing.in_vain = standing.in_vain.saturating_add(1);
        }
    }
}

impl Standing {
    fn is_left_out(&self, now: Instant) -> bool {
        let suspicion = self.suspicion.as_ref();
        suspicion.is_some_and(|it| it.asked_again.is_none_or(|again| now < again))
    }

    fn answered(&mut self) {
        self.outlived = true;
        self.is_known = true;
        self.is_silent = false;
        self.in_vain = 0;
    }

    fn next_left_out(&self) -> Duration {
        match self.left_out {
            None if self.is_known => Duration::ZERO,
            None => LEFT_OUT,
            Some(before) => before.saturating_mul(2).clamp(LEFT_OUT, LEFT_OUT_MAX),
        }
    }
}
