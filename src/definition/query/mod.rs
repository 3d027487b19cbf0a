//! A JSONPath query, ready to be evaluated: no copy of the document, and a bound on the work.
//!
//! `jsonpath-rust` parses. It also evaluates, but copies the document in filters and has no bound:
//! a document of a few kilobytes can take it hours.

mod evaluate;
mod pattern;
mod plan;
mod reach;
#[cfg(test)]
mod tests;

pub(super) use self::evaluate::Found;
use self::pattern::Pattern;

use std::cell::Cell;

/// A query.
#[derive(Debug, Clone)]
pub(super) struct Query(Vec<Segment>);

/// The work that may still be done, in steps: a step is some nanoseconds.
#[derive(Debug)]
pub struct Steps(Cell<u64>);

/// A path that takes more steps than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("takes more steps than a path may for a document of this size")]
pub struct TooManySteps;

/// The steps that every path may take, also in a small document.
const STEPS_MIN: u64 = 2_000_000;

impl Steps {
    /// What one rule of a definition may take for a document of so many bytes of text: a step a
    /// byte, two million at least.
    pub fn for_document(text_bytes: usize) -> Self {
        Self::new(STEPS_MIN.max(text_bytes as u64))
    }

    /// So many.
    pub fn new(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes some.
    ///
    /// # Errors
    /// If there are none left; there are none from then on.
    pub(super) fn take(&self, steps: u64) -> Result<(), TooManySteps> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or_default());
        left.map(drop).ok_or(TooManySteps)
    }
}

impl Query {
    /// The names below the document that everything it looks at stands under; none if it looks at
    /// all of it.
    pub(super) fn root_keys(&self) -> Option<Vec<&str>> {
        reach::root_keys(&self.0)
    }
}

#[derive(Debug, Clone)]
struct Segment {
    /// Whether it also selects below what it is applied to (`..`).
    descends: bool,
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone)]
enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Filter(Filter),
}

/// A condition.
#[derive(Debug, Clone)]
enum Filter {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Exists(Nodes),
    Compare(Operand, Comparison, Operand),
    /// `match` and `search`.
    Matches(Operand, Pattern),
    /// `in`, `any_of` and their like.
    Lists(Operand, Lists, Operand),
    /// Of a function that gives no truth.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
}

/// What two lists, or a value and a list, are to each other. Where one is none, it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    In,
    NotIn,
    AnyOf,
    NoneOf,
    SubsetOf,
}

/// Nodes of the document.
#[derive(Debug, Clone)]
struct Nodes {
    /// From the document, or from the node that is filtered.
    from_root: bool,
    segments: Vec<Segment>,
}

/// A value, or nothing.
#[derive(Debug, Clone)]
enum Operand {
    Literal(serde_json::Value),
    /// Of exactly one node.
    Value(Nodes),
    Length(Box<Self>),
    Count(Nodes),
    Truth(Box<Filter>),
    Nothing,
}
