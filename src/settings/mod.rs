//! The types of configuration values. They cannot hold an invalid value.
//!
//! Each type is a short text in the configuration. Its errors say what to write, and it prints as
//! the text from which it was read. Secrets print as `[REDACTED]`.

#[macro_use]
mod text;

mod allow_list;
mod byte_size;
mod component_id;
mod compression;
mod duration;
mod endpoint;
mod headers;
mod component;
mod pattern;
mod proxy;
mod scalar;
mod secret;
mod target_url;
mod url;

pub use allow_list::{AllowList, Allowed, AllowedError};
pub use byte_size::{ByteSize, ByteSizeError};
pub use component::{
    BuildError, Capability, Component, ComponentConfig, ComponentType, Decode, ExtensionUse,
};
pub use component_id::{ComponentId, ComponentIdError};
pub use compression::Compression;
pub use duration::{Duration, DurationError, SignedDuration};
pub use endpoint::{Endpoint, EndpointError};
pub use headers::Headers;
pub use pattern::{Pattern, PatternError};
pub use proxy::{ProxyUrl, ProxyUrlError};
pub use scalar::Scalar;
pub use secret::{REDACTED, Secret};
pub use target_url::{TargetUrl, TargetUrlError};
pub use url::{HttpUrl, HttpUrlError};

#[cfg(test)]
mod tests;
