//! When the process behind the API began.

use super::MetricCompiler;
use crate::{
    definition::{
        NumberFormat, StartRule,
        file::File,
        metric_file::{MomentFile, ParseKind},
    },
    yaml::Cursor,
};

impl MetricCompiler<'_> {
    /// Adds what the file says of it.
    pub(in crate::definition) fn add_start(&mut self, file: &File, root: &Cursor<'_>) {
        let (moment, key, kind) = match (&file.start_time, &file.uptime) {
            (Some(_), Some(_)) => {
                let message = "a definition has either a `start_time` or an `uptime`";
                return root.error(&["uptime"], message, self.diagnostics);
            }
            (Some(moment), None) => (moment, "start_time", ParseKind::Timestamp),
            (None, Some(moment)) => (moment, "uptime", ParseKind::Duration),
            (None, None) => return,
        };
        let Some(cursor) = root.at(&[key]) else {
            return;
        };
        let endpoint = self.endpoint(moment.endpoint.as_deref(), &cursor);
        let path = self.path(&moment.path, &cursor, &["path"]);
        let format = self.moment_format(moment, kind, &cursor);
        if let (Some(endpoint), Some(path), Some(format)) = (endpoint, path, format) {
            self.definition.start = Some(StartRule {
                endpoint,
                path,
                format,
                is_uptime: kind == ParseKind::Duration,
                optional: moment.optional,
            });
        }
    }

    /// How a moment, or a length of time, is read.
    pub(super) fn moment_format(
        &mut self,
        moment: &MomentFile,
        kind: ParseKind,
        cursor: &Cursor<'_>,
    ) -> Option<NumberFormat> {
        let (said, options) = moment.parse(kind);
        if said != kind && said != ParseKind::Number {
            let expected = match kind {
                ParseKind::Duration => "duration",
                _ => "timestamp",
            };
            let message = format!("expected `parse: {expected}`");
            cursor.error(&["parse"], message, self.diagnostics);
            return None;
        }
        let parse = self.parse(Some(kind), &options, cursor);
        let pattern = match &options.pattern {
            Some(text) => self.pattern(text, cursor, &["pattern"]).map(Some),
            None => Some(None),
        };
        Some(NumberFormat {
            missing: moment.missing.iter().map(|text| text.0.clone()).collect(),
            pattern: pattern?,
            parse: parse?,
            scale: moment.scale,
            ..NumberFormat::default()
        })
    }
}
