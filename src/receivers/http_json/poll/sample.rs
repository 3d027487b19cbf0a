//! A poll made of saved bodies.

use std::time::Duration;

use super::receive::utf8;
use crate::{
    definition::Definition,
    pipeline::{EndpointPoll, ErrorType, Poll, PollFailure, PollOutcome},
    receivers::http_json::format::{
        charset::{Charset, Utf8Body},
        reader::Reader,
    },
    runtime::Clock,
    telemetry::{chain, target_metrics::MetricsLevel},
};

/// The largest body of a sample that is read, in bytes.
const SAMPLE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is said of an endpoint of which a sample has no body.
pub(crate) const NO_SAVED_BODY: &str = "no saved body";

/// A poll made of saved bodies, one an endpoint; an endpoint without one has failed.
pub(crate) fn sample(definition: &Definition, bodies: Vec<Option<Vec<u8>>>, clock: &Clock) -> Poll {
    let now = clock.now();
    let endpoints = definition
        .endpoints
        .iter()
        .zip(bodies)
        .map(|(endpoint, saved)| {
            let decoded = match saved {
                None => Err((ErrorType::Body, NO_SAVED_BODY.into())),
                Some(saved) => {
                    let reader = Reader::new(endpoint, SAMPLE_BYTES_MAX);
                    let charset = Charset {
                        content_type: None,
                        is_xml: reader.is_xml(),
                    };
                    let saved = utf8(charset, saved.into(), SAMPLE_BYTES_MAX);
                    let decoded = saved.and_then(|Utf8Body { body, replaced }| {
                        let mut decoded = reader.read(&body)?;
                        decoded.repaired += replaced;
                        Ok((body, decoded))
                    });
                    decoded
                        .map(|(raw, decoded)| {
                            let mut body = reader.body(raw, now);
                            body.repaired = decoded.repaired;
                            body
                        })
                        .map_err(|error| (error.error_type(), chain(&error).into()))
                }
            };
            let outcome = match decoded {
                Ok(body) => PollOutcome::Fresh(body),
                Err((error_type, message)) => PollOutcome::Failed(PollFailure {
                    error_type,
                    message,
                }),
            };
            EndpointPoll::new(outcome)
        });
    let endpoints = endpoints.collect();
    Poll {
        started: now,
        ended: now,
        counting_since: now,
        duration: Duration::ZERO,
        missed_ticks: 0,
        endpoints,
        level: MetricsLevel::default(),
        own: Vec::new(),
    }
}
