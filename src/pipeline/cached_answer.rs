//! What is read of a target between its polls.

use std::time::Duration;

use super::{Body, PollFailure};

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// The kept answer, which is young enough; nobody was asked.
    Hit,
    /// A new answer.
    Fresh,
    /// The kept answer, which still holds as the node says.
    Revalidated,
    /// The kept answer, because the node gives none.
    Stale,
    /// Nothing.
    Missing,
}

/// An endpoint's answer to a reader.
#[derive(Debug, Clone)]
pub struct CachedAnswer {
    /// What it came to.
    pub served: CacheStatus,
    /// The answer.
    pub body: Option<Body>,
    /// How old it is.
    pub age: Option<Duration>,
    /// Why there is no new one.
    pub failure: Option<PollFailure>,
}

impl CacheStatus {
    /// The word for it in answers.
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
    /// An answer.
    pub fn new(served: CacheStatus, body: Body, age: Option<Duration>) -> Self {
        Self {
            served,
            body: Some(body),
            age,
            failure: None,
        }
    }

    /// No answer, and why.
    pub fn missing(failure: PollFailure) -> Self {
        Self {
            served: CacheStatus::Missing,
            body: None,
            age: None,
            failure: Some(failure),
        }
    }
}
