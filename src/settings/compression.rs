//! The compression of requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The compression of request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Sends bodies uncompressed.
    None,
    /// Compresses with gzip, which every server supports.
    #[default]
    Gzip,
    /// Compresses with zstd, which needs less processor time and gives smaller bodies.
    Zstd,
}
