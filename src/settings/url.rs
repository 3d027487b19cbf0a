//! Where to send requests.

use reqwest::Url;
use std::{fmt, str::FromStr};

/// An absolute `http://` or `https://` URL without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(Url);

/// Why a text is no URL to send requests to. The messages do not repeat the text.
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
    /// The URL.
    pub fn get(&self) -> &Url {
        &self.0
    }

    /// The host name or IP address.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, which the scheme decides if the URL does not name one.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port())
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
        // First of all, so that no other message can show the credentials. An `@` in the path or
        // the query is none.
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
        Ok(Self(url))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
        assert_eq!(url.to_string(), "https://example.com/a?b=c@d");
        assert_eq!(
            (url.host(), url.port(), url.is_https()),
            ("example.com", 443, true)
        );
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
