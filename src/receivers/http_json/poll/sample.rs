//! A poll made of saved answers.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{failure::ResponseError, receive::utf8};
use crate::{
    definition::{Definition, Endpoint},
    pipeline::{Body, BodyPart, EndpointPoll, ErrorType, Poll, PollFailure, PollOutcome},
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

/// What was saved of an endpoint.
pub enum SavedAnswer {
    /// The body of its answer.
    Whole(Vec<u8>),
    /// The bodies of several answers.
    Parts(Vec<BodyPart>),
}

/// A poll made of saved answers, one for each endpoint; an endpoint without one has failed.
pub(crate) fn sample(
    definition: &Definition,
    answers: Vec<Option<SavedAnswer>>,
    clock: &Clock,
) -> Poll {
    let now = clock.now();
    let endpoints = definition.endpoints.iter().zip(answers);
    let endpoints = endpoints.map(|(endpoint, saved)| {
        let body = match saved {
            None => Err((ErrorType::Body, NO_SAVED_BODY.into())),
            Some(saved) => body(endpoint, saved, now)
                .map_err(|error| (error.error_type(), chain(&error).into())),
        };
        EndpointPoll::new(match body {
            Ok(body) => PollOutcome::Fresh(body),
            Err((error_type, message)) => PollOutcome::Failed(PollFailure {
                error_type,
                message,
            }),
        })
    });
    Poll {
        started: now,
        ended: now,
        counting_since: now,
        duration: Duration::ZERO,
        missed_ticks: 0,
        endpoints: endpoints.collect(),
        level: MetricsLevel::default(),
        own: Vec::new(),
    }
}

fn body(endpoint: &Endpoint, saved: SavedAnswer, now: SystemTime) -> Result<Body, ResponseError> {
    let reader = Reader::new(endpoint, SAMPLE_BYTES_MAX);
    match saved {
        SavedAnswer::Whole(raw) => {
            let (raw, repaired) = readable(&reader, raw.into())?;
            let mut body = reader.body(raw, now);
            body.repaired = repaired;
            Ok(body)
        }
        SavedAnswer::Parts(mut parts) => {
            let (mut repaired, mut size) = (0, 0);
            for part in &mut parts {
                let (raw, places) = readable(&reader, std::mem::take(&mut part.raw))?;
                size += raw.len();
                repaired += places;
                part.raw = raw;
            }
            let first = parts.first().map(|part| part.raw.clone());
            let body = reader.body(first.unwrap_or_default(), now);
            let mut body = body.in_parts(parts, size);
            body.repaired = repaired;
            Ok(body)
        }
    }
}

/// A text that can be read, in UTF-8, and in how many places it had to be repaired.
fn readable(reader: &Reader, saved: Bytes) -> Result<(Bytes, u64), ResponseError> {
    let charset = Charset {
        content_type: None,
        is_xml: reader.is_xml(),
    };
    let Utf8Body { body, replaced } = utf8(charset, saved, SAMPLE_BYTES_MAX)?;
    let decoded = reader.read(&body)?;
    Ok((body, decoded.repaired + replaced))
}
