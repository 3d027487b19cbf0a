//! The caching headers of a response, and the headers of a conditional request (RFC 9111).

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::resilience::cache::CacheHeaders;

/// The maximum length of a validator. A longer one is ignored.
const VALIDATOR_BYTES_MAX: usize = 1024;

/// Reads `Age`, `ETag`, `Last-Modified` and `Cache-Control` (RFC 9111).
pub(crate) fn origin(headers: &HeaderMap) -> CacheHeaders {
    let control = text(headers, &header::CACHE_CONTROL).unwrap_or_default();
    let directives = control.split(',').map(str::trim);
    let max_age = directives
        .clone()
        .find_map(|directive| directive.strip_prefix("max-age="));
    CacheHeaders {
        age: text(headers, &header::AGE)
            .and_then(seconds)
            .unwrap_or_default(),
        etag: validator(headers, &header::ETAG),
        last_modified: validator(headers, &header::LAST_MODIFIED),
        max_age: max_age.and_then(seconds),
        must_revalidate: directives
            .clone()
            .any(|directive| directive == "must-revalidate"),
    }
}

/// Makes a request conditional on the validators of the cached response.
pub(crate) fn add_validators(headers: &mut HeaderMap, origin: &CacheHeaders) {
    let mut add = |name: HeaderName, validator: &Option<String>| {
        let value = validator
            .as_deref()
            .and_then(|text| HeaderValue::from_str(text).ok());
        if let Some(value) = value {
            headers.insert(name, value);
        }
    };
    add(header::IF_NONE_MATCH, &origin.etag);
    add(header::IF_MODIFIED_SINCE, &origin.last_modified);
}

fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    text(headers, name)
        .filter(|text| text.len() <= VALIDATOR_BYTES_MAX)
        .map(str::to_owned)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}
