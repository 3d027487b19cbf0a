//! How requests are compressed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the bodies of requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they are.
    None,
    /// With gzip, which every server knows.
    #[default]
    Gzip,
    /// With zstd: less work and less to send.
    Zstd,
}
