//! Values that a message must not repeat: those below keys for secrets, and most of a URL.

/// Last words of keys whose value is or contains a secret.
const SECRET_WORDS: [&str; 19] = [
    "auth",
    "authorization",
    "basic",
    "bearer",
    "credential",
    "credentials",
    "header",
    "headers",
    "login",
    "params",
    "pass",
    "password",
    "passwd",
    "pem",
    "proxy",
    "secret",
    "secrets",
    "token",
    "apikey",
];

/// Whether the value of a key may contain a secret. The path of a file does not.
pub(super) fn holds_secrets(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let last = key.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let ends = ["api_key", "api-key", "access_key", "proxy_url"];
    SECRET_WORDS.contains(&last) || ends.iter().any(|end| key.ends_with(end))
}

/// A key below one for secrets. `None` if it looks like a text with a colon: `Authorization: Bearer
/// …`.
pub(super) fn plain_key(key: &str) -> Option<&str> {
    const LONGEST: usize = 40;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    (key.len() <= LONGEST && key.chars().all(is_plain)).then_some(key)
}

/// The start of a URL, up to where a password, a path or a query may be. `None` if the text is not
/// a URL.
pub fn beginning_of_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let is_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    Some(match (scheme.trim(), host) {
        (scheme, _) if scheme.len() > 10 || !scheme.chars().all(is_scheme) => String::new(),
        (scheme, host) if is_host(host) => format!("{scheme}://{host}"),
        (scheme, _) => format!("{scheme}://"),
    })
}

/// Whether a text is only a host, perhaps with a port.
pub(super) fn is_host(text: &str) -> bool {
    const LONGEST: usize = 60;
    let is_known = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
    text.len() <= LONGEST && text.chars().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_for_secrets() {
        for key in [
            "auth",
            "bearer",
            "headers",
            "proxy_url",
            "X-Api-Key",
            "client_secret",
        ] {
            assert!(holds_secrets(key), "{key}");
        }
        for key in [
            "token_file",
            "endpoint",
            "key_file",
            "header_timeout",
            "targets",
            "author",
        ] {
            assert!(!holds_secrets(key), "{key}");
        }
    }

    #[test]
    fn urls_end_before_what_may_be_secret() {
        for (text, shown) in [
            ("http://h:99999/?token=hunter2", Some("http://h:99999")),
            ("http://h?hunter2", Some("http://h")),
            ("http://a:hunter2@h/", Some("http://")),
            ("hunter2 http://h", Some("")),
            ("h:80", None),
        ] {
            assert_eq!(beginning_of_url(text).as_deref(), shown, "{text}");
        }
        assert!(is_host("example.com:80") && !is_host("h/hunter2"));
        assert_eq!(plain_key("X-Api-Key"), Some("X-Api-Key"));
        assert_eq!(plain_key("Authorization: Bearer hunter2"), None);
    }
}
