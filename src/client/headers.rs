//! The configured headers, as `http` has them.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::ConfigError;
use crate::settings::Headers;

/// What we call ourselves.
pub const USER_AGENT: &str = concat!("betanet-collector/", env!("CARGO_PKG_VERSION"));

/// The configured headers; their values are marked so that nothing prints them.
///
/// # Errors
/// Names the first header that cannot be sent, never its value.
pub fn parse(headers: &Headers) -> Result<HeaderMap, ConfigError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let refused = |why| ConfigError::at(["headers", name], why);
        let header: HeaderName = name
            .parse()
            .map_err(|_| refused("is not a header name: letters, digits and `-`"))?;
        // The parser's own error could quote the secret.
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_quoting| {
            refused(
                "has a value with what no header can hold, such as a line break or a letter \
                 outside of ASCII",
            )
        })?;
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}
