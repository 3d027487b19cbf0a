//! The answer to a read of a target between its polls.

use std::time::Duration;

use super::{Body, PollFailure};

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// Served from the cache; no request was sent.
    Hit,
    /// A new answer.
    Fresh,
    /// The cached answer, which the node confirmed.
    Revalidated,
    /// The cached answer, because the node gave none.
    Stale,
    /// No answer.
    Missing,
}

/// The answer of an endpoint to a reader.
#[derive(Debug, Clone)]
pub struct CachedAnswer {
    /// The result of the read.
    pub served: CacheStatus,
    /// The body, if there is one.
    pub body: Option<Body>,
    /// The age of the body.
    pub age: Option<Duration>,
    /// Why there is no new body.
    pub failure: Option<PollFailure>,
}

impl CacheStatus {
    /// The name of the result in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Fresh => "fresh",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
            Self::Missing => "missing",
        }
    }
}

impl CachedAnswer {
    /// An answer with a body.
    pub fn new(served: CacheStatus, body: Body, age: Option<Duration>) -> Self {
        Self {
            served,
            body: Some(body),
            age,
            failure: None,
        }
    }

    /// No answer, and the reason.
    pub fn missing(failure: PollFailure) -> Self {
        Self {
            served: CacheStatus::Missing,
            body: None,
            age: None,
            failure: Some(failure),
        }
    }
}
