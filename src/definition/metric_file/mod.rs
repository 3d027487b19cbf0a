//! The content of an entry of `metrics`.

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
    /// The name as it should appear: `betanet_bytes_transmitted_total`.
    pub name: String,
    /// What the metric measures, in one sentence.
    #[serde(default)]
    pub description: String,
    /// The kind of the metric, which decides how its values aggregate.
    pub instrument: InstrumentKind,
    /// The unit in UCUM: `s`, `By`, `{packet}`.
    #[serde(default)]
    pub unit: String,
    /// The endpoint whose body contains the value. It can be left out if there is only one
    /// endpoint.
    pub endpoint: Option<String>,
    /// The elements that give one series each: a JSONPath (RFC 9535), an object, or a list of
    /// levels. A path that consists only of names is short for the same path with `[*]`: `$.nodes`
    /// selects the items of an array and the members of an object.
    pub for_each: Option<ElementsFile>,
    /// The JSONPath of the value, relative to the innermost element, or a number that every series
    /// has.
    pub value: Option<ValueFile>,
    /// Instead of `value`: a JSONPath, relative to the innermost element. The value is the number
    /// of matches.
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
    /// A regular expression that is applied before the value is read. Its first group is the value:
    /// `'([0-9.]+) W'`.
    pub pattern: Option<String>,
    /// The decimal separator in texts. The default is a point.
    pub decimal: Option<String>,
    /// The separator between groups of three digits in texts.
    pub thousands: Option<String>,
    /// The formats of timestamps in texts, as in `strftime`: `"%Y-%m-%d %H:%M:%S"`.
    #[serde(default)]
    pub formats: Vec<String>,
    /// The time zone of local times that name no offset: `Europe/Berlin`.
    pub timezone: Option<String>,
    /// Texts and numbers that mean "no value": `["", "N/A"]`. They give no series, and no problem
    /// is counted.
    #[serde(default)]
    pub missing: Vec<ScalarFile>,
    /// Numbers for texts, numbers and booleans: `{green: 0, yellow: 1, "*": 2}`. `*` stands for any
    /// other value. A text without an entry is a problem. A number or a boolean without an entry
    /// keeps its own value, unless another number or boolean has an entry; then it is a problem.
    #[serde(default)]
    pub values: BTreeMap<String, NumberFile>,
    /// The factor by which the number is multiplied, for example 0.001 for milliseconds.
    pub scale: Option<f64>,
    /// The type of the numbers. The default is `auto`.
    pub value_type: Option<ValueType>,
    /// The upper bounds of the buckets of a histogram, in ascending order.
    #[serde(default)]
    pub buckets: Vec<f64>,
    /// The states of a state set. Each state has a series, which is 1 for the current state and 0
    /// for the others.
    #[serde(default)]
    pub states: Vec<String>,
    /// The attribute that names the state. The default is `state`.
    pub state_attribute: Option<String>,
    /// The largest number of elements that give a series. The default is 200 with `for_each`, and 1
    /// without. Elements above the limit are dropped and counted.
    pub max_series: Option<usize>,
    /// Whether a missing value, a missing attribute or an empty `for_each` is expected. No problem
    /// is counted then. A `count` of something missing is 0.
    #[serde(default)]
    pub optional: bool,
}

/// The kind of a metric, which decides how its values aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstrumentKind {
    /// A running total that only grows. A decrease means that the source restarted.
    Counter,
    /// A sum that may decrease.
    UpDownCounter,
    /// A current value.
    Gauge,
    /// A distribution, with one observation for each fresh poll.
    Histogram,
    /// One of a fixed list of states.
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
    /// Integers, exact up to 2^64 − 1. A value with a fraction is rejected and counted.
    Int,
    /// Floating-point numbers.
    Double,
    /// Exact integers until the first floating-point number arrives. After it, all numbers are
    /// floating-point.
    Auto,
}
