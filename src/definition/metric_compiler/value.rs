//! Where values come from.

use super::MetricCompiler;
use crate::{
    definition::{
        Buckets, Path, ValueSource,
        metric_file::{HistogramFile, InstrumentKind, MetricFile, Observe, ValueFile},
    },
    yaml::Cursor,
};

impl MetricCompiler<'_> {
    /// Where the value comes from: a path, a constant, a count or buckets.
    pub(super) fn value(
        &mut self,
        metric: &MetricFile,
        cursor: &Cursor<'_>,
    ) -> Option<ValueSource> {
        let is_stateset = metric.instrument == InstrumentKind::StateSet;
        let mut error = |key: &[&str], message: &str| {
            cursor.error(key, message, self.diagnostics);
            None
        };
        if let Some(histogram) = &metric.histogram {
            return self.histogram(histogram, metric, cursor);
        }
        match (&metric.value, &metric.count) {
            (None, None) => error(&[], "missing key `value`, or `count`"),
            (Some(_), Some(_)) => error(&["count"], "a metric has either a `value` or a `count`"),
            (None, Some(_)) if is_stateset => error(&["count"], "a stateset has a `value`"),
            (Some(ValueFile::Constant(_)), None) if is_stateset => {
                error(&["value"], "the value of a stateset is a path")
            }
            (None, Some(path)) => {
                let path = self.path(path, cursor, &["count"])?;
                let container = path.container();
                Some(ValueSource::Count { path, container })
            }
            (Some(ValueFile::Path(path)), None) => {
                let path = self.path(path, cursor, &["value"])?;
                Some(match metric.observe {
                    Observe::One => ValueSource::Path(path),
                    Observe::All => ValueSource::Each(path),
                })
            }
            (Some(ValueFile::Constant(number)), None) => {
                let is_finite = number.as_f64().is_finite();
                if !is_finite {
                    return error(&["value"], "expected a finite number");
                }
                Some(ValueSource::Constant(*number))
            }
        }
    }

    fn histogram(
        &mut self,
        file: &HistogramFile,
        metric: &MetricFile,
        cursor: &Cursor<'_>,
    ) -> Option<ValueSource> {
        let others = [
            ("value", metric.value.is_some()),
            ("count", metric.count.is_some()),
            ("observe", metric.observe == Observe::All),
            ("buckets", !metric.buckets.is_empty()),
            ("values", !metric.values.is_empty()),
        ];
        let mut wrong = others.iter().filter(|(_, is_there)| *is_there);
        if let Some((key, _)) = wrong.next() {
            let message = format!("a metric with a `histogram` has no `{key}`");
            cursor.error(&[key], message, self.diagnostics);
            return None;
        }
        if metric.instrument != InstrumentKind::Histogram {
            let message = "only a histogram has buckets";
            cursor.error(&["histogram"], message, self.diagnostics);
            return None;
        }
        let path = self.path(&file.buckets, cursor, &["histogram", "buckets"]);
        let upper_bound = match file.upper_bound.as_str() {
            "@key" => Some(None),
            path => self
                .path(path, cursor, &["histogram", "upper_bound"])
                .map(Some),
        };
        let count = file.count.as_deref().unwrap_or("$");
        let count = self.path(count, cursor, &["histogram", "count"]);
        let sum: Option<Option<Path>> = match &file.sum {
            Some(path) => self.path(path, cursor, &["histogram", "sum"]).map(Some),
            None => Some(None),
        };
        Some(ValueSource::Buckets(Buckets {
            path: path?,
            upper_bound: upper_bound?,
            count: count?,
            cumulative: file.cumulative,
            sum: sum?,
        }))
    }
}
