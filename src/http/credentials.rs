//! The `Authorization` header, as we send it to a target and as a client must send it to us. What
//! is secret in it may stand in a file that is rotated.

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

/// A secret's file is read again after this time, so that a rotated one is noticed.
const REREAD_AFTER: Duration = Duration::from_secs(10);

/// A secret's file is no larger than this.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// An `Authorization` header, or nothing.
#[derive(Debug)]
pub struct Credentials {
    auth: AuthConfig,
    last: Mutex<Option<(Instant, HeaderValue)>>,
}

/// Why there is no `Authorization` header. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large for a secret.
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The secret has characters that no header can hold.
    #[error("the secret cannot stand in a header")]
    Unprintable,
}

impl Credentials {
    /// The credentials that `auth` describes; its file is read with the first request.
    pub fn new(auth: AuthConfig) -> Self {
        Self {
            auth,
            last: Mutex::new(None),
        }
    }

    /// Whether they are from the same configuration.
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

    /// Whether a request brings the header; any does where none is asked for. Takes as long for
    /// a wrong secret as for the right one.
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

    /// What a client that is not admitted is asked for.
    pub fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(match self.auth.basic {
            Some(_) => "Basic realm=\"betanet-collector\", charset=\"UTF-8\"",
            None => "Bearer realm=\"betanet-collector\"",
        })
    }

    /// The header, read again from its file from time to time.
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

/// Scheme and secret of a header.
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

/// A file's text without the line end that editors add.
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
