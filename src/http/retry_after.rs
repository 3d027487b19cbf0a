//! `Retry-After`: how long a server asks to be left alone.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

/// What a 429 or 503 asks for, as seconds or as a date (RFC 9110 §10.2.3). `since_epoch` is the
/// time of day, for servers that do not tell theirs.
pub fn retry_after(
    status: StatusCode,
    headers: &HeaderMap,
    since_epoch: Duration,
) -> Option<Duration> {
    if !matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // Its own clock says how far away its date is, if it tells; ours may differ.
    let now = headers
        .get(header::DATE)
        .and_then(|date| http_date(date.to_str().ok()?));
    Some(http_date(value)?.saturating_sub(now.unwrap_or(since_epoch)))
}

/// An HTTP date as time since the Unix epoch.
fn http_date(text: &str) -> Option<Duration> {
    let timestamp: Timestamp = DateTimeParser::new().parse_timestamp(text).ok()?;
    timestamp.as_duration().try_into().ok()
}
