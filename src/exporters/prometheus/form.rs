//! In what form a scraper is answered.

use super::escape::Escaping;

/// What distinguishes the answers to two scrapers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The format.
    pub format: Format,
    /// How names are written that not every scraper knows.
    pub escaping: Escaping,
}

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}
