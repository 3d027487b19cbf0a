//! Text that is never shown.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::{borrow::Cow, fmt};

/// The text that replaces a secret.
pub const REDACTED: &str = "[REDACTED]";

/// A password, a token or the value of a header. It prints and serializes as `[REDACTED]`.
#[derive(Clone, PartialEq, Eq, Hash, Default, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Use it only to send it, never to log it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(REDACTED)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "Secret text that is never shown. Take it from the environment or a file.",
            "examples": ["${env:API_TOKEN}"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_nowhere() {
        let secret = Secret::from("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {secret:#?}"),
            [REDACTED; 3].join(" ")
        );
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"[REDACTED]\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
