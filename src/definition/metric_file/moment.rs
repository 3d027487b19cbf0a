//! Where a moment or a length of time stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParseFile, ParseKind, ParseOptions, ScalarFile, TimeUnit};

/// A moment or a length of time that a body says: `{path: $.boot-time, parse: timestamp}`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct MomentFile {
    /// Which endpoint's body holds it; may be left out where there is only one.
    pub endpoint: Option<String>,
    /// JSONPath of the one value.
    pub path: String,
    /// How the value is read.
    #[serde(default)]
    pub parse: ParseFile,
    /// What a number counts; seconds if not given.
    pub unit: Option<TimeUnit>,
    /// A regular expression that is matched before the value is read; its first group is the value.
    pub pattern: Option<String>,
    /// How moments are written in texts, as `strftime` has it.
    #[serde(default)]
    pub formats: Vec<String>,
    /// Where a text is a local time that names no offset.
    pub timezone: Option<String>,
    /// Texts and numbers that mean that there is none: `["", 0]`.
    #[serde(default)]
    pub missing: Vec<ScalarFile>,
    /// What the number is multiplied with.
    pub scale: Option<f64>,
    /// That it is missing is expected and no problem.
    #[serde(default)]
    pub optional: bool,
}

impl MomentFile {
    /// What it is, `kind` if it does not say so, and how it is written.
    pub fn parse(&self, kind: ParseKind) -> (ParseKind, ParseOptions) {
        let within = &self.parse.options;
        let options = ParseOptions {
            pattern: within.pattern.clone().or_else(|| self.pattern.clone()),
            unit: within.unit.or(self.unit),
            formats: match within.formats.is_empty() {
                true => self.formats.clone(),
                false => within.formats.clone(),
            },
            timezone: within.timezone.clone().or_else(|| self.timezone.clone()),
            ..within.clone()
        };
        (self.parse.kind.unwrap_or(kind), options)
    }
}
