//! Values of the configuration that cannot be used.

use std::error::Error;

use crate::{
    telemetry::chain,
    yaml::{Cursor, Diagnostics},
};

/// Any error with its causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A value of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be used", self.key())]
pub struct ConfigError {
    path: Vec<String>,
    /// Why the value cannot be used.
    #[source]
    pub source: BoxError,
}

impl ConfigError {
    /// Creates an error for the value under `key`: a key below the component, with dots.
    pub fn new(key: &str, source: impl Into<BoxError>) -> Self {
        Self::at(key.split('.'), source)
    }

    /// Creates an error for a path whose keys may contain dots.
    pub fn at<'k>(path: impl IntoIterator<Item = &'k str>, source: impl Into<BoxError>) -> Self {
        Self {
            path: path.into_iter().map(str::to_owned).collect(),
            source: source.into(),
        }
    }

    /// The key below the component, with dots.
    pub fn key(&self) -> String {
        self.path.join(".")
    }

    /// Reports the error at the place of the value in the configuration of the component.
    pub fn report(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        at.error(&path, chain(self.source.as_ref()), diagnostics);
    }
}
