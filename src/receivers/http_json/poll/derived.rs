//! An endpoint that is requested for elements of another endpoint's answer.

use std::sync::Arc;

use super::endpoint::EndpointPoller;
use crate::{
    definition::{ELEMENT_BYTES_MAX, FoundElements},
    pipeline::{Body, EndpointPoll, PollOutcome, Problem, ProblemReason, Readings},
    resilience::executor::{Declined, PollResult},
};

impl EndpointPoller {
    /// Takes the elements out of the result of the endpoint that has them.
    pub(super) fn follow_parent(&self, parent: &EndpointPoll) {
        let Some(origin) = &self.origin else { return };
        if !parent.was_asked() {
            return;
        }
        let derived = parent.body().map(Body::derived).unwrap_or_default();
        let found = derived.iter().find(|of| of.endpoint == self.index);
        origin.follow(found.map(|of| Arc::clone(&of.found)));
    }

    /// The result where there is nothing to ask for.
    pub(super) fn without_request(&self) -> Option<PollResult> {
        let origin = self.origin.as_ref()?;
        let Some(found) = origin.found() else {
            return Some(self.host.decline(self.index, Declined::Parent));
        };
        if let Some(gap) = &found.gap {
            let mut polled = self.host.decline(self.index, Declined::NoElements);
            if let PollOutcome::Failed(failure) = &mut polled.outcome {
                failure.message = format!("{} ({gap})", failure.message).into();
            }
            return Some(polled);
        }
        if !found.elements.is_empty() {
            return None;
        }
        let now = self.shared.clock.now();
        let mut body = Body::new(Default::default(), now, |_| None).in_parts(Vec::new(), 0);
        let mut readings = Readings::default();
        readings.problems.extend(self.left_out(&found));
        body.set_readings(readings);
        Some(self.host.without_request(self.index, body))
    }

    /// Elements for which no request is made.
    pub(super) fn left_out(&self, found: &FoundElements) -> Vec<Problem> {
        let max = self.origin.as_ref().map_or(0, |of| of.max);
        let over = (found.over > 0).then(|| {
            let detail = format!(
                "{} elements, and requests for {max} (`for_each: {{max}}`)",
                found.elements.len() + found.too_large + found.over
            );
            self.problem(ProblemReason::MaxRequests, found.over, detail)
        });
        let too_large = (found.too_large > 0).then(|| {
            let detail = format!(
                "what the request needs of an element takes more than {ELEMENT_BYTES_MAX} bytes"
            );
            self.problem(ProblemReason::Request, found.too_large, detail)
        });
        over.into_iter().chain(too_large).collect()
    }

    /// A problem of the endpoint.
    pub(super) fn problem(&self, reason: ProblemReason, count: usize, detail: String) -> Problem {
        let definition = &self.mapper.definition;
        Problem {
            rule: definition.rules.len() + 1 + self.index,
            instrument: definition.subject_of_endpoint(self.index),
            reason,
            count: count as u64,
            detail,
        }
    }

    /// How messages call an element.
    pub(super) fn element_name(&self) -> &str {
        self.origin.as_ref().map_or("element", |of| &of.name)
    }
}
