//! A JSONPath query that is evaluated without a copy of the document, with a bound on the work.
//!
//! `jsonpath-rust` parses the query. It could also evaluate it, but it copies the document in
//! filters and has no bound: a document of a few kilobytes can take it hours.

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

/// The work that a path may still do, in steps. A step takes some nanoseconds.
#[derive(Debug)]
pub struct Steps(Cell<u64>);

/// The error for a path that takes more steps than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("takes more steps than a path may for a document of this size")]
pub struct TooManySteps;

/// The steps that every path may take, even in a small document.
const STEPS_MIN: u64 = 2_000_000;

impl Steps {
    /// The steps that one rule may take for a document of `text_bytes` bytes: one step a byte, and
    /// at least two million.
    pub fn for_document(text_bytes: usize) -> Self {
        Self::new(STEPS_MIN.max(text_bytes as u64))
    }

    /// A budget of `steps` steps.
    pub fn new(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    /// Takes steps from the budget.
    ///
    /// # Errors
    /// If not enough steps are left. The budget is then empty for all later calls.
    pub(super) fn take(&self, steps: u64) -> Result<(), TooManySteps> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or_default());
        left.map(drop).ok_or(TooManySteps)
    }
}

impl Query {
    /// The names directly below the document under which the query reads. None if it reads the
    /// whole document.
    pub(super) fn root_keys(&self) -> Option<Vec<&str>> {
        reach::root_keys(&self.0)
    }
}

#[derive(Debug, Clone)]
struct Segment {
    /// Whether the segment also selects from all descendants (`..`).
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
    /// The functions `match` and `search`.
    Matches(Operand, Pattern),
    /// Functions on lists, such as `in` and `any_of`.
    Lists(Operand, Lists, Operand),
    /// A function whose result is neither true nor false.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
}

/// How two lists, or a value and a list, are compared. The condition is false if an operand is not
/// a list.
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
    /// Whether the path begins at the document. Otherwise it begins at the node that is filtered.
    from_root: bool,
    segments: Vec<Segment>,
}

/// A value, or nothing.
#[derive(Debug, Clone)]
enum Operand {
    Literal(serde_json::Value),
    /// The value of exactly one node.
    Value(Nodes),
    Length(Box<Self>),
    Count(Nodes),
    Truth(Box<Filter>),
    Nothing,
}
