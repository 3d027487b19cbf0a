//! The configured headers as types of the `http` crate.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::ConfigError;
use crate::settings::Headers;

/// The `User-Agent` of all requests.
pub const USER_AGENT: &str = concat!("betanet-collector/", env!("CARGO_PKG_VERSION"));

/// Parses the configured headers. Their values are marked as sensitive, so that nothing prints
/// them.
///
/// # Errors
/// If a header cannot be sent. The error has its name, never its value.
pub fn parse(headers: &Headers) -> Result<HeaderMap, ConfigError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let refused = |why| ConfigError::at(["headers", name], why);
        let header: HeaderName = name
            .parse()
            .map_err(|_| refused("is not a header name: letters, digits and `-`"))?;
        // The error of the parser could quote the secret.
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_quoting| {
            refused(
                "has a value that no header can have, with a line break or a letter \
                 outside of ASCII",
            )
        })?;
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}
