//! Splits a message that is too large for one request. The exporter knows how to split its
//! messages.

use bytes::Bytes;

/// The largest piece of a message. A piece has at least one data point, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Half of the data points.
    Half,
    /// At most these amounts.
    AtMost {
        /// Data points.
        points: u64,
        /// Bytes, before compression.
        bytes: u64,
    },
}

/// A part of a message that is itself a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The encoded message.
    pub payload: Bytes,
    /// Its data points.
    pub points: u64,
}

/// Splits a message of `points` data points into pieces, in their order. One piece or none means
/// that it cannot be split.
pub type Split = fn(message: &[u8], points: u64, limit: Limit) -> Vec<Piece>;

/// At least two pieces that together are the message, or none.
pub(super) fn pieces(
    split: Option<Split>,
    message: &[u8],
    points: u64,
    limit: Limit,
) -> Option<Vec<Piece>> {
    let pieces = split?(message, points, limit);
    let sum: u64 = pieces.iter().map(|piece| piece.points).sum();
    (pieces.len() > 1 && sum == points).then_some(pieces)
}
