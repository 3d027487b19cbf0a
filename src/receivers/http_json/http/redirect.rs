//! Redirects. This code follows them, because reqwest would send the configured headers and a
//! `Referer` to every origin.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::Url;

use super::transport::{TransportError, TransportRequest};
use crate::{definition::Method, settings::HttpUrl};

/// The maximum number of characters of a `Location` that messages show.
const SHOWN_CHARS_MAX: usize = 200;

/// The request that follows a response, if that is a redirect to a URL. A redirect to another
/// origin drops all headers, so that no other origin gets credentials, nor does any origin after
/// it.
pub(crate) fn next(
    request: &TransportRequest,
    status: StatusCode,
    headers: &HeaderMap,
) -> Option<TransportRequest> {
    let url = location(&request.url, status, headers)?;
    let mut next = TransportRequest {
        url,
        ..request.clone()
    };
    if is_repeated_as_get(request, status) {
        next.method = Method::Get;
        next.body = Bytes::new();
        next.headers.remove(header::CONTENT_TYPE);
    }
    if next.method == Method::Post && next.url.origin() != request.url.origin() {
        return None;
    }
    if next.url.origin() != request.url.origin() {
        next.credentials = None;
        let connection = next.headers.remove(header::CONNECTION);
        next.headers = connection
            .map(|value| (header::CONNECTION, value))
            .into_iter()
            .collect();
    }
    Some(next)
}

/// As browsers do it: only 307 and 308 repeat a `POST`.
fn is_repeated_as_get(request: &TransportRequest, status: StatusCode) -> bool {
    request.method == Method::Post && !matches!(status.as_u16(), 307 | 308)
}

/// The error after `followed` redirects, with the next location.
pub(crate) fn too_many(followed: usize, next: &TransportRequest) -> TransportError {
    TransportError::Redirects {
        followed,
        location: shown(&next.url),
    }
}

/// The part of a message that describes a redirect that is not followed.
pub(crate) fn not_followed(
    request: &TransportRequest,
    status: StatusCode,
    headers: &HeaderMap,
) -> String {
    let repeats = request.method == Method::Post && !is_repeated_as_get(request, status);
    match location(&request.url, status, headers) {
        Some(to) if repeats && to.origin() != request.url.origin() => format!(
            ", which leads to {}: a POST is not repeated there, so give that as the endpoint",
            shown(&to)
        ),
        Some(to) => format!(
            ", which leads to {}: `max_redirects` follows none, so give that as the endpoint",
            shown(&to)
        ),
        None if is_redirect(status) => ", a redirect without a URL in `Location`".to_owned(),
        None => String::new(),
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(from: &Url, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
    if !is_redirect(status) {
        return None;
    }
    let text = headers.get(header::LOCATION)?.to_str().ok()?;
    let mut url = from.join(text).ok()?;
    // Credentials in a `Location` are not used.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// The URL without the values of its query.
pub(crate) fn shown(url: &Url) -> String {
    let url = url.as_str().parse::<HttpUrl>();
    let text = url.map_or_else(|_| String::new(), |url| url.to_string());
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn following(from: &str, to: &str) -> Option<(String, usize)> {
        let of_request = [
            (header::AUTHORIZATION, "Bearer hunter2".parse().unwrap()),
            ("x-api-key".parse().unwrap(), "hunter2".parse().unwrap()),
            (header::IF_NONE_MATCH, "a".parse().unwrap()),
        ];
        let request = TransportRequest {
            headers: of_request.into_iter().collect(),
            ..TransportRequest::get(from)
        };
        let headers = HeaderMap::from_iter([(header::LOCATION, to.parse().unwrap())]);
        let next = next(&request, StatusCode::FOUND, &headers)?;
        Some((next.url.to_string(), next.headers.len()))
    }

    #[test]
    fn headers_stay_at_their_origin() {
        for (to, expected) in [
            ("/b?x=y", Some(("http://a:80/b?x=y", 3))),
            ("c", Some(("http://a/v1/c", 3))),
            ("http://a:8080/", Some(("http://a:8080/", 0))),
            ("https://a/", Some(("https://a/", 0))),
            ("//b/", Some(("http://b/", 0))),
            ("http://u:p@b/", Some(("http://b/", 0))),
            ("ftp://b/", None),
            ("file:///etc/passwd", None),
        ] {
            let expected = expected.map(|(url, headers)| (url.replace(":80/", "/"), headers));
            assert_eq!(following("http://a/v1/metrics", to), expected, "{to}");
        }
    }

    #[test]
    fn a_post_is_repeated_only_where_the_server_says_so_and_never_elsewhere() {
        let content_type = (header::CONTENT_TYPE, "a/b".parse().unwrap());
        let request = TransportRequest {
            method: Method::Post,
            body: Bytes::from_static(b"x"),
            headers: HeaderMap::from_iter([content_type]),
            ..TransportRequest::get("http://a/v1")
        };
        let to = |to: &str| HeaderMap::from_iter([(header::LOCATION, to.parse().unwrap())]);
        for (status, expected) in [(302, (Method::Get, 0, 0)), (307, (Method::Post, 1, 1))] {
            let status = StatusCode::from_u16(status).unwrap();
            let next = next(&request, status, &to("/v2")).unwrap();
            assert_eq!((next.method, next.body.len(), next.headers.len()), expected);
        }
        let status = StatusCode::PERMANENT_REDIRECT;
        assert!(next(&request, status, &to("http://b/v2")).is_none());
        let said = not_followed(&request, status, &to("http://b/v2"));
        assert!(said.contains("a POST is not repeated there"), "{said}");
    }

    #[test]
    fn a_location_shows_no_value() {
        let from = TransportRequest::get("http://a/");
        let to = "/login?token=hunter2".parse().unwrap();
        let headers = HeaderMap::from_iter([(header::LOCATION, to)]);
        let said = not_followed(&from, StatusCode::FOUND, &headers);
        assert!(said.contains("http://a/login?token=[REDACTED]"), "{said}");
        let said = not_followed(&from, StatusCode::FOUND, &HeaderMap::new());
        assert_eq!(said, ", a redirect without a URL in `Location`");
        let said = not_followed(&from, StatusCode::NOT_MODIFIED, &headers);
        assert_eq!(said, "");
    }
}
