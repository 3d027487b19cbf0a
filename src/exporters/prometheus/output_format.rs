//! In what form a scraper is answered.

use super::escape::Escaping;

/// What distinguishes the answers to two scrapers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFormat {
    /// The format.
    pub format: TextFormat,
    /// How names are written that not every scraper knows.
    pub escaping: Escaping,
}

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}
