//! Detects requests that another site's page makes through a browser. They must not change
//! anything.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Version, header, request::Parts, uri::Authority};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request names its host as HTTP requires (RFC 9112 §3.2): once, unless its version is
/// older than 1.1.
pub(super) fn names_its_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => head.version < Version::HTTP_11,
        (Some(host), None) => {
            let host = host.to_str().unwrap_or(" ");
            host.is_empty() || (host.parse::<Authority>().is_ok() && !host.contains('@'))
        }
        (Some(_), Some(_)) => false,
    }
}

/// Why a request that changes something is refused. A browser sends `Origin` or `Sec-Fetch-Site`
/// with every such request. With a name that resolves to our address (DNS rebinding), a foreign
/// page looks like the same site, so only the collector's own names are accepted.
pub(super) fn refusal(head: &Parts, ours: &[String], is_admitted: bool) -> Option<&'static str> {
    let host = authority(head);
    if is_cross_site(&head.headers, host) {
        return Some("a page of another site made this request\n");
    }
    let is_ours = host.is_none_or(|host| is_known(host, ours));
    // A request with a secret does not come from a misled browser.
    (!is_ours && !is_admitted).then_some(
        "`Host` is not a name of this collector: use its address, or add the name \
         under `allowed_hosts` of `health_check`\n",
    )
}

fn authority(head: &Parts) -> Option<&str> {
    let host = || head.headers.get(header::HOST)?.to_str().ok();
    let of_target = head.uri.authority().map(Authority::as_str);
    of_target.or_else(host)
}

fn is_cross_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    let fetched = headers.get(SEC_FETCH_SITE);
    let fetched = fetched.is_some_and(|site| site != "same-origin" && site != "none");
    let origin = headers.get(header::ORIGIN).map(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        origin.split_once("://").map(|(_, authority)| authority)
    });
    let is_foreign = |origin: Option<&str>| match (origin, host) {
        (Some(origin), Some(host)) => !origin.eq_ignore_ascii_case(host),
        _ => true,
    };
    fetched || origin.is_some_and(is_foreign)
}

/// Whether no one else can make the name resolve to this machine: an address, a name without a dot,
/// or a configured name.
fn is_known(authority: &str, ours: &[String]) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return authority.is_empty();
    };
    let host = authority.host().trim_end_matches('.');
    let bare = host.trim_matches(['[', ']']);
    bare.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || host.to_ascii_lowercase().ends_with(".localhost")
        || ours.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let request = Request::post("/-/reload");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_pages_of_other_sites_are_refused() {
        for (headers, is_obeyed) in [
            (&[][..], true),
            (&[("host", "localhost:9200")], true),
            (&[("host", "10.1.2.3")], true),
            (&[("host", "[::1]:9200")], true),
            (&[("host", "collector:9200")], true),
            (&[("host", "Collector.monitoring.svc")], true),
            (&[("host", "evil.example:9200")], false),
            (&[("host", "evil.example.:9200")], false),
            (&[("host", "127.0.0.1.evil.example")], false),
            (&[("host", "a:1"), ("origin", "http://A:1")], true),
            (&[("host", "a:1"), ("origin", "http://a:2")], false),
            (
                &[("host", "a:1"), ("origin", "https://evil.example")],
                false,
            ),
            (&[("host", "a:1"), ("origin", "null")], false),
            (&[("origin", "http://a:1")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "a:1"), ("sec-fetch-site", "same-origin")], true),
        ] {
            let ours = ["collector.monitoring.svc".to_owned()];
            let refusal = refusal(&head(headers), &ours, false);
            assert_eq!(refusal.is_none(), is_obeyed, "{headers:?}");
        }
        let rebound = head(&[("host", "evil.example")]);
        assert_eq!(
            refusal(&rebound, &[], true),
            None,
            "the request has the secret"
        );
    }

    #[test]
    fn a_request_must_name_its_host_once() {
        for (headers, is_sound) in [
            (&[("host", "a:1")][..], true),
            (&[("host", "")], true),
            (&[], false),
            (&[("host", "a"), ("host", "a")], false),
            (&[("host", "a b")], false),
            (&[("host", "u@a")], false),
        ] {
            assert_eq!(names_its_host(&head(headers)), is_sound, "{headers:?}");
        }
        let mut old = head(&[]);
        old.version = Version::HTTP_10;
        assert!(names_its_host(&old));
    }
}
