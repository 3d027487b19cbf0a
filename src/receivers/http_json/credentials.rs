//! Who we are to a target: basic or bearer, each also from a file that may be rotated.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use tokio::time::Instant;

use super::config::{AuthConfig, BasicConfig, BearerConfig};

/// A secret's file is read again after this time, so that a rotated one is noticed.
const REREAD_AFTER: Duration = Duration::from_secs(10);

/// A secret's file is no larger than this.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Adds an `Authorization` header, or nothing.
#[derive(Debug)]
pub(super) struct Credentials {
    auth: AuthConfig,
    last: Mutex<Option<(Instant, HeaderValue)>>,
}

/// Why there is no `Authorization` header. Never holds the secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
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
    pub(super) fn new(auth: AuthConfig) -> Self {
        Self {
            auth,
            last: Mutex::new(None),
        }
    }

    /// Adds the header.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) -> Result<(), CredentialsError> {
        if self.auth.basic.is_none() && self.auth.bearer.is_none() {
            return Ok(());
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
        headers.insert(AUTHORIZATION, value);
        Ok(())
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
    let failed = |source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES_MAX {
        return Err(CredentialsError::TooLarge {
            path: path.to_owned(),
        });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
