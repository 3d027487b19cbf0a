//! What the configuration says of relabelling, and what it may say.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::yaml::{Cursor, Diagnostics};

/// One step of `relabel_configs`, in Prometheus' words. `${1}` would be a variable of the
/// environment: write `$1` or `$${1}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RelabelConfig {
    /// Labels whose values are joined by `separator`; an absent one is empty.
    pub source_labels: Vec<String>,
    /// Stands between the joined values.
    pub separator: String,
    /// The label that is set; for `replace` it may hold `$1` as well.
    pub target_label: String,
    /// What the joined values, or for `label…` actions the names, must match from end to end.
    #[serde(deserialize_with = "text")]
    #[schemars(schema_with = "any_scalar")]
    pub regex: String,
    /// What `hashmod` divides by.
    pub modulus: u64,
    /// What `replace` sets, and into what `labelmap` renames; `$1` is what the first group matched.
    #[serde(deserialize_with = "text")]
    #[schemars(schema_with = "any_scalar")]
    pub replacement: String,
    /// What is done.
    pub action: RelabelAction,
}

/// What one step of relabelling does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelabelAction {
    /// Sets `target_label` to `replacement` where `regex` matches.
    #[default]
    Replace,
    /// Drops targets that `regex` does not match.
    Keep,
    /// Drops targets that `regex` matches.
    Drop,
    /// Drops targets whose joined values are not those of `target_label`.
    KeepEqual,
    /// Drops targets whose joined values are those of `target_label`.
    DropEqual,
    /// Sets `target_label` to the rest of an MD5 of the joined values by `modulus`.
    HashMod,
    /// Copies labels whose names `regex` matches to the names that `replacement` gives.
    LabelMap,
    /// Removes labels whose names `regex` matches.
    LabelDrop,
    /// Removes labels whose names `regex` does not match.
    LabelKeep,
    /// Sets `target_label` to the joined values in lower case.
    Lowercase,
    /// Sets `target_label` to the joined values in upper case.
    Uppercase,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            target_label: String::new(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            replacement: "$1".to_owned(),
            action: RelabelAction::Replace,
        }
    }
}

impl fmt::Display for RelabelAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl RelabelConfig {
    /// Checks what Prometheus checks; mistakes go to `diagnostics`.
    pub(in crate::discovery) fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if let Err(error) = super::re2::anchored(&self.regex) {
            // The error draws the pattern over several lines; its last one says what is wrong.
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let message = format!("is not a regular expression: {reason}");
            at.error(&["regex"], message, diagnostics);
        }
        let action = self.action;
        if action == RelabelAction::HashMod && self.modulus == 0 {
            at.error(&["modulus"], "requires positive value", diagnostics);
        }
        if action.sets_target() && self.target_label.is_empty() {
            let message = format!("action `{action}` requires `target_label`");
            at.error(&["target_label"], message, diagnostics);
        }
        for key in self.unused() {
            let message = format!("has no effect with action `{action}`");
            at.error(&[key], message, diagnostics);
        }
    }

    /// The keys that are set although the action does not look at them: a sign that another one
    /// was meant. Prometheus refuses the same ones.
    fn unused(&self) -> impl Iterator<Item = &'static str> {
        let default = Self::default();
        let of_equal = matches!(
            self.action,
            RelabelAction::KeepEqual | RelabelAction::DropEqual
        );
        let of_names = matches!(
            self.action,
            RelabelAction::LabelDrop | RelabelAction::LabelKeep
        );
        let of_case = matches!(
            self.action,
            RelabelAction::Lowercase | RelabelAction::Uppercase
        );
        [
            ("source_labels", of_names && !self.source_labels.is_empty()),
            ("target_label", of_names && !self.target_label.is_empty()),
            ("regex", of_equal && self.regex != default.regex),
            ("modulus", (of_equal || of_names) && self.modulus != 0),
            (
                "separator",
                (of_equal || of_names) && self.separator != default.separator,
            ),
            (
                "replacement",
                (of_equal || of_names || of_case) && self.replacement != default.replacement,
            ),
        ]
        .into_iter()
        .filter_map(|(key, is_unused)| is_unused.then_some(key))
    }
}

impl RelabelAction {
    fn sets_target(self) -> bool {
        match self {
            Self::Replace | Self::HashMod | Self::Lowercase | Self::Uppercase => true,
            Self::KeepEqual | Self::DropEqual => true,
            Self::Keep | Self::Drop | Self::LabelMap | Self::LabelDrop | Self::LabelKeep => false,
        }
    }
}

/// A text that may look like a number: `regex: 0`.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_bool<E: de::Error>(self, truth: bool) -> Result<String, E> {
            Ok(truth.to_string())
        }
    }
    from.deserialize_str(Visitor)
}

fn any_scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "integer", "boolean"]})
}
