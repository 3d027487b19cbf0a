//! A point as a line of text: `nginx.connections{state="active"} 3`.

use std::{collections::BTreeMap, fmt, str::FromStr, time::SystemTime};

use crate::{
    definition::{Definition, Instrument, InstrumentKind, Number},
    pipeline::{HistogramValue, Reading},
    runtime::clock::since_epoch,
};

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    /// Which series it is.
    pub(super) series: Series,
    /// The value.
    pub(super) value: Number,
    /// When it was measured, in Unix seconds, if the body says so.
    pub(super) time: Option<f64>,
}

/// A metric with its attributes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    /// The name of the metric.
    pub(super) metric: String,
    /// Its attributes.
    pub(super) attributes: BTreeMap<String, String>,
}

/// Why a text is no point.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected} {}; a point is `name{{key=\"value\"}} 12`", place(.before))]
pub(super) struct WrongPoint {
    expected: &'static str,
    /// What follows the place.
    before: String,
}

fn place(before: &str) -> String {
    match before {
        "" => "at the end".to_owned(),
        before => format!("before `{before}`"),
    }
}

impl Point {
    /// Whether this point is what `expected` says. A time that is not given may be any.
    pub(super) fn is(&self, expected: &Self) -> bool {
        /// Far below what a body says.
        const EXACTLY_SECONDS: f64 = 1e-6;
        let is_time = |wanted: f64| {
            self.time
                .is_some_and(|time| (time - wanted).abs() < EXACTLY_SECONDS)
        };
        is_same_number(self.value, expected.value) && expected.time.is_none_or(is_time)
    }

    /// The value, and the time if there is one.
    pub(super) fn shown_value(&self) -> String {
        let value = shown_number(self.value);
        match self.time {
            Some(time) => format!("{value} {time}"),
            None => value,
        }
    }
}

fn is_same_number(one: Number, other: Number) -> bool {
    match (one.integral(), other.integral()) {
        (Number::Unsigned(one), Number::Unsigned(other)) => one == other,
        (Number::Negative(one), Number::Negative(other)) => one == other,
        (one, other) => one.as_f64().total_cmp(&other.as_f64()).is_eq(),
    }
}

fn shown_number(number: Number) -> String {
    match number.integral() {
        Number::Unsigned(value) => value.to_string(),
        Number::Negative(value) => value.to_string(),
        Number::Double(value) => value.to_string(),
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.series, self.shown_value())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        for (index, (key, value)) in self.attributes.iter().enumerate() {
            f.write_str(if index == 0 { "{" } else { "," })?;
            match key.contains(is_special) {
                true => write!(f, "{}", Quoted(key))?,
                false => f.write_str(key)?,
            }
            write!(f, "={}", Quoted(value))?;
        }
        f.write_str(if self.attributes.is_empty() { "" } else { "}" })
    }
}

fn is_special(letter: char) -> bool {
    letter.is_whitespace() || "{}=,\"\\".contains(letter)
}

struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for part in self.0.split_inclusive(['"', '\\', '\n']) {
            let plain = part.trim_end_matches(['"', '\\', '\n']);
            f.write_str(plain)?;
            match part.get(plain.len()..) {
                Some("\n") => f.write_str("\\n")?,
                Some("") | None => {}
                Some(letter) => write!(f, "\\{letter}")?,
            }
        }
        f.write_str("\"")
    }
}

impl FromStr for Point {
    type Err = WrongPoint;

    fn from_str(text: &str) -> Result<Self, WrongPoint> {
        let mut text = Text(text.trim());
        let metric = text.until(|letter| letter.is_whitespace() || letter == '{');
        if metric.is_empty() {
            return Err(text.expected("the name of a metric"));
        }
        let mut attributes = BTreeMap::new();
        if text.skip("{") {
            while !text.skip("}") {
                let (key, value) = text.attribute()?;
                attributes.insert(key, value);
                text.skip(",");
            }
        }
        text.0 = text.0.trim_start();
        let value = text.number("a number")?;
        text.0 = text.0.trim_start();
        let time = match text.0 {
            "" => None,
            _ => Some(text.number("a time in Unix seconds")?.as_f64()),
        };
        if !text.0.is_empty() {
            return Err(text.expected("nothing more"));
        }
        let series = Series {
            metric: metric.to_owned(),
            attributes,
        };
        Ok(Self {
            series,
            value,
            time,
        })
    }
}

/// The part of a text that is not read yet.
struct Text<'t>(&'t str);

impl<'t> Text<'t> {
    fn expected(&self, expected: &'static str) -> WrongPoint {
        WrongPoint {
            expected,
            before: self.0.chars().take(30).collect(),
        }
    }

    fn until(&mut self, is_end: impl Fn(char) -> bool) -> &'t str {
        let end = self.0.find(is_end).unwrap_or(self.0.len());
        let (read, rest) = self.0.split_at(end);
        self.0 = rest;
        read
    }

    /// Passes blanks and then `word`, if it is there.
    fn skip(&mut self, word: &str) -> bool {
        let rest = self.0.trim_start().strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn attribute(&mut self) -> Result<(String, String), WrongPoint> {
        self.0 = self.0.trim_start();
        let key = match self.0.starts_with('"') {
            true => self.quoted()?,
            false => self.until(is_special).to_owned(),
        };
        if key.is_empty() {
            return Err(self.expected("the key of an attribute or `}`"));
        }
        if !self.skip("=") {
            return Err(self.expected("`=`"));
        }
        self.0 = self.0.trim_start();
        Ok((key, self.quoted()?))
    }

    fn quoted(&mut self) -> Result<String, WrongPoint> {
        let all = self.0;
        let inside = all.strip_prefix('"');
        let inside = inside.ok_or_else(|| self.expected("a text in double quotes"))?;
        let mut text = String::new();
        let mut letters = inside.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = inside.get(at + 1..).unwrap_or_default();
                    return Ok(text);
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, letter)) => text.push(letter),
                    None => break,
                },
                letter => text.push(letter),
            }
        }
        self.0 = "";
        Err(self.expected("a closing double quote"))
    }

    fn number(&mut self, expected: &'static str) -> Result<Number, WrongPoint> {
        let before = Text(self.0);
        let word = self.until(char::is_whitespace);
        let unsigned = word.parse().map(Number::Unsigned);
        let number = unsigned.or_else(|_| word.parse().map(Number::Negative));
        let is_finite = |number: &f64| number.is_finite();
        let double = || word.parse().ok().filter(is_finite).map(Number::Double);
        let number = number.ok().or_else(double);
        number.ok_or_else(|| before.expected(expected))
    }
}

/// All points that `readings` are, in the order of the definition. A histogram gives those that a
/// scrape shows of it.
pub(super) fn points(definition: &Definition, readings: &[Reading]) -> Vec<Point> {
    let mut points = Vec::new();
    for (index, instrument) in definition.instruments.iter().enumerate() {
        let of_it = readings.iter().filter(|of| of.instrument == index);
        if instrument.kind == InstrumentKind::Histogram {
            for (series, histogram) in histograms(instrument, of_it) {
                points.extend(histogram_points(&series, &histogram));
            }
        } else {
            points.extend(of_it.map(|reading| Point {
                series: series(instrument, reading),
                value: reading.value,
                time: reading.time.map(seconds),
            }));
        }
    }
    points
}

fn series(instrument: &Instrument, reading: &Reading) -> Series {
    let attributes = reading.attributes.iter();
    Series {
        metric: instrument.name.clone(),
        attributes: attributes
            .map(|of| (of.key.to_string(), of.value.to_string()))
            .collect(),
    }
}

/// The histograms of one metric: those that a body holds, and those of observed values.
fn histograms<'r>(
    instrument: &Instrument,
    readings: impl Iterator<Item = &'r Reading>,
) -> BTreeMap<Series, HistogramValue> {
    let mut all = BTreeMap::new();
    for reading in readings {
        let series = series(instrument, reading);
        if let Some(histogram) = &reading.histogram {
            all.insert(series, HistogramValue::clone(histogram));
            continue;
        }
        let histogram = all.entry(series).or_insert_with(|| HistogramValue {
            bounds: instrument.buckets.clone(),
            counts: vec![0; instrument.buckets.len() + 1],
            sum: Some(0.0),
        });
        let value = reading.value.as_f64();
        let bucket = histogram.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = histogram.counts.get_mut(bucket) {
            *count += 1;
        }
        histogram.sum = histogram.sum.map(|sum| sum + value);
    }
    all
}

fn histogram_points(series: &Series, histogram: &HistogramValue) -> Vec<Point> {
    let part = |suffix: &str, value: Number| Point {
        series: Series {
            metric: format!("{}{suffix}", series.metric),
            attributes: series.attributes.clone(),
        },
        value,
        time: None,
    };
    let bounds = histogram.bounds.iter().map(ToString::to_string);
    let mut below = 0;
    let mut points = Vec::new();
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&histogram.counts) {
        below += count;
        let mut point = part("_bucket", Number::Unsigned(below));
        point.series.attributes.insert("le".to_owned(), bound);
        points.push(point);
    }
    points.extend(histogram.sum.map(|sum| part("_sum", Number::Double(sum))));
    points.push(part("_count", Number::Unsigned(below)));
    points
}

fn seconds(time: SystemTime) -> f64 {
    since_epoch(time).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_written_as_it_is_read() {
        for text in [
            "a 1",
            "nginx.connections{state=\"active\"} 18446744073709551615",
            "a{b=\"x, {y} = \\\"z\\\" \\\\\",\"c d\"=\"1\\n2\"} -7",
            "a{b=\"é\"} 0.29",
            "a 21.5 1782900000.5",
        ] {
            let point: Point = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(point.to_string(), text);
        }
        let loose: Point = " a{ b = \"c\" , }  1.0 ".parse().unwrap();
        assert_eq!(loose.to_string(), "a{b=\"c\"} 1");
    }

    #[test]
    fn what_is_wrong_in_a_point_is_said() {
        for (text, expected) in [
            ("", "expected the name of a metric at the end; "),
            ("a", "expected a number at the end; "),
            ("a x", "expected a number before `x`; "),
            ("a inf", "expected a number before `inf`; "),
            ("a 1 2 3", "expected nothing more before ` 3`; "),
            ("a 1 x", "expected a time in Unix seconds before `x`; "),
            ("a{b} 1", "expected `=` before `} 1`; "),
            (
                "a{b=c} 1",
                "expected a text in double quotes before `c} 1`; ",
            ),
            ("a{b=\"c} 1", "expected a closing double quote at the end; "),
            (
                "a{=} 1",
                "expected the key of an attribute or `}` before `=} 1`; ",
            ),
        ] {
            let error = text.parse::<Point>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let is = |one: &str, other: &str| {
            let [one, other]: [Point; 2] =
                [one, other].map(|value| format!("a {value}").parse().unwrap());
            one.is(&other)
        };
        assert!(is("3", "3.0") && is("-3", "-3.0") && is("1e19", "10000000000000000000"));
        assert!(!is("9007199254740993", "9007199254740992"));
        assert!(!is("0.1", "0.10000000000000002") && !is("1", "-1"));
        assert!(is("1 5", "1") && !is("1", "1 5") && !is("1 5", "1 6"));
    }
}
