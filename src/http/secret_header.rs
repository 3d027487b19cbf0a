//! A header with a secret, such as `Authorization`. The secret may be in a file that is rotated.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::HeaderValue;

use super::{BasicConfig, BearerConfig};
use crate::{
    runtime::{RotatedText, RotatedTextError},
    settings::{REDACTED, Secret},
};

/// The largest secret file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A secret in the configuration, or in a file that is read again while the collector runs.
pub enum SecretText {
    /// The secret itself.
    Fixed(Arc<str>),
    /// A file with the secret.
    File(RotatedText),
}

/// The value of a header, made of a scheme and a secret.
pub struct SecretHeader {
    scheme: Scheme,
    /// The value, and the texts that it is made of.
    last: Mutex<Option<(Vec<Arc<str>>, HeaderValue)>>,
}

enum Scheme {
    Basic {
        username: SecretText,
        password: SecretText,
    },
    /// A word before the token; none if it is empty.
    Word { word: String, token: SecretText },
}

/// Why there is no header. The error never contains the secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialsError {
    /// The file of the secret cannot be used.
    #[error(transparent)]
    File(#[from] RotatedTextError),
    /// The secret has characters that a header cannot have.
    #[error("the secret has characters that a header cannot have")]
    Unprintable,
}

impl SecretText {
    /// The text in `file` if there is one, else `fixed`.
    pub fn new(fixed: &Secret, file: Option<&PathBuf>) -> Self {
        match file {
            Some(file) => Self::File(RotatedText::new(file.clone(), FILE_BYTES_MAX)),
            None => Self::fixed(fixed.expose()),
        }
    }

    /// A text that does not change.
    pub fn fixed(text: &str) -> Self {
        Self::Fixed(text.into())
    }

    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub fn verify(&self) -> Result<(), RotatedTextError> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::File(file) => file.verify(),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// If its file cannot be used.
    pub async fn text(&self) -> Result<Arc<str>, RotatedTextError> {
        match self {
            Self::Fixed(text) => Ok(Arc::clone(text)),
            Self::File(file) => file.text().await,
        }
    }

    /// The text after it was refused.
    ///
    /// # Errors
    /// If its file cannot be used.
    pub async fn newer_text(&self) -> Result<Arc<str>, RotatedTextError> {
        match self {
            Self::Fixed(text) => Ok(Arc::clone(text)),
            Self::File(file) => file.newer_text().await,
        }
    }
}

impl SecretHeader {
    /// A user with a password.
    pub fn basic(username: SecretText, password: SecretText) -> Self {
        Self::new(Scheme::Basic { username, password })
    }

    /// A token behind `word`. An empty word leaves only the token.
    pub fn token(word: &str, token: SecretText) -> Self {
        let word = word.to_owned();
        Self::new(Scheme::Word { word, token })
    }

    fn new(scheme: Scheme) -> Self {
        Self {
            scheme,
            last: Mutex::new(None),
        }
    }

    /// Reads the secret, to find a mistake before the first request.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn verify(&self) -> Result<(), CredentialsError> {
        match &self.scheme {
            Scheme::Basic { username, password } => {
                username.verify()?;
                password.verify()?;
            }
            Scheme::Word { token, .. } => token.verify()?,
        }
        Ok(())
    }

    /// The value. It is made again when a file has another text.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub async fn value(&self) -> Result<HeaderValue, CredentialsError> {
        let texts = match &self.scheme {
            Scheme::Basic { username, password } => {
                vec![username.text().await?, password.text().await?]
            }
            Scheme::Word { token, .. } => vec![token.text().await?],
        };
        self.made_of(texts)
    }

    /// The value after it was refused: a file may have another text.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub async fn newer_value(&self) -> Result<HeaderValue, CredentialsError> {
        let texts = match &self.scheme {
            Scheme::Basic { username, password } => {
                vec![username.newer_text().await?, password.newer_text().await?]
            }
            Scheme::Word { token, .. } => vec![token.newer_text().await?],
        };
        self.made_of(texts)
    }

    fn made_of(&self, texts: Vec<Arc<str>>) -> Result<HeaderValue, CredentialsError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, value)) = &*last
            && of.iter().zip(&texts).all(|(of, text)| of == text)
        {
            return Ok(value.clone());
        }
        let text = match &self.scheme {
            Scheme::Basic { .. } => format!("Basic {}", BASE64_STANDARD.encode(texts.join(":"))),
            Scheme::Word { word, .. } if word.is_empty() => texts.concat(),
            Scheme::Word { word, .. } => format!("{word} {}", texts.concat()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| CredentialsError::Unprintable)?;
        value.set_sensitive(true);
        *last = Some((texts, value.clone()));
        Ok(value)
    }
}

impl fmt::Debug for SecretText {
    /// Prints no text, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str(REDACTED),
            Self::File(file) => file.fmt(f),
        }
    }
}

impl fmt::Debug for SecretHeader {
    /// Prints no value, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretHeader").finish_non_exhaustive()
    }
}

impl From<&BasicConfig> for SecretHeader {
    fn from(config: &BasicConfig) -> Self {
        let username = SecretText::fixed(&config.username);
        let password = SecretText::new(&config.password, config.password_file.as_ref());
        Self::basic(username, password)
    }
}

impl From<&BearerConfig> for SecretHeader {
    fn from(config: &BearerConfig) -> Self {
        let token = SecretText::new(&config.token, config.token_file.as_ref());
        Self::token("Bearer", token)
    }
}
