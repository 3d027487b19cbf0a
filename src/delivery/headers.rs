//! The configured headers, as `http` has them.

use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::Invalid;
use crate::settings::Headers;

/// What we call ourselves.
pub(super) const USER_AGENT: &str = concat!("betanet-collector/", env!("CARGO_PKG_VERSION"));

/// The configured headers; their values are marked so that nothing prints them.
pub(super) fn parse(headers: &Headers) -> Result<HeaderMap, Invalid> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let name: HeaderName = name.parse().map_err(|_| {
            Invalid::new(
                "headers",
                format!("`{name}` is not a header name: letters, digits and `-`"),
            )
        })?;
        // The parser's own error could quote the secret.
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_quoting| {
            Invalid::new(
                "headers",
                format!("the value of `{name}` has what no header can hold, such as a line break"),
            )
        })?;
        value.set_sensitive(true);
        map.append(name, value);
    }
    Ok(map)
}
