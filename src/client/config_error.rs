//! Values of the configuration with which nothing can be built.

use std::error::Error;

use crate::{
    telemetry::chain,
    yaml::{Cursor, Diagnostics},
};

/// Any error, with its causes.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A value of the configuration with which nothing can be built.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be used", self.key())]
pub struct ConfigError {
    path: Vec<String>,
    /// Why.
    #[source]
    pub source: BoxError,
}

impl ConfigError {
    /// Says why the value under `key` cannot be used: a key below the component, with dots.
    pub fn new(key: &str, source: impl Into<BoxError>) -> Self {
        Self::at(key.split('.'), source)
    }

    /// The same for a path whose keys may hold dots.
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

    /// Tells of it where the component `at` has the value.
    pub fn report(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        at.error(&path, chain(self.source.as_ref()), diagnostics);
    }
}
