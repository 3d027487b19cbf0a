//! The URL of a server.

use reqwest::Url;
use std::{fmt, str::FromStr, sync::Arc};

use super::REDACTED;

/// An absolute `http://` or `https://` URL without credentials. Printed or serialized, its query
/// shows only names, because a value may be a token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(Arc<Url>); // shared, because a target keeps it in several places

/// Why a text is not the URL of a server. The messages do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HttpUrlError {
    #[error("expected a URL that begins with http:// or https://")]
    Scheme,
    #[error("expected a URL such as https://example.com/api")]
    Syntax,
    #[error("a user or password must not be part of the URL: use `auth` or `headers`")]
    Credentials,
}

impl HttpUrl {
    /// The complete URL.
    pub fn get(&self) -> &Url {
        &self.0
    }

    /// The host name or IP address.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port. Without a port in the URL, it is the default port of the scheme.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// The address as `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port())
    }

    /// Whether a path can be appended: the URL has neither a query nor a fragment.
    pub fn is_base(&self) -> bool {
        self.0.query().is_none() && self.0.fragment().is_none()
    }

    /// Whether the connection is encrypted.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        // This check is first, so that no other message can show the credentials. An `@` in the
        // path or the query does not belong to credentials.
        if rest
            .split(['/', '?', '#', '\\'])
            .next()
            .is_some_and(|host| host.contains('@'))
        {
            return Err(HttpUrlError::Credentials);
        }
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(HttpUrlError::Scheme);
        }
        let url = Url::parse(text).map_err(|_| HttpUrlError::Syntax)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpUrlError::Credentials);
        }
        if !url.has_host() {
            return Err(HttpUrlError::Syntax);
        }
        Ok(Self(Arc::new(url)))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(query) = self.0.query().filter(|query| !query.is_empty()) else {
            return self.0.fmt(f);
        };
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((name, _)) => format!("{name}={REDACTED}"),
            None => REDACTED.to_owned(),
        });
        let mut shown = self.get().clone();
        shown.set_query(Some(&parts.collect::<Vec<_>>().join("&")));
        shown.fmt(f)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpUrl").field(&self.to_string()).finish()
    }
}

written_as_text!(HttpUrl, "a URL such as https://example.com/api", {
    "type": "string",
    "description": "An absolute URL, without a user and password.",
    "pattern": "^\\s*[hH][tT][tT][pP][sS]?://|\\$\\{",
    "examples": ["https://example.com/api", "http://localhost:4318"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_absolute_urls() {
        let url: HttpUrl = "https://example.com/a?b=c@d".parse().unwrap();
        assert_eq!(url.get().as_str(), "https://example.com/a?b=c@d");
        assert_eq!(
            (url.host(), url.port(), url.is_https()),
            ("example.com", 443, true)
        );
    }

    #[test]
    fn the_values_of_the_query_are_not_shown() {
        for (text, shown) in [
            ("http://a/b", "http://a/b"),
            ("http://a/b?", "http://a/b?"),
            ("http://a/b?token=hunter2", "http://a/b?token=[REDACTED]"),
            ("http://a/?hunter2", "http://a/?[REDACTED]"),
            (
                "http://a/?id=hunter2&key=hunter2=&x#top",
                "http://a/?id=[REDACTED]&key=[REDACTED]&[REDACTED]#top",
            ),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
            assert_eq!(format!("{url:?}"), format!("HttpUrl({shown:?})"));
            assert_eq!(url.get().as_str(), text, "the request has the whole URL");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, error) in [
            ("", HttpUrlError::Scheme),
            ("example.com", HttpUrlError::Scheme),
            ("localhost:4318", HttpUrlError::Scheme),
            ("ftp://example.com", HttpUrlError::Scheme),
            ("http://", HttpUrlError::Syntax),
            ("http://a:99999", HttpUrlError::Syntax),
            ("http://user@a", HttpUrlError::Credentials),
            ("https://user:pass@a/b", HttpUrlError::Credentials),
            ("user:pass@a/b", HttpUrlError::Credentials),
            ("http:///u:p@a", HttpUrlError::Credentials),
        ] {
            assert_eq!(text.parse::<HttpUrl>(), Err(error), "{text}");
        }
    }
}
