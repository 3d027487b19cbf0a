//! The configuration of the extension, with the Collector's keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::yaml::{Cursor, Diagnostics, Foreign, ForeignKey};

/// Signs requests to AWS services.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The region of the service. Default: `AWS_REGION`, or what the host of the request says.
    pub region: Option<String>,
    /// The name of the service, such as `aps` or `es`. Default: what the host of the request says.
    pub service: Option<String>,
}

/// Keys of `sigv4auth` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[ForeignKey::refused(
        &["assume_role"],
        "roles are not assumed here; let the shared credentials file, or the role of the pod or \
         task, give the keys of the role",
    )],
    ..Foreign::NONE
};

impl Config {
    pub(super) fn check_values(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (key, value) in [("region", &self.region), ("service", &self.service)] {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if value
                .as_ref()
                .is_some_and(|it| it.is_empty() || !it.chars().all(is_name))
            {
                let message = "expected letters, digits and `-`";
                at.error(&[key], message, diagnostics);
            }
        }
    }
}
