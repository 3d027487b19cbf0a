//! The proxy of a destination: the configured one, or that of the environment by the rules of Go
//! programs, such as the Collector.

use std::{fmt, net::IpAddr};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::ConfigError;
use crate::settings::ProxyUrl;

/// The proxy of one destination.
#[derive(Clone)]
pub struct Proxy {
    /// The address of the proxy, without credentials.
    pub uri: Uri,
    /// The credentials for the proxy, as a header.
    pub auth: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy for `destination`: the `configured` one, or the one in `HTTP_PROXY`, `HTTPS_PROXY`
    /// or `ALL_PROXY`, also in lower case. There is none if `NO_PROXY` excludes the destination or
    /// the destination is this machine.
    ///
    /// # Errors
    /// If the proxy cannot be used.
    pub fn of(
        destination: &Uri,
        configured: Option<&ProxyUrl>,
    ) -> Result<Option<Self>, ConfigError> {
        let variable = |name: &str| std::env::var(name).ok();
        Self::chosen(destination, configured, &variable)
    }

    fn chosen(
        destination: &Uri,
        configured: Option<&ProxyUrl>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let (key, matcher) = match configured {
            Some(proxy) => ("proxy_url", Matcher::builder().all(proxy.get().as_str())),
            None if is_here(destination) => return Ok(None),
            None => ("endpoint", environment(variable)),
        };
        let Some(found) = matcher.build().intercept(destination) else {
            return Ok(None);
        };
        if !matches!(found.uri().scheme_str(), Some("http" | "https")) {
            let message = "the environment sets a proxy for it that uses neither http:// nor \
                           https://";
            return Err(ConfigError::new(key, message));
        }
        Ok(Some(Self::from(&found)))
    }

    /// The host and port, for messages.
    pub fn address(&self) -> &str {
        self.uri
            .authority()
            .map_or("", |authority| authority.as_str())
    }
}

impl From<&Intercept> for Proxy {
    fn from(found: &Intercept) -> Self {
        let auth = found.basic_auth().cloned().map(|mut auth| {
            auth.set_sensitive(true);
            auth
        });
        Self {
            uri: found.uri().clone(),
            auth,
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.address()).finish()
    }
}

/// The proxy that the environment sets.
fn environment(
    variable: &dyn Fn(&str) -> Option<String>,
) -> hyper_util::client::proxy::matcher::Builder {
    let either = |name: &str| {
        let value = variable(name).or_else(|| variable(&name.to_lowercase()));
        value.unwrap_or_default()
    };
    Matcher::builder()
        .all(either("ALL_PROXY"))
        .http(either("HTTP_PROXY"))
        .https(either("HTTPS_PROXY"))
        .no(either("NO_PROXY"))
}

/// Whether the destination is this machine. The proxies of the environment do not apply to it.
fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(destination: &str, environment: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let destination = destination.parse().unwrap();
        let chosen = Proxy::chosen(&destination, None, &variable).unwrap();
        chosen.map(|proxy| proxy.address().to_owned())
    }

    #[test]
    fn the_environment_sets_a_proxy_by_scheme_and_excludes_hosts() {
        let environment = [
            ("HTTP_PROXY", "http://clear:1"),
            ("https_proxy", "secure:2"),
            ("NO_PROXY", "example.org,.internal,10.0.0.0/8"),
        ];
        for (destination, expected) in [
            ("http://example.com/v1/metrics", Some("clear:1")),
            ("https://example.com/v1/metrics", Some("secure:2")),
            ("https://example.org/", None),
            ("https://a.internal:4317", None),
            ("https://10.1.2.3:4317", None),
            ("http://localhost:4318", None),
            ("http://127.0.0.1:4318", None),
            ("http://[::1]:4318", None),
        ] {
            let found = proxy(destination, &environment);
            assert_eq!(found.as_deref(), expected, "{destination}");
        }
        assert_eq!(proxy("https://example.com", &[]), None);
        let all = [("all_proxy", "http://all:3")];
        assert_eq!(proxy("https://a.b", &all).as_deref(), Some("all:3"));
    }

    #[test]
    fn a_configured_proxy_is_for_every_host() {
        let configured: ProxyUrl = "http://me:secret@proxy:3128".parse().unwrap();
        let destination = "http://127.0.0.1:4318".parse().unwrap();
        let proxy = Proxy::of(&destination, Some(&configured)).unwrap().unwrap();
        assert_eq!(proxy.address(), "proxy:3128");
        assert!(proxy.auth.as_ref().unwrap().is_sensitive());
        assert_eq!(format!("{proxy:?}"), "Proxy(\"proxy:3128\")");
    }

    #[test]
    fn a_proxy_with_another_protocol_is_refused() {
        let variable = |name: &str| (name == "ALL_PROXY").then(|| "socks5://a:1080".to_owned());
        let destination = "https://example.com".parse().unwrap();
        assert!(Proxy::chosen(&destination, None, &variable).is_err());
    }
}
