//! A message that is larger than a request may be becomes several. How that is done, the exporter
//! knows whose message it is.

use bytes::Bytes;

/// How much a piece of a message may hold. A piece holds at least one data point, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Half of the data points.
    Half,
    /// At most so much.
    AtMost {
        /// Data points.
        points: u64,
        /// Bytes, before compression.
        bytes: u64,
    },
}

/// A part of a message that is a message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes.
    pub payload: Bytes,
    /// Data points in it.
    pub points: u64,
}

/// Splits a message of so many data points into pieces, in their order. One piece or none says that
/// it cannot be split.
pub type Split = fn(message: &[u8], points: u64, limit: Limit) -> Vec<Piece>;

/// At least two pieces which are the whole message, or none.
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
