//! The URL of a proxy.

use std::{borrow::Cow, fmt, str::FromStr};

use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The URL of an HTTP proxy. Its user and password are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

/// Why a text is not the URL of a proxy. The messages do not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// The text is not the URL of a proxy.
    #[error("expected the URL of a proxy, such as http://proxy:3128")]
    Syntax,
    /// The proxy uses another protocol.
    #[error("only http:// and https:// proxies are supported, no SOCKS")]
    Scheme,
}

impl ProxyUrl {
    /// The URL with its credentials.
    pub fn get(&self) -> &Url {
        &self.0
    }

    /// The URL without its credentials.
    pub fn shown(&self) -> String {
        let mut url = self.0.clone();
        // These calls fail only for a URL without a host, and this URL has one.
        let is_without = url.set_username("").is_ok() && url.set_password(None).is_ok();
        match is_without {
            true => url.to_string(),
            false => super::REDACTED.to_owned(),
        }
    }
}

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    fn from_str(text: &str) -> Result<Self, ProxyUrlError> {
        let url = Url::parse(text.trim()).map_err(|_| ProxyUrlError::Syntax)?;
        if url.scheme().starts_with("socks") {
            return Err(ProxyUrlError::Scheme);
        }
        let is_proxy = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        is_proxy.then_some(Self(url)).ok_or(ProxyUrlError::Syntax)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.shown())
    }
}

impl<'de> Deserialize<'de> for ProxyUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for ProxyUrl {
    fn schema_name() -> Cow<'static, str> {
        "ProxyUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^https?://",
            "description": "The URL of a proxy, such as http://proxy:3128.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_in_the_url_but_never_shown() {
        let proxy: ProxyUrl = "http://me:secret@proxy:3128".parse().unwrap();
        assert_eq!(proxy.get().password(), Some("secret"));
        assert_eq!(format!("{proxy:?}"), "http://proxy:3128/");
        assert_eq!(
            serde_json::to_string(&proxy).unwrap(),
            "\"http://proxy:3128/\""
        );
    }

    #[test]
    fn errors_do_not_repeat_an_invalid_url() {
        for (text, error) in [
            ("proxy:3128", ProxyUrlError::Syntax),
            ("http://proxy/path", ProxyUrlError::Syntax),
            ("secret", ProxyUrlError::Syntax),
            ("socks5://proxy:1080", ProxyUrlError::Scheme),
        ] {
            assert_eq!(text.parse::<ProxyUrl>(), Err(error), "{text}");
        }
    }
}
