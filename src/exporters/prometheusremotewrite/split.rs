//! Splits a request of remote write into several. A series is never split. A histogram, which is
//! many series, may be.

use prost::Message as _;

use super::message::WriteRequest;
use crate::delivery::{Limit, Piece};

/// The largest size of a tag and a length.
const PREFIX_BYTES: u64 = 6;

/// Splits a `WriteRequest`. Returns nothing if it cannot be read. Metadata goes with the first
/// piece. A point may be several series, so each piece counts as its share of the points.
pub(super) fn split(message: &[u8], points: u64, limit: Limit) -> Vec<Piece> {
    let Ok(mut message) = WriteRequest::decode(message) else {
        return Vec::new();
    };
    let all = std::mem::take(&mut message.timeseries);
    let share = Share {
        points: points.into(),
        series: all.len().max(1) as u128,
    };
    let (most, bytes) = match limit {
        Limit::Half => (share.series.div_ceil(2), u64::MAX),
        Limit::AtMost { points, bytes } => (share.series_of(points), bytes),
    };
    let (mut pieces, mut done) = (Vec::new(), 0);
    let mut size = message.encoded_len() as u64;
    let mut open = message;
    let mut close = |open: &mut WriteRequest| {
        let piece = std::mem::take(open);
        let until = done + piece.timeseries.len() as u128;
        pieces.push(Piece {
            points: share.points_of(until) - share.points_of(done),
            payload: piece.encode_to_vec().into(),
        });
        done = until;
    };
    for series in all {
        let more = series.encoded_len() as u64 + PREFIX_BYTES;
        let count = open.timeseries.len();
        if count > 0 && (count as u128 >= most || size + more > bytes) {
            close(&mut open);
            size = 0;
        }
        size += more;
        open.timeseries.push(series);
    }
    if !open.timeseries.is_empty() {
        close(&mut open);
    }
    pieces
}

/// How points are distributed over series.
struct Share {
    points: u128,
    series: u128,
}

impl Share {
    /// The points of the first `series` series.
    fn points_of(&self, series: u128) -> u64 {
        u64::try_from(self.points * series / self.series).unwrap_or(u64::MAX)
    }

    /// The number of series of `points` points, at least one.
    fn series_of(&self, points: u64) -> u128 {
        let series = u128::from(points) * self.series;
        series.checked_div(self.points).unwrap_or(u128::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exporters::prometheusremotewrite::message::{Label, Sample, TimeSeries};

    fn request(sizes: &[usize]) -> WriteRequest {
        let series = sizes.iter().enumerate().map(|(at, size)| TimeSeries {
            labels: vec![Label {
                name: "__name__".to_owned(),
                value: "x".repeat(*size),
            }],
            samples: vec![Sample {
                value: 0.5,
                timestamp: i64::try_from(at).unwrap(),
            }],
        });
        WriteRequest {
            timeseries: series.collect(),
            ..WriteRequest::default()
        }
    }

    proptest! {
        #[test]
        fn every_series_is_in_one_piece_in_order_and_no_point_is_lost(
            sizes in prop::collection::vec(0_usize..100, 1..40),
            points in 0_u64..60,
            most in 1_u64..20,
            bytes in 1_u64..2000,
            is_half: bool,
        ) {
            let request = request(&sizes);
            let limit = match is_half {
                true => Limit::Half,
                false => Limit::AtMost { points: most, bytes },
            };
            let pieces = split(&request.encode_to_vec(), points, limit);
            let decoded: Vec<_> = pieces
                .iter()
                .map(|piece| WriteRequest::decode(&piece.payload[..]).unwrap())
                .collect();
            let all: Vec<_> = decoded.iter().flat_map(|of| of.timeseries.clone()).collect();
            prop_assert_eq!(all, request.timeseries);
            prop_assert_eq!(pieces.iter().map(|piece| piece.points).sum::<u64>(), points);
            for (piece, decoded) in pieces.iter().zip(&decoded) {
                if is_half {
                    prop_assert!(decoded.timeseries.len() <= sizes.len().div_ceil(2));
                } else {
                    let is_one = decoded.timeseries.len() == 1;
                    prop_assert!(piece.points <= most || is_one);
                    prop_assert!(piece.payload.len() as u64 <= bytes || is_one);
                }
            }
        }
    }
}
