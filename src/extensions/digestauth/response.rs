//! The answer to a challenge (RFC 7616 §3.4).

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{self, digest},
    rand,
};
use md5::{Digest as _, Md5};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::challenge::{Algorithm, Challenge};
use crate::settings::REDACTED;

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) username: String,
    pub(super) password: Arc<str>,
}

/// A challenge, and what it is answered with.
pub(super) struct Answered<'a> {
    pub(super) who: &'a Who,
    pub(super) challenge: &'a Challenge,
    pub(super) method: &'a str,
    /// Path and query of the request.
    pub(super) uri: &'a str,
    /// A random text of ours.
    pub(super) cnonce: &'a str,
    /// How many requests have had the nonce, with this one.
    pub(super) count: u32,
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// A text that nobody can guess.
pub(super) fn random_cnonce() -> String {
    let mut bytes = [0; 16];
    // The system always has random numbers once it has started.
    if rand::fill(&mut bytes).is_err() {
        tracing::warn!("the system has no random numbers");
    }
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(digest(&digest::SHA256, text.as_bytes()).as_ref()),
            Self::Sha512_256 => hex(digest(&digest::SHA512_256, text.as_bytes()).as_ref()),
        }
    }
}

impl Answered<'_> {
    /// The value of `Authorization`.
    pub(super) fn header(&self) -> String {
        let Challenge {
            realm,
            nonce,
            opaque,
            algorithm,
            is_session,
            has_qop,
            hashes_user,
            ..
        } = self.challenge;
        let session = if *is_session { "-sess" } else { "" };
        let mut parts = vec![
            self.user(*hashes_user),
            format!("realm={}", quoted(realm)),
            format!("nonce={}", quoted(nonce)),
            format!("uri={}", quoted(self.uri)),
            format!("algorithm={}{session}", algorithm.name()),
            format!("response=\"{}\"", self.response()),
        ];
        parts.extend(opaque.as_ref().map(|it| format!("opaque={}", quoted(it))));
        if *has_qop {
            parts.push(format!("qop=auth, nc={:08x}", self.count));
        }
        if *has_qop || *is_session {
            parts.push(format!("cnonce=\"{}\"", self.cnonce));
        }
        if *hashes_user {
            parts.push("userhash=true".to_owned());
        }
        format!("Digest {}", parts.join(", "))
    }

    /// The name: as a hash, as text, or encoded if it has letters outside of ASCII.
    fn user(&self, is_hashed: bool) -> String {
        let Who { username, .. } = self.who;
        if is_hashed {
            let text = format!("{username}:{}", self.challenge.realm);
            return format!("username=\"{}\"", self.challenge.algorithm.hash(&text));
        }
        match username.is_ascii() {
            true => format!("username={}", quoted(username)),
            false => {
                let encoded = utf8_percent_encode(username, NON_ALPHANUMERIC);
                format!("username*=UTF-8''{encoded}")
            }
        }
    }

    fn response(&self) -> String {
        let Challenge {
            realm,
            nonce,
            algorithm,
            ..
        } = self.challenge;
        let Who { username, password } = self.who;
        let user = algorithm.hash(&format!("{username}:{realm}:{password}"));
        let user = match self.challenge.is_session {
            true => algorithm.hash(&format!("{user}:{nonce}:{}", self.cnonce)),
            false => user,
        };
        let request = algorithm.hash(&format!("{}:{}", self.method, self.uri));
        algorithm.hash(&match self.challenge.has_qop {
            true => {
                let (count, cnonce) = (self.count, self.cnonce);
                format!("{user}:{nonce}:{count:08x}:{cnonce}:auth:{request}")
            }
            false => format!("{user}:{nonce}:{request}"),
        })
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
