//! Arithmetic that keeps integers exact.

use crate::pipeline::Number;

/// The increase of a total from `last` to `new`. A total that fell has started again at 0.
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

/// `total` plus `more`. At the limit of the integers it stays there, so that it never falls.
pub(super) fn grown(total: Number, more: Number) -> Number {
    match (total, more) {
        (Number::Unsigned(total), Number::Unsigned(more)) => {
            Number::Unsigned(total.saturating_add(more))
        }
        _ => Number::Double(total.as_f64() + more.as_f64()),
    }
}

/// The sum of all values. It is an integer if all are and it fits.
pub(super) fn sum(values: &[Number]) -> Number {
    let integer = |value: &Number| match *value {
        Number::Unsigned(value) => Some(i128::from(value)),
        Number::Negative(value) => Some(i128::from(value)),
        Number::Double(_) => None,
    };
    let sum: Option<i128> = values.iter().map(integer).sum();
    sum.and_then(whole)
        .unwrap_or_else(|| Number::Double(values.iter().map(|value| value.as_f64()).sum()))
}

/// `value × factor`. An integer times an integer stays an integer if it fits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number below 2^53 is an integer"
)]
pub(super) fn scaled(value: Number, factor: f64) -> Number {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let is_whole = factor.fract() == 0.0 && factor.abs() <= EXACT;
    let integer = match value {
        Number::Unsigned(value) => i128::from(value),
        Number::Negative(value) => i128::from(value),
        Number::Double(value) => return Number::Double(product(value, factor)),
    };
    let exact = is_whole.then(|| integer * factor as i128);
    exact
        .and_then(whole)
        .unwrap_or_else(|| Number::Double(product(value.as_f64(), factor)))
}

/// The double nearest to the product of the written numbers: 45 × 0.001 is 0.045 and 0.29 × 100 is
/// 29, not their neighbors.
fn product(value: f64, factor: f64) -> f64 {
    let plain = value * factor;
    if !plain.is_finite() {
        return plain;
    }
    // A factor with so many digits is a fraction without an end, such as a third.
    let divisor = (1.0 / factor).round();
    let has_end = |digits: u128| digits < 100_000_000_000_000;
    if !decimal(factor).is_some_and(|(digits, _)| has_end(digits))
        && divisor.abs() > 1.0
        && (1.0 / divisor - factor).abs() < f64::EPSILON * factor.abs()
    {
        return value / divisor;
    }
    let decimal = decimal(value).zip(decimal(factor)).and_then(|(a, b)| {
        let digits = a.0.checked_mul(b.0)?;
        format!("{digits}e{}", a.1 + b.1).parse::<f64>().ok()
    });
    decimal.map_or(plain, |magnitude| magnitude.copysign(plain))
}

/// The shortest digits of a number, without its sign, and their power of ten.
fn decimal(value: f64) -> Option<(u128, i32)> {
    let text = format!("{:e}", value.abs());
    let (digits, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places = i32::try_from(fraction.len()).ok()?;
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, exponent - places))
}

/// The number without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values beyond the integers become the nearest one"
)]
pub(super) fn truncated(value: Number) -> Number {
    match value {
        Number::Double(value) if value > -1.0 => Number::Unsigned(value as u64),
        Number::Double(value) => Number::Negative(value as i64),
        integer => integer,
    }
}

/// An integer, if it fits.
fn whole(value: i128) -> Option<Number> {
    let unsigned = u64::try_from(value).map(Number::Unsigned);
    unsigned
        .or_else(|_| i64::try_from(value).map(Number::Negative))
        .ok()
}

/// The quantile `q` of values in ascending order, interpolated as in PromQL. There is at least one
/// value.
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
    fn an_integer_scaled_by_an_integer_stays_exact() {
        let large = (1 << 53) + 1;
        assert_eq!(
            scaled(Number::Unsigned(large), 1000.0),
            Number::Unsigned(large * 1000)
        );
        assert_eq!(scaled(Number::Unsigned(3), -2.0), Number::Negative(-6));
        assert_eq!(scaled(Number::Negative(-3), -2.0), Number::Unsigned(6));
        assert_eq!(scaled(Number::Unsigned(45), 0.001), Number::Double(0.045));
        assert_eq!(
            scaled(Number::Unsigned(u64::MAX), 2.0),
            Number::Double(2_f64.powi(65))
        );
        assert_eq!(scaled(Number::Double(1.5), 2.0), Number::Double(3.0));
    }

    #[test]
    fn a_product_is_that_of_the_written_numbers() {
        for (value, factor, expected) in [
            (0.29, 100.0, 29.0),
            (1.1, 1.1, 1.21),
            (8635.9, 3_600_000.0, 31_089_240_000.0),
            (0.1, 3.0, 0.3),
            (-0.07, 100.0, -7.0),
            (0.57, -100.0, -57.0),
            (1e300, 1e-300, 1.0),
            (f64::MAX, 2.0, f64::INFINITY),
            (123.0, 1.0 / 3.0, 41.0),
        ] {
            let product = scaled(Number::Double(value), factor);
            assert_eq!(product, Number::Double(expected), "{value} × {factor}");
        }
    }

    #[test]
    fn a_quantile_lies_between_its_neighbors() {
        for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (0.9, 3.7), (1.0, 4.0)] {
            assert!(
                (quantile(&[1.0, 2.0, 3.0, 4.0], q) - expected).abs() < 1e-9,
                "{q}"
            );
        }
        assert!((quantile(&[7.0], 0.3) - 7.0).abs() < 1e-9);
    }
}
