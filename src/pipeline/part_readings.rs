//! What one of several documents of a body gave.

use super::{Problem, Readings};

/// What one of several documents of a body gave, with what it takes to join it with the others.
#[derive(Debug)]
pub struct PartReadings {
    /// The documents of one group are the pages of one answer.
    pub group: usize,
    /// The values, in the order of the rules, and what is wrong with some of them.
    pub readings: Readings,
    /// What each rule of the endpoint gave.
    pub rules: Vec<RuleReadings>,
    /// That it does not say when the process began.
    pub start_gap: Option<Problem>,
}

/// What one rule gave.
#[derive(Debug)]
pub struct RuleReadings {
    /// Index of the rule in the definition.
    pub rule: usize,
    /// The number of its values.
    pub values: usize,
    /// That the document has nothing for it, which is a problem if no other document has.
    pub gap: Option<Problem>,
}
