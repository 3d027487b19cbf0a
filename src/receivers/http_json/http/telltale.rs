//! Describes a response that cannot be used, so that a user finds the reason.

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{self, HeaderName},
};

use super::{redirect, transport::TransportRequest};
use crate::settings::REDACTED;

/// The number of bytes of a body that are examined.
const LOOKED_AT_BYTES: usize = 512;
/// The maximum number of characters of a body that messages show.
const SHOWN_CHARS: usize = 60;
/// Shorter values of headers and queries are not hidden: they are no secrets, and would be found
/// everywhere.
const SECRET_BYTES_MIN: usize = 4;

/// Describes a status that is not a success, besides its number. The text begins with a comma.
pub(crate) fn of_status(
    request: &TransportRequest,
    status: StatusCode,
    headers: &HeaderMap,
) -> String {
    match status {
        StatusCode::UNAUTHORIZED => asked(request, headers, &header::WWW_AUTHENTICATE),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            asked(request, headers, &header::PROXY_AUTHENTICATE)
        }
        _ => redirect::not_followed(request, status, headers),
    }
}

/// Describes which authentication schemes the server accepts, and which one was sent.
fn asked(request: &TransportRequest, headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let mut schemes: Vec<&str> = Vec::new();
    for scheme in texts.flat_map(schemes_of) {
        if !schemes.contains(&scheme) && schemes.len() < 4 {
            schemes.push(scheme);
        }
    }
    let asked = match schemes.as_slice() {
        [] => String::from(", and does not say which scheme it asks for"),
        schemes => format!(", and asks for {}", schemes.join(" or ")),
    };
    let sent = request.headers.get(header::AUTHORIZATION);
    let sent = sent.and_then(|value| value.to_str().ok()?.split(' ').next());
    match sent {
        Some(sent) => format!("{asked}; {sent} was sent"),
        None if request.headers.contains_key(header::COOKIE) => {
            format!("{asked}; a cookie was sent")
        }
        None => format!("{asked}; no `auth` was sent"),
    }
}

/// The schemes of a list of challenges (RFC 9110 §11.6.1), whose parameters hold commas as well.
fn schemes_of(challenges: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = challenges.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    });
    parts.filter_map(|part| {
        let word = part.trim().split(' ').next()?;
        let is_scheme = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let is_scheme = word.chars().all(is_scheme) && (1..=20).contains(&word.len());
        is_scheme.then_some(word)
    })
}

/// Whether a body has no content.
pub(crate) fn is_empty(body: &Bytes) -> bool {
    body.trim_ascii().is_empty()
}

/// Describes a body that is not a document: its type, and its beginning if it has another format.
pub(crate) fn of_body(request: &TransportRequest, headers: &HeaderMap, body: &Bytes) -> String {
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.map(|text| text.chars().take(SHOWN_CHARS).collect::<String>());
    let begins = body.get(..LOOKED_AT_BYTES).unwrap_or(body).trim_ascii();
    let of_type = match &content_type {
        Some(text) => format!("content type {:?}", without_secrets(text, request)),
        None => "no content type".to_owned(),
    };
    let text = String::from_utf8_lossy(begins);
    let is_html = begins.starts_with(b"<")
        && (text.to_ascii_lowercase().contains("<html")
            || content_type.is_some_and(|text| text.contains("html")));
    let what = if is_html { "an HTML page" } else { "a body" };
    let text = without_secrets(&text, request);
    let text: String = text.chars().take(SHOWN_CHARS).collect();
    if begins.starts_with(b"{") || begins.starts_with(b"[") {
        return format!("failed to read the body ({of_type}), which begins with {text:?}");
    }
    format!("{what} came ({of_type}) that begins with {text:?}")
}

/// Hides the secrets of the request, because a server may repeat them.
fn without_secrets(text: &str, request: &TransportRequest) -> String {
    let query = request.url.query().unwrap_or_default();
    let raw = query.split('&').filter_map(|part| part.split('=').nth(1));
    let pairs = request.url.query_pairs();
    let decoded = pairs.map(|(name, value)| if value.is_empty() { name } else { value });
    let of_headers = request
        .headers
        .values()
        .filter(|value| value.is_sensitive());
    let words = of_headers.flat_map(|value| value.to_str().unwrap_or_default().split(' '));
    let mut secrets: Vec<String> = raw.chain(words).map(str::to_owned).collect();
    secrets.extend(decoded.map(|value| value.into_owned()));
    secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let hide = |text: String, secret: &String| text.replace(secret, REDACTED);
    secrets.iter().fold(text.to_owned(), hide)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request() -> TransportRequest {
        let mut token = HeaderValue::from_static("Bearer hunter22");
        token.set_sensitive(true);
        TransportRequest {
            headers: HeaderMap::from_iter([(header::AUTHORIZATION, token)]),
            ..TransportRequest::get("http://a/b?key=hunter%2B3&n=1")
        }
    }

    #[test]
    fn a_401_says_what_was_asked_for() {
        for (challenges, expected) in [
            (&[][..], ", and does not say which scheme it asks for"),
            (
                &["Basic realm=\"a, b\", charset=\"UTF-8\""],
                ", and asks for Basic",
            ),
            (
                &["Digest realm=\"x\", qop=\"auth\", Bearer", "Basic"],
                ", and asks for Digest or Bearer or Basic",
            ),
            (&["Negotiate"], ", and asks for Negotiate"),
        ] {
            let named = challenges
                .iter()
                .map(|text| (header::WWW_AUTHENTICATE, HeaderValue::from_static(text)));
            let mut headers = HeaderMap::new();
            headers.extend(named.map(|(name, value)| (Some(name), value)).take(1));
            for value in challenges.iter().skip(1) {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
            }
            let said = of_status(&request(), StatusCode::UNAUTHORIZED, &headers);
            assert_eq!(said, format!("{expected}; Bearer was sent"));
        }
        let mut request = request();
        request.headers.clear();
        let said = of_status(&request, StatusCode::UNAUTHORIZED, &HeaderMap::new());
        assert!(said.ends_with("; no `auth` was sent"), "{said}");
        let cookie = HeaderValue::from_static("session=hunter22");
        request.headers.insert(header::COOKIE, cookie);
        let said = of_status(&request, StatusCode::UNAUTHORIZED, &HeaderMap::new());
        assert!(said.ends_with("; a cookie was sent"), "{said}");
    }

    #[test]
    fn a_body_is_described_without_the_secrets_of_the_request() {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let html = HeaderMap::from_iter([(header::CONTENT_TYPE, html)]);
        for (headers, body, expected) in [
            (
                &html,
                "<!DOCTYPE html><html><body>no /b?key=hunter%2B3 or hunter+3 for hunter22",
                "an HTML page came (content type \"text/html; charset=utf-8\") that begins with \
                 \"<!DOCTYPE html><html><body>no /b?key=[REDACTED] or [REDACTED\"",
            ),
            (
                &HeaderMap::new(),
                " ok\n\u{1b}[31m",
                "a body came (no content type) that begins with \"ok\\n\\u{1b}[31m\"",
            ),
            (
                &HeaderMap::new(),
                "{\"a\":",
                "failed to read the body (no content type), which begins with \"{\\\"a\\\":\"",
            ),
        ] {
            let said = of_body(&request(), headers, &Bytes::from_static(body.as_bytes()));
            assert_eq!(said, expected);
        }
        assert!(is_empty(&Bytes::from_static(b" \n")) && !is_empty(&Bytes::from_static(b"0")));
    }
}
