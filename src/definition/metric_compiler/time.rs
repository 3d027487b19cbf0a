//! When a value was measured.

use super::{MetricCompiler, attributes::source};
use crate::{
    definition::{
        AttributeSource, Level, TimeRule,
        metric_file::{InstrumentKind, MetricFile, ParseKind},
    },
    yaml::Cursor,
};

impl MetricCompiler<'_> {
    /// Where it stands; none if that is wrong.
    pub(super) fn time(
        &mut self,
        metric: &MetricFile,
        levels: &[Level],
        element: Option<&str>,
        cursor: &Cursor<'_>,
    ) -> Option<TimeRule> {
        let moment = metric.time.as_ref()?;
        let mut error = |key: &[&str], message: String| {
            cursor.error(key, message, self.diagnostics);
            None
        };
        if metric.instrument == InstrumentKind::Histogram {
            return error(&["time"], "a histogram has the time of its poll".to_owned());
        }
        if moment.endpoint.is_some() {
            let message = "the time of a value stands in the body of the value";
            return error(&["time", "endpoint"], message.to_owned());
        }
        let (origin, path) = match source(&moment.path, levels, element) {
            Ok(AttributeSource::Path { origin, path }) => (origin, path),
            Ok(_) => {
                let message = format!("expected a path such as `$.time`, found `{}`", moment.path);
                return error(&["time", "path"], message);
            }
            Err(message) => return error(&["time", "path"], message),
        };
        let cursor = cursor.at(&["time"])?;
        let format = self.moment_format(moment, ParseKind::Timestamp, &cursor)?;
        Some(TimeRule {
            origin,
            path,
            format,
            optional: moment.optional,
        })
    }
}
