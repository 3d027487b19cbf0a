//! What an entry of `metrics` says.

mod attribute;
mod elements;
mod histogram;
mod moment;
mod number;
mod scalar;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    attribute::AttributeFile,
    elements::{ElementsFile, LevelFile},
    histogram::HistogramFile,
    moment::MomentFile,
    number::{ParseFile, ParseKind, ParseOptions, TimeUnit},
    scalar::{NumberFile, ScalarFile, ValueFile},
};

/// One metric, or one part of it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct MetricFile {
    /// Its name, as it should appear: `betanet_bytes_transmitted_total`.
    pub name: String,
    /// What it measures; one sentence.
    #[serde(default)]
    pub description: String,
    /// What is measured and how it aggregates.
    pub instrument: InstrumentKind,
    /// UCUM unit: `s`, `By`, `{packet}`.
    #[serde(default)]
    pub unit: String,
    /// Which endpoint's body holds it; may be left out where there is only one.
    pub endpoint: Option<String>,
    /// The elements that give one series each: a JSONPath (RFC 9535), an object, or a list of
    /// levels. A path of names alone is short for the one that ends in `[*]`: `$.nodes` goes through
    /// the items of an array and the members of an object.
    pub for_each: Option<ElementsFile>,
    /// JSONPath of the one value, relative to the innermost element; or a number that every series
    /// has.
    pub value: Option<ValueFile>,
    /// Instead of `value`: how many values this JSONPath finds, relative to the innermost element.
    pub count: Option<String>,
    /// Instead of `value`: a histogram that the body holds.
    pub histogram: Option<HistogramFile>,
    /// Which of the values that the path finds a histogram observes.
    #[serde(default)]
    pub observe: Observe,
    /// Attribute values: a JSONPath relative to the innermost element, `@key` for the name under
    /// which the element stands in its parent, the same of an outer level (`station:$.name`,
    /// `station:@key`) or of the whole document (`document:$.version`), or any other text as it is.
    #[serde(default)]
    pub attributes: BTreeMap<String, AttributeFile>,
    /// When the value was measured, relative to the innermost element: the point's own time over
    /// OTLP and with `send_timestamps`. Over OTLP a value whose time has not moved on is not sent
    /// again.
    pub time: Option<MomentFile>,
    /// How a found value is read.
    #[serde(default)]
    pub parse: ParseFile,
    /// A regular expression that is matched before the value is read; its first group is the value:
    /// `'([0-9.]+) W'`.
    pub pattern: Option<String>,
    /// What stands before the fraction in texts, a point if not given.
    pub decimal: Option<String>,
    /// What stands between groups of three digits in texts.
    pub thousands: Option<String>,
    /// How moments are written in texts, as `strftime` has it: `"%Y-%m-%d %H:%M:%S"`.
    #[serde(default)]
    pub formats: Vec<String>,
    /// Where a text is a local time that names no offset: `Europe/Berlin`.
    pub timezone: Option<String>,
    /// Texts and numbers that mean that there is no value: `["", "N/A"]`. There is no series then,
    /// and that is no problem.
    #[serde(default)]
    pub missing: Vec<ScalarFile>,
    /// Numbers for texts, numbers and booleans: `{green: 0, yellow: 1, "*": 2}`; `*` is any
    /// other. A text without an entry is a problem; so is a number or a boolean if another one has
    /// an entry, and else it is itself.
    #[serde(default)]
    pub values: BTreeMap<String, NumberFile>,
    /// What the number is multiplied with, for example 0.001 for milliseconds.
    pub scale: Option<f64>,
    /// Which numbers the instrument holds; `auto` if not given.
    pub value_type: Option<ValueType>,
    /// Upper bounds of a histogram's buckets, ascending.
    #[serde(default)]
    pub buckets: Vec<f64>,
    /// The states of a state set: one series each, 1 for the current state and 0 for the others.
    #[serde(default)]
    pub states: Vec<String>,
    /// The attribute that names the state; `state` if not given.
    pub state_attribute: Option<String>,
    /// The most elements that give a series; 1 without `for_each`, 200 with it. What is over is
    /// dropped and counted.
    pub max_series: Option<usize>,
    /// What is missing is expected and not counted as a problem: the value, an attribute, the
    /// elements of `for_each`. A `count` of what is missing is 0 then.
    #[serde(default)]
    pub optional: bool,
}

/// What is measured and how it aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstrumentKind {
    /// A running total that only grows; a fall is a restart of the source.
    Counter,
    /// A sum that may fall.
    UpDownCounter,
    /// A value of the moment.
    Gauge,
    /// One observation a fresh poll.
    Histogram,
    /// One of a closed list of states.
    StateSet,
}

/// Which of the values that a path finds a histogram observes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Observe {
    /// The one value.
    #[default]
    One,
    /// Each of them: they are samples that came since the poll before.
    All,
}

/// Which numbers an instrument holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Integers, exact up to 2^64 − 1. A value with a fraction is refused and counted.
    Int,
    /// Floating point.
    Double,
    /// Exact integers until a floating-point number arrives, floating point from then on.
    Auto,
}
