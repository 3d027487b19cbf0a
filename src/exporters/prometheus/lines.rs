//! Stored sample lines: without the name of their family, and without the labels that all series of
//! a target have.

use super::text::{SampleValue, Timestamp};
use crate::telemetry::Trace;

/// The parts of a stored line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeptLine<'a> {
    /// The suffix after the name of the family.
    pub(super) suffix: &'a str,
    pub(super) labels: KeptLabels<'a>,
    pub(super) value: &'a str,
    /// The time of the observation, if it is shown.
    pub(super) time: Option<Timestamp>,
    pub(super) exemplar: Option<Exemplar<'a>>,
}

/// One event that a total counted: its trace and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exemplar<'a> {
    pub(super) trace_id: &'a str,
    pub(super) span_id: &'a str,
    /// The time in seconds.
    pub(super) time: &'a str,
}

/// The stored labels of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeptLabels<'a> {
    /// The labels after those of the target.
    Own(&'a str),
    /// All labels.
    All(&'a str),
}

/// Appends a line.
pub(super) fn push<T: SampleValue>(
    out: &mut String,
    suffix: &str,
    labels: KeptLabels<'_>,
    (value, time): (T, Option<Timestamp>),
) {
    let (open, labels) = match labels {
        KeptLabels::Own(labels) => ("{", labels),
        KeptLabels::All(labels) => ("[", labels),
    };
    for piece in [suffix, open, labels, "} "] {
        out.push_str(piece);
    }
    value.write(out);
    if let Some(time) = time {
        out.push('@');
        time.write(out);
    }
    out.push('\n');
}

/// Adds an exemplar to the last line.
pub(super) fn push_exemplar(out: &mut String, trace: &Trace, time: Timestamp) {
    if out.pop().is_some() {
        out.push('#');
        out.push_str(&format!("{}:{}:", trace.trace_id, trace.span_id));
        time.write(out);
        out.push('\n');
    }
}

/// Splits a text into its lines.
pub(super) fn split(text: &str) -> impl Iterator<Item = KeptLine<'_>> {
    text.split_terminator('\n').filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (value, exemplar) = value.split_once('#').unwrap_or((value, ""));
        let (value, time) = value.split_once('@').unwrap_or((value, ""));
        let series = series.strip_suffix('}')?;
        let (suffix, labels) = series.split_at_checked(series.find(['{', '['])?)?;
        let labels = match labels.strip_prefix('{') {
            Some(own) => KeptLabels::Own(own),
            None => KeptLabels::All(labels.strip_prefix('[')?),
        };
        Some(KeptLine {
            suffix,
            labels,
            value,
            time: Timestamp::read(time),
            exemplar: split_exemplar(exemplar),
        })
    })
}

fn split_exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (trace_id, rest) = text.split_once(':')?;
    let (span_id, time) = rest.split_once(':')?;
    Some(Exemplar {
        trace_id,
        span_id,
        time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_into_their_parts() {
        let lines = [
            ("", KeptLabels::Own(""), 1_u64),
            ("_sum", KeptLabels::All(""), 2),
            ("_bucket", KeptLabels::Own(r#"a="}\",{[ \n",le="1.0""#), 3),
            ("", KeptLabels::All(r#""a.b"="} 1""#), 4),
        ];
        let mut text = String::new();
        let time = Timestamp::read("1700000000.045");
        for (suffix, labels, value) in lines {
            push(
                &mut text,
                suffix,
                labels,
                (value, time.filter(|_| value > 2)),
            );
        }
        let values = ["1", "2", "3", "4"].into_iter();
        let values = values.zip([None, None, time, time]);
        let expected = lines.into_iter().zip(values);
        let expected: Vec<_> = expected
            .map(|((suffix, labels, _), (value, time))| KeptLine {
                suffix,
                labels,
                value,
                time,
                exemplar: None,
            })
            .collect();
        assert_eq!(split(&text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_exemplar_belongs_only_to_its_line() {
        let (mut text, time) = (String::new(), Timestamp::read("1700000000.045"));
        push(&mut text, "", KeptLabels::Own(""), (1_u64, time));
        let trace = Trace {
            trace_id: 0xabc_u128.into(),
            span_id: 0xd_u64.into(),
        };
        push_exemplar(&mut text, &trace, time.unwrap());
        push(&mut text, "", KeptLabels::Own(""), (2_u64, None));
        let exemplar = Exemplar {
            trace_id: "00000000000000000000000000000abc",
            span_id: "000000000000000d",
            time: "1700000000.045",
        };
        let lines: Vec<_> = split(&text).collect();
        assert_eq!((lines[0].value, lines[0].time), ("1", time));
        assert_eq!(lines[0].exemplar, Some(exemplar));
        assert_eq!((lines[1].value, lines[1].exemplar), ("2", None));
    }
}
