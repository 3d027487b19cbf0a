//! Makes the message of a server safe to show: one line of limited length without the collector's
//! own secrets, which a server can repeat.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderMap;
use reqwest::Url;

use crate::settings::REDACTED;

/// The longest message that is shown, in characters.
const MAX_CHARS: usize = 500;

/// The longest part of a message that is read.
const MAX_BYTES: usize = 64 * 1024;

/// A shorter text is not treated as a secret: replacing it would make messages unreadable.
const MIN_SECRET_BYTES: usize = 4;

/// The secrets of a request.
#[derive(Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// The secrets in sensitive headers and in the query of the URL.
    pub fn of(url: Option<&Url>, headers: &HeaderMap) -> Self {
        let mut secrets = Vec::new();
        for value in headers.values().filter(|value| value.is_sensitive()) {
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Some((scheme, rest)) = text.split_once(' ') {
                secrets.push(rest.to_owned());
                if scheme.eq_ignore_ascii_case("basic") {
                    secrets.extend(password(rest));
                }
            }
            secrets.push(text.into_owned());
        }
        if let Some(url) = url {
            secrets.extend(url.password().map(str::to_owned));
            let raw = url.query().unwrap_or_default().split('&');
            let raw = raw.filter_map(|pair| pair.split_once('='));
            secrets.extend(raw.map(|(_, value)| value.to_owned()));
            secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        }
        Self::of_texts(secrets)
    }

    /// These secrets.
    pub fn of_texts(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
        // A secret that contains another one is replaced first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets)
    }

    /// The message of a server as one line.
    pub fn quote(&self, words: &[u8]) -> String {
        let words = words.get(..MAX_BYTES).unwrap_or(words);
        let text = String::from_utf8_lossy(words);
        let is_space = |c: char| c.is_whitespace() || c.is_control();
        let words: Vec<&str> = text
            .split(is_space)
            .filter(|word| !word.is_empty())
            .collect();
        let mut line = words.join(" ");
        for secret in &self.0 {
            line = line.replace(secret.as_str(), REDACTED);
        }
        match line.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => {
                line.truncate(end);
                line.push('…');
                line
            }
            None => line,
        }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(")?;
        write!(f, "{}", self.0.len())?;
        f.write_char(')')
    }
}

/// The password of basic authentication, and the user with the password.
fn password(encoded: &str) -> Vec<String> {
    let pair = BASE64_STANDARD.decode(encoded.trim()).unwrap_or_default();
    let pair = String::from_utf8_lossy(&pair).into_owned();
    let password = pair
        .split_once(':')
        .map(|(_, password)| password.to_owned());
    [Some(pair), password].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, header};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let mut value = HeaderValue::from_static(value);
            value.set_sensitive(true);
            (name.clone(), value)
        });
        pairs.collect()
    }

    #[test]
    fn a_secret_is_redacted_in_every_form() {
        let basic = BASE64_STANDARD.encode("fleet:pass:word");
        let mut headers = headers(&[
            (HeaderName::from_static("x-api-key"), "topsecret"),
            (HeaderName::from_static("x-token"), "topsecret-and-more"),
            (header::COOKIE, "Bearer tok3n"),
            (HeaderName::from_static("x-org"), "a"),
        ]);
        let mut value = HeaderValue::from_str(&format!("Basic {basic}")).unwrap();
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
        let url: Url = "https://a/?key=q%2Fuery&other=x".parse().unwrap();
        let secrets = Secrets::of(Some(&url), &headers);
        let words = format!(
            "a {basic} pass:word Bearer tok3n tok3n topsecret-and-more topsecret q%2Fuery q/uery"
        );
        let shown = secrets.quote(words.as_bytes());
        let expected = [
            "a",
            "[REDACTED] [REDACTED] [REDACTED] [REDACTED] [REDACTED] [REDACTED] \
             [REDACTED] [REDACTED]",
        ]
        .join(" ");
        assert_eq!(shown, expected);
        assert_eq!(format!("{secrets:?}"), "Secrets(10)");
    }

    #[test]
    fn a_message_is_one_line_of_limited_length() {
        let secrets = Secrets::default();
        let words = b"\n line\r\n level=ERROR\x1b[31m \xff ";
        assert_eq!(secrets.quote(words), "line level=ERROR [31m \u{fffd}");
        let shown = secrets.quote("ä".repeat(100_000).as_bytes());
        assert_eq!(shown.chars().count(), MAX_CHARS + 1);
        assert!(shown.ends_with('…'));
    }
}
