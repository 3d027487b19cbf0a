//! `Retry-After`: the time for which a server asks for no requests.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

/// The wait that a 429 or 503 asks for, as seconds or as a date (RFC 9110 §10.2.3). `since_epoch`
/// is the time of day, for servers that do not send theirs.
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
    // The server's own clock decides how far away the date is, if the server sends it. Our clock
    // may differ.
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
