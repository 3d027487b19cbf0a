//! The challenges of a server (RFC 7616 §3.3).

use http::{HeaderMap, HeaderName, header::WWW_AUTHENTICATE};

const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

/// A challenge that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags of the RFC, each for itself"
)]
pub(super) struct Challenge {
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) opaque: Option<String>,
    pub(super) algorithm: Algorithm,
    /// Whether the hash is of the session: of the first nonce and ours.
    pub(super) is_session: bool,
    /// Whether the server counts the requests of a nonce. Servers before RFC 2617 do not.
    pub(super) has_qop: bool,
    /// Whether the server wants a hash in place of the user name.
    pub(super) hashes_user: bool,
    /// Whether only the nonce of the refused request was wrong.
    pub(super) is_stale: bool,
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

/// The server asks for digest authentication in a way that is not supported.
#[derive(Debug, thiserror::Error)]
#[error("the server wants a digest with {0}, which is not supported")]
pub(super) struct ChallengeError(String);

/// One challenge of a header: its scheme and its parameters.
#[derive(Debug, Default)]
struct RawChallenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The first challenge that can be answered: the server lists them in its order of preference.
    /// `None` if the server asks for another scheme.
    ///
    /// # Errors
    /// If the server asks for digests, and for none that can be computed.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, ChallengeError> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let raw: Vec<_> = texts.flat_map(|text| challenges(&text)).collect();
        let digests = raw.iter().filter(|raw| raw.scheme == "digest");
        let mut unknown = None;
        for digest in digests {
            match Self::parsed(digest) {
                Ok(challenge) => return Ok(Some(challenge)),
                Err(error) => unknown = unknown.or(Some(error)),
            }
        }
        unknown.map_or(Ok(None), Err)
    }

    fn parsed(raw: &RawChallenge) -> Result<Self, ChallengeError> {
        let named = raw.get("algorithm").unwrap_or("MD5").to_ascii_uppercase();
        let (name, is_session) = match named.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (named.as_str(), false),
        };
        let algorithm = match name {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            "SHA-512-256" => Algorithm::Sha512_256,
            _ => return Err(ChallengeError(shown(&named))),
        };
        let qop = raw.get("qop").filter(|qop| !qop.trim().is_empty());
        let is_auth = |qop: &str| qop.trim().eq_ignore_ascii_case("auth");
        if let Some(qop) = qop
            && !qop.split(',').any(is_auth)
        {
            return Err(ChallengeError(format!("qop={}", shown(qop))));
        }
        let is_true = |name| {
            raw.get(name)
                .is_some_and(|it| it.eq_ignore_ascii_case("true"))
        };
        let missing = |name: &str| ChallengeError(format!("no {name}"));
        Ok(Self {
            realm: raw.get("realm").unwrap_or_default().to_owned(),
            nonce: raw.get("nonce").ok_or_else(|| missing("nonce"))?.to_owned(),
            opaque: raw.get("opaque").map(str::to_owned),
            algorithm,
            is_session,
            has_qop: qop.is_some(),
            hashes_user: is_true("userhash"),
            is_stale: is_true("stale"),
        })
    }

    /// The same challenge with the next nonce.
    pub(super) fn with_nonce(&self, nonce: String) -> Self {
        Self {
            nonce,
            ..self.clone()
        }
    }
}

impl Algorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }
}

impl RawChallenge {
    fn get(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

/// The nonce that the server wants next.
pub(super) fn next_nonce(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHENTICATION_INFO)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    // It is a list of parameters, without a scheme.
    let info = challenges(&format!("info {text}"));
    let nonce = info.first()?.get("nextnonce")?;
    (!nonce.is_empty()).then(|| nonce.to_owned())
}

/// A text of a server, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Parses a list of challenges (RFC 9110 §11.6.1). What is none is left out.
fn challenges(text: &str) -> Vec<RawChallenge> {
    let mut found: Vec<RawChallenge> = Vec::new();
    for part in parts(text) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        // `Digest realm="a"` begins a challenge, `realm="a"` continues one.
        let (scheme, name) = match name.split_once(char::is_whitespace) {
            Some((scheme, name)) => (Some(scheme), name.trim()),
            None if value.is_none() => (Some(name), ""),
            None => (None, name),
        };
        if let Some(scheme) = scheme.filter(|scheme| !scheme.is_empty()) {
            found.push(RawChallenge {
                scheme: scheme.to_ascii_lowercase(),
                parameters: Vec::new(),
            });
        }
        if let (Some(challenge), Some(value)) = (found.last_mut(), value) {
            let parameter = (name.to_ascii_lowercase(), unquoted(value));
            challenge.parameters.push(parameter);
        }
    }
    found
}

/// What commas outside of quotes separate.
fn parts(text: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        let ends = letter == ',' && !is_quoted;
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && is_quoted && !is_escaped;
        ends
    })
    .collect()
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let (mut text, mut is_escaped) = (String::new(), false);
    for letter in inner.chars() {
        is_escaped = letter == '\\' && !is_escaped;
        if !is_escaped {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| {
            let value = HeaderValue::from_str(value).unwrap();
            (WWW_AUTHENTICATE, value)
        });
        values.collect()
    }

    #[test]
    fn the_first_challenge_that_can_be_answered_counts() {
        let rfc = [
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        ];
        let challenge = Challenge::of(&headers(&rfc)).unwrap().unwrap();
        assert_eq!(challenge.algorithm, Algorithm::Sha256);
        assert_eq!(challenge.realm, "http-auth@example.org");
        assert!(challenge.has_qop && !challenge.is_session && !challenge.is_stale);
        let first_unknown =
            ["Basic realm=\"a, b\", Digest algorithm=SHA-3, nonce=x, Digest nonce=y, stale=TRUE"];
        let challenge = Challenge::of(&headers(&first_unknown)).unwrap().unwrap();
        assert_eq!((challenge.nonce.as_str(), challenge.is_stale), ("y", true));
        assert!(!challenge.has_qop);
    }

    #[test]
    fn what_cannot_be_answered_is_named() {
        let error = |value| Challenge::of(&headers(&[value])).unwrap_err().to_string();
        assert_eq!(
            error("Digest nonce=x, qop=\"auth-int\""),
            "the server wants a digest with qop=auth-int, which is not supported"
        );
        assert!(error("Digest realm=a").contains("no nonce"));
        for other in ["Basic realm=\"Digest\"", "", ",,=,\"", "Negotiate"] {
            assert_eq!(Challenge::of(&headers(&[other])).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn the_next_nonce_is_found() {
        let info = HeaderValue::from_static("rspauth=\"x\", nextnonce=\"a\\\"b,c\", nc=00000001");
        let headers = HeaderMap::from_iter([(AUTHENTICATION_INFO, info)]);
        assert_eq!(next_nonce(&headers).as_deref(), Some("a\"b,c"));
        assert_eq!(next_nonce(&HeaderMap::new()), None);
    }
}
