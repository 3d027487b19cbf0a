//! Arithmetic that keeps integers exact.

use crate::pipeline::Number;

/// How much a running total grew from `last` to `new`. One that fell began again at 0.
pub(super) fn increment(last: Number, new: Number) -> Number {
    match (last, new) {
        (Number::Unsigned(last), Number::Unsigned(new)) => {
            Number::Unsigned(new.checked_sub(last).unwrap_or(new))
        }
        _ => {
            let (last, new) = (last.as_f64(), new.as_f64());
            Number::Double(if new >= last { new - last } else { new })
        }
    }
}

/// `total` and `more`; at the end of the integers it stays there, so that it never falls.
pub(super) fn grown(total: Number, more: Number) -> Number {
    match (total, more) {
        (Number::Unsigned(total), Number::Unsigned(more)) => {
            Number::Unsigned(total.saturating_add(more))
        }
        _ => Number::Double(total.as_f64() + more.as_f64()),
    }
}

/// The sum of all; an integer if all are and it fits.
pub(super) fn sum(values: &[Number]) -> Number {
    let integer = |value: &Number| match *value {
        Number::Unsigned(value) => Some(i128::from(value)),
        Number::Negative(value) => Some(i128::from(value)),
        Number::Double(_) => None,
    };
    let sum: Option<i128> = values.iter().map(integer).sum();
    let unsigned = sum
        .and_then(|sum| u64::try_from(sum).ok())
        .map(Number::Unsigned);
    let signed = || {
        sum.and_then(|sum| i64::try_from(sum).ok())
            .map(Number::Negative)
    };
    unsigned
        .or_else(signed)
        .unwrap_or_else(|| Number::Double(values.iter().map(|value| value.as_f64()).sum()))
}

/// The quantile `q` of values in ascending order, between two of them where it falls there, as
/// PromQL does it; there is at least one value.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions in a list"
)]
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = q * (sorted.len().saturating_sub(1)) as f64;
    let at = |position: f64| sorted.get(position as usize).copied().unwrap_or_default();
    let (lower, upper) = (at(rank.floor()), at(rank.ceil()));
    lower + (upper - lower) * rank.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stay_exact() {
        let most = Number::Unsigned(u64::MAX);
        assert_eq!(
            increment(Number::Unsigned(u64::MAX - 1), most),
            Number::Unsigned(1)
        );
        assert_eq!(increment(most, Number::Unsigned(3)), Number::Unsigned(3));
        assert_eq!(grown(most, Number::Unsigned(3)), most);
        assert_eq!(
            sum(&[most, Number::Negative(-1)]),
            Number::Unsigned(u64::MAX - 1)
        );
        assert_eq!(
            sum(&[Number::Negative(-3), Number::Unsigned(1)]),
            Number::Negative(-2)
        );
        assert_eq!(sum(&[most, most]), Number::Double(2_f64.powi(65)));
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (0.9, 3.7), (1.0, 4.0)] {
            assert!(
                (quantile(&[1.0, 2.0, 3.0, 4.0], q) - expected).abs() < 1e-9,
                "{q}"
            );
        }
        assert!((quantile(&[7.0], 0.3) - 7.0).abs() < 1e-9);
    }
}
