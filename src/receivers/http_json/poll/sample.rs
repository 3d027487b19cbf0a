//! A poll made of saved answers.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{failure::ResponseError, receive::utf8};
use crate::{
    definition::{Definition, Derivation, Endpoint, FoundElements},
    pipeline::{Body, BodyPart, Document, EndpointPoll, ErrorType, Poll, PollFailure, PollOutcome},
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
#[derive(Clone)]
pub enum SavedAnswer {
    /// The body of its answer.
    Whole(Vec<u8>),
    /// The bodies of several answers.
    Parts(Vec<BodyPart>),
    /// The answers for the elements that the saved answer of another endpoint has, in their order.
    /// Each has pages, and none stands for a request that failed.
    ForElements(Vec<Option<Vec<Vec<u8>>>>),
}

/// Why saved answers do not belong to elements.
#[derive(Debug, thiserror::Error)]
enum ElementsError {
    #[error("it is not requested for elements")]
    NotDerived,
    #[error("it is requested for elements of `{parent}`, of which no body is saved")]
    NoParent { parent: String },
    #[error("`{parent}` has no elements for it: {gap}")]
    Gap { parent: String, gap: String },
    #[error(
        "it has {answers} answers, and `{parent}` has another number of elements for it: {elements}"
    )]
    Count {
        parent: String,
        elements: usize,
        answers: usize,
    },
}

/// Why an endpoint has no body.
type Failed = (ErrorType, String);

/// A poll made of saved answers, one for each endpoint; an endpoint without one has failed.
pub(crate) fn sample(
    definition: &Definition,
    answers: Vec<Option<SavedAnswer>>,
    clock: &Clock,
) -> Poll {
    let now = clock.now();
    let count = definition.endpoints.len();
    let mut bodies: Vec<Result<Body, Failed>> = Vec::new();
    bodies.resize_with(count, || Err((ErrorType::Body, NO_SAVED_BODY.to_owned())));
    let mut answers: Vec<_> = answers.into_iter().take(count).enumerate().collect();
    // The endpoint that has the elements comes before those that are requested for them.
    answers.sort_by_key(|(index, _)| parents(definition, *index));
    for (index, saved) in answers {
        let (Some(endpoint), Some(saved)) = (definition.endpoints.get(index), saved) else {
            continue;
        };
        let body = read(definition, endpoint, saved, &bodies, now);
        if let Some(slot) = bodies.get_mut(index) {
            *slot = body;
        }
    }
    let endpoints = bodies.into_iter().map(|body| {
        EndpointPoll::new(match body {
            Ok(body) => PollOutcome::Fresh(body),
            Err((error_type, message)) => PollOutcome::Failed(PollFailure {
                error_type,
                message: message.into(),
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

/// How many endpoints are asked before this one, each for the next.
fn parents(definition: &Definition, index: usize) -> usize {
    let parent = |index: &usize| {
        let derivation = definition.endpoints.get(*index)?.derivation.as_ref();
        derivation.map(|of| of.parent)
    };
    let all = std::iter::successors(parent(&index), parent);
    all.take(definition.endpoints.len()).count()
}

/// The body of one endpoint. `bodies` are those of the endpoints before it.
fn read(
    definition: &Definition,
    endpoint: &Endpoint,
    saved: SavedAnswer,
    bodies: &[Result<Body, Failed>],
    now: SystemTime,
) -> Result<Body, Failed> {
    let reader = Arc::new(Reader::new(endpoint, SAMPLE_BYTES_MAX));
    let body = match saved {
        SavedAnswer::Whole(raw) => whole(&reader, raw, now),
        SavedAnswer::Parts(parts) => in_parts(&reader, parts, now),
        SavedAnswer::ForElements(answers) => {
            let parts = for_elements(definition, endpoint, answers, bodies);
            let parts = parts.map_err(|error| (ErrorType::Body, error.to_string()))?;
            in_parts(&reader, parts, now)
        }
    };
    body.map_err(|error| (error.error_type(), chain(&error)))
}

/// Gives each answer the element that it is for.
fn for_elements(
    definition: &Definition,
    endpoint: &Endpoint,
    answers: Vec<Option<Vec<Vec<u8>>>>,
    bodies: &[Result<Body, Failed>],
) -> Result<Vec<BodyPart>, ElementsError> {
    let Some(derivation) = &endpoint.derivation else {
        return Err(ElementsError::NotDerived);
    };
    let parent = definition.endpoints.get(derivation.parent);
    let parent = parent.map(|of| of.id.to_string()).unwrap_or_default();
    let Some(Ok(body)) = bodies.get(derivation.parent) else {
        return Err(ElementsError::NoParent { parent });
    };
    let found = elements(derivation, body);
    if let Some(gap) = found.gap {
        return Err(ElementsError::Gap { parent, gap });
    }
    if found.elements.len() != answers.len() {
        return Err(ElementsError::Count {
            parent,
            elements: found.elements.len(),
            answers: answers.len(),
        });
    }
    let mut parts = Vec::new();
    for (group, (element, pages)) in found.elements.iter().zip(answers).enumerate() {
        let pages = pages.into_iter().flatten();
        parts.extend(pages.map(|raw| BodyPart {
            raw: raw.into(),
            group,
            element: Some(Arc::clone(element)),
        }));
    }
    Ok(parts)
}

/// The elements that a body has.
fn elements(derivation: &Derivation, body: &Body) -> FoundElements {
    let mut all: Option<FoundElements> = None;
    let mut take = |document: &Document<'_>| {
        let found = derivation.find(document.value, document.text_bytes);
        let found = found.unwrap_or_else(|error| FoundElements::unknown(&error));
        all = Some(match all.take() {
            Some(all) => all.and(&found, derivation.max),
            None => found,
        });
    };
    if body.has_parts() {
        body.for_each_part(take);
    } else if let Some(document) = body.document() {
        take(&Document::only(&document, body.size));
    }
    all.unwrap_or_default()
}

fn whole(reader: &Arc<Reader>, raw: Vec<u8>, now: SystemTime) -> Result<Body, ResponseError> {
    let (raw, repaired) = readable(reader, raw.into())?;
    let mut body = reader.body(raw, now);
    body.repaired = repaired;
    Ok(body)
}

fn in_parts(
    reader: &Arc<Reader>,
    mut parts: Vec<BodyPart>,
    now: SystemTime,
) -> Result<Body, ResponseError> {
    let (mut repaired, mut size) = (0, 0);
    for part in &mut parts {
        let (raw, places) = readable(reader, std::mem::take(&mut part.raw))?;
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
