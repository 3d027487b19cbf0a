//! The `Authorization` header of outgoing requests, and the one that clients must send. Its secret
//! may be in a file that is rotated.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::auth::{AuthConfig, BasicConfig, BearerConfig};
use crate::runtime::read_text;

/// A secret file is read again after this time, so that a rotated one is noticed.
const REREAD_AFTER: Duration = Duration::from_secs(10);

/// The largest secret file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// An `Authorization` header, or none.
#[derive(Debug)]
pub struct Credentials {
    auth: AuthConfig,
    last: Mutex<Option<(Instant, HeaderValue)>>,
}

/// Why there is no `Authorization` header. The error never contains the secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// Why the file cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than a secret can be.
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
    },
    /// The secret has characters that a header cannot have.
    #[error("the secret has characters that a header cannot have")]
    Unprintable,
}

impl Credentials {
    /// The credentials of `auth`. The file is read at the first request.
    pub fn new(auth: AuthConfig) -> Self {
        Self {
            auth,
            last: Mutex::new(None),
        }
    }

    /// Whether both have the same configuration.
    pub fn are_like(&self, other: &Self) -> bool {
        self.auth == other.auth
    }

    /// Reads the secret, to find a mistake before the first request.
    ///
    /// # Errors
    /// If the file of the secret cannot be used.
    pub fn verify(&self) -> Result<(), CredentialsError> {
        self.value().map(drop)
    }

    /// Adds the header, if there is one.
    ///
    /// # Errors
    /// If the file of the secret cannot be used.
    pub fn add_to(&self, headers: &mut HeaderMap) -> Result<(), CredentialsError> {
        if let Some(value) = self.value()? {
            headers.insert(AUTHORIZATION, value);
        }
        Ok(())
    }

    /// Whether a request has the header. Without configured credentials every request does. A wrong
    /// secret takes as much time as the right one.
    ///
    /// # Errors
    /// If the file of the secret cannot be used.
    pub fn admit(&self, headers: &HeaderMap) -> Result<bool, CredentialsError> {
        let Some(expected) = self.value()? else {
            return Ok(true);
        };
        let Some(given) = headers.get(AUTHORIZATION) else {
            return Ok(false);
        };
        let (scheme, secret) = split(&expected);
        let (given_scheme, given) = split(given);
        Ok(given_scheme.eq_ignore_ascii_case(scheme) && bool::from(given.ct_eq(secret)))
    }

    /// The `WWW-Authenticate` header for a client without the right credentials.
    pub fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self.auth.basic {
            Some(_) => "Basic realm=\"betanet-collector\", charset=\"UTF-8\"",
            None => "Bearer realm=\"betanet-collector\"",
        })
    }

    /// The header. Its file is read again from time to time.
    fn value(&self) -> Result<Option<HeaderValue>, CredentialsError> {
        if self.auth.is_none() {
            return Ok(None);
        }
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let value = match &*last {
            Some((read, value)) if read.elapsed() < REREAD_AFTER => value.clone(),
            _ => {
                let value = self.header()?;
                *last = Some((Instant::now(), value.clone()));
                value
            }
        };
        Ok(Some(value))
    }

    fn header(&self) -> Result<HeaderValue, CredentialsError> {
        let text = match (&self.auth.basic, &self.auth.bearer) {
            (Some(basic), _) => format!("Basic {}", BASE64_STANDARD.encode(basic_pair(basic)?)),
            (None, Some(bearer)) => format!("Bearer {}", bearer_token(bearer)?),
            (None, None) => String::new(),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| CredentialsError::Unprintable)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The scheme and the secret of a header.
fn split(value: &HeaderValue) -> (&[u8], &[u8]) {
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ');
    let (scheme, rest) = value.split_at(end.unwrap_or(value.len()));
    (scheme, rest.trim_ascii())
}

fn basic_pair(basic: &BasicConfig) -> Result<String, CredentialsError> {
    let password = match &basic.password_file {
        Some(path) => read(path)?,
        None => basic.password.expose().to_owned(),
    };
    Ok(format!("{}:{password}", basic.username))
}

fn bearer_token(bearer: &BearerConfig) -> Result<String, CredentialsError> {
    match &bearer.token_file {
        Some(path) => read(path),
        None => Ok(bearer.token.expose().to_owned()),
    }
}

/// The text of a file without the line end that editors add.
fn read(path: &Path) -> Result<String, CredentialsError> {
    match read_text(path, FILE_BYTES_MAX) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => Err(CredentialsError::TooLarge {
            path: path.to_owned(),
        }),
        Err(source) => Err(CredentialsError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}
