//! How the values of one metric are found in a body.

use std::collections::BTreeMap;

use super::{Number, NumberFormat, Path, Pattern};

/// How the values of one metric are found in a body.
#[derive(Debug)]
pub struct MappingRule {
    /// Index into [`Definition::instruments`](super::Definition::instruments).
    pub instrument: usize,
    /// Index into [`Definition::endpoints`](super::Definition::endpoints).
    pub endpoint: usize,
    /// The levels whose elements give one series each, from the outermost. The whole document is
    /// the only element if there are no levels.
    pub levels: Vec<Level>,
    /// The source of the value.
    pub value: ValueSource,
    /// The attributes, in ascending order of their keys.
    pub attributes: Vec<Attribute>,
    /// When the value was measured, if the body says so.
    pub time: Option<TimeRule>,
    /// How a found value is read.
    pub format: NumberFormat,
    /// The states of a state set, in order.
    pub states: Vec<String>,
    /// The attribute that names the state.
    pub state_attribute: String,
    /// The largest number of elements that give a series.
    pub max_series: usize,
    /// Whether a missing value is expected and therefore not counted.
    pub optional: bool,
}

/// Where a body says when the process behind the API began.
#[derive(Debug)]
pub struct StartRule {
    /// Index into [`Definition::endpoints`](super::Definition::endpoints).
    pub endpoint: usize,
    /// Where it stands.
    pub path: Path,
    /// How it is read.
    pub format: NumberFormat,
    /// Whether it says since how long, and not since when.
    pub is_uptime: bool,
    /// Whether it is expected that it is missing.
    pub optional: bool,
}

impl StartRule {
    /// The key of the definition.
    pub fn name(&self) -> &'static str {
        match self.is_uptime {
            true => "uptime",
            false => "start_time",
        }
    }
}

/// Where a body says when a value was measured.
#[derive(Debug)]
pub struct TimeRule {
    /// What the path begins at.
    pub origin: Origin,
    /// Where it stands.
    pub path: Path,
    /// How it is read.
    pub format: NumberFormat,
    /// Whether it is expected that it is missing.
    pub optional: bool,
}

/// One level of elements.
#[derive(Debug)]
pub struct Level {
    /// The path of the elements, relative to the element of the level before.
    pub path: Path,
    /// Whether it is expected that there are no elements.
    pub optional: bool,
    /// The pattern that the name of a member must match.
    pub keys: Option<Pattern>,
    /// The name by which attributes refer to the level.
    pub name: Option<String>,
}

/// The source of a value. Paths are relative to the innermost element.
#[derive(Debug)]
pub enum ValueSource {
    /// The value at a path.
    Path(Path),
    /// Each of the values there, which a histogram observes.
    Each(Path),
    /// A histogram whose buckets stand there.
    Buckets(Buckets),
    /// Every series has it.
    Constant(Number),
    /// The number of values.
    Count {
        /// The path whose matches are counted.
        path: Path,
        /// The container of the values. If it is missing, the number is unknown.
        container: Path,
    },
}

/// Where the buckets of a histogram stand.
#[derive(Debug)]
pub struct Buckets {
    /// The buckets.
    pub path: Path,
    /// The upper bound, relative to the bucket; none for its key.
    pub upper_bound: Option<Path>,
    /// How many observations it has, relative to the bucket.
    pub count: Path,
    /// Whether it counts those below it as well.
    pub cumulative: bool,
    /// The sum of all observations.
    pub sum: Option<Path>,
}

/// An attribute of every series of a rule.
#[derive(Debug)]
pub struct Attribute {
    /// The key of the attribute.
    pub key: String,
    /// The source of its value.
    pub source: AttributeSource,
    /// Whether the attribute is left out when its value is missing.
    pub optional: bool,
    /// The part of the text that is used.
    pub pattern: Option<Pattern>,
    /// Replacements for what was found. `*` stands for any other text.
    pub values: BTreeMap<String, String>,
}

/// The source of an attribute's value.
#[derive(Debug)]
pub enum AttributeSource {
    /// A text that every series has.
    Literal(String),
    /// A value of an element or of the document.
    Path {
        /// Where the path begins.
        origin: Origin,
        /// The path of the value.
        path: Path,
    },
    /// The name (or index) of an element in its parent.
    Key {
        /// The level of the element.
        level: usize,
        /// The group of the level's pattern that is used. None means the whole name.
        group: Option<String>,
    },
    /// The name (or index) of the element that the request was made for.
    RequestKey,
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The path begins at the whole document.
    Document,
    /// The path begins at the element of a level.
    Level(usize),
    /// The path begins at the element that the request was made for.
    Request,
}

impl ValueSource {
    /// The path of the value. A constant has none.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path)
            | Self::Each(path)
            | Self::Count { path, .. }
            | Self::Buckets(Buckets { path, .. }) => Some(path),
            Self::Constant(_) => None,
        }
    }

    /// The text by which messages name the value.
    pub fn text(&self) -> &str {
        self.path().map_or("value", Path::text)
    }
}

impl MappingRule {
    /// The innermost element.
    pub fn innermost(&self) -> Origin {
        innermost(&self.levels)
    }

    /// The paths that begin at the element that the request was made for.
    pub(super) fn paths_of_request_element(&self) -> impl Iterator<Item = &Path> {
        let attributes = self.attributes.iter().filter_map(|of| match &of.source {
            AttributeSource::Path {
                origin: Origin::Request,
                path,
            } => Some(path),
            _ => None,
        });
        let time = self.time.iter().filter(|of| of.origin == Origin::Request);
        attributes.chain(time.map(|of| &of.path))
    }

    /// The paths that begin at the document and not at an element.
    pub(super) fn paths_of_document(&self) -> impl Iterator<Item = &Path> {
        let attributes = self.attributes.iter().filter_map(|of| match &of.source {
            AttributeSource::Path {
                origin: Origin::Document,
                path,
            } => Some(path),
            _ => None,
        });
        let time = self.time.iter().filter_map(|of| match of.origin {
            Origin::Document => Some(&of.path),
            Origin::Level(_) | Origin::Request => None,
        });
        let elements = self.levels.first().map(|level| &level.path);
        let sum = match &self.value {
            ValueSource::Buckets(buckets) => buckets.sum.as_ref(),
            _ => None,
        };
        let value = self.value.path().into_iter().chain(sum);
        let value = value.filter(|_| self.levels.is_empty());
        elements
            .into_iter()
            .chain(value)
            .chain(time)
            .chain(attributes)
    }
}

/// The innermost element of `levels`.
pub(super) fn innermost(levels: &[Level]) -> Origin {
    match levels.len().checked_sub(1) {
        Some(last) => Origin::Level(last),
        None => Origin::Document,
    }
}
