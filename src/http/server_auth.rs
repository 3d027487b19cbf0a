//! What a client must send to be admitted by a listener.

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

use super::{CredentialsError, SecretHeader, ServerAuthConfig};

/// The `Authorization` header that clients must send.
#[derive(Debug)]
pub struct ServerAuth {
    expected: SecretHeader,
    is_basic: bool,
}

impl ServerAuth {
    /// What `config` says. `None` if every client is admitted.
    pub fn new(config: &ServerAuthConfig) -> Option<Self> {
        let expected = match (&config.basic, &config.bearer) {
            (Some(basic), _) => SecretHeader::from(basic),
            (None, Some(bearer)) => SecretHeader::from(bearer),
            (None, None) => return None,
        };
        Some(Self {
            expected,
            is_basic: config.basic.is_some(),
        })
    }

    /// Reads the secret, to find a mistake before the first request.
    ///
    /// # Errors
    /// If the file of the secret cannot be used.
    pub fn verify(&self) -> Result<(), CredentialsError> {
        self.expected.verify()
    }

    /// Whether a request has the header. A wrong secret takes as much time as the right one.
    ///
    /// # Errors
    /// If the file of the secret cannot be used.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<bool, CredentialsError> {
        let expected = self.expected.value().await?;
        let Some(given) = headers.get(AUTHORIZATION) else {
            return Ok(false);
        };
        let (scheme, secret) = split(&expected);
        let (given_scheme, given) = split(given);
        Ok(given_scheme.eq_ignore_ascii_case(scheme) && bool::from(given.ct_eq(secret)))
    }

    /// The `WWW-Authenticate` header for a client without the right credentials.
    pub fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self.is_basic {
            true => "Basic realm=\"betanet-collector\", charset=\"UTF-8\"",
            false => "Bearer realm=\"betanet-collector\"",
        })
    }
}

/// The scheme and the secret of a header.
fn split(value: &HeaderValue) -> (&[u8], &[u8]) {
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ');
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    (scheme, rest.trim_ascii())
}
