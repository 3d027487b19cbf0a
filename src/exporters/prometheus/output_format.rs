//! The output format of a scrape.

use super::escape::Escaping;

/// Everything that differs between the answers to two scrapers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFormat {
    /// The text format.
    pub format: TextFormat,
    /// How names are escaped that not every scraper can read.
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
