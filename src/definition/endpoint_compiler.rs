//! Checks the endpoints of a file and compiles them.

use std::sync::Arc;

use super::{
    endpoint::{BodyFormat, CsvFormat, Endpoint},
    endpoint_file::{CsvFile, EndpointFile, Format},
    file::File,
    request::{
        Request,
        shown::{shown, shown_with_query},
    },
};
use crate::yaml::{Cursor, Diagnostics};

/// Compiles the endpoints in the order of the file: who writes a definition says what is asked
/// first.
pub(super) fn endpoints(
    name: &str,
    file: &File,
    root: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<Endpoint> {
    for (endpoint, EndpointFile { path, .. }) in &file.endpoints {
        // One that cannot be read has none.
        let is_read = !path.is_empty() || diagnostics.is_empty();
        if is_read && !path.starts_with('/') {
            let found = shown(root, endpoint, path);
            let message = format!("expected a path that begins with `/`, found `{found}`");
            root.error(&["endpoints", endpoint, "path"], message, diagnostics);
        }
    }
    let section = root.at(&["endpoints"]);
    let entries = section.iter().flat_map(|section| section.node.entries());
    let named = entries.filter_map(|entry| file.endpoints.get_key_value(&entry.key));
    let named: Vec<_> = named.map(|(name, from)| (name.as_str(), from)).collect();
    let parameters: Vec<_> = file.parameters.names().collect();
    let mut compiled = Vec::new();
    for (endpoint, from) in &named {
        let mut compiler = Compiler {
            endpoint,
            root,
            diagnostics,
        };
        compiled.push(Endpoint {
            id: (*endpoint).into(),
            path: shown_with_query(root, endpoint, from).into(),
            request: Arc::new(compiler.request(from, &parameters)),
            format: compiler.format(from),
            transform: None,
            interval: compiler.interval(from),
            scope: format!("{name}/{endpoint}").into(),
            families: None,
        });
    }
    compiled
}

/// Compiles one endpoint.
struct Compiler<'c, 'n> {
    endpoint: &'c str,
    root: &'c Cursor<'n>,
    diagnostics: &'c mut Diagnostics,
}

impl Compiler<'_, '_> {
    fn error(&mut self, at: &[&str], message: impl Into<String>) {
        let at: Vec<_> = ["endpoints", self.endpoint]
            .iter()
            .chain(at)
            .copied()
            .collect();
        self.root.error(&at, message, self.diagnostics);
    }

    fn request(&mut self, file: &EndpointFile, parameters: &[&str]) -> Request {
        let mut mistakes = Vec::new();
        let request = Request::compile(file, parameters, &mut mistakes);
        for mistake in mistakes {
            let at: Vec<_> = mistake.at.iter().map(String::as_str).collect();
            self.error(&at, mistake.message);
        }
        request
    }

    fn interval(&mut self, file: &EndpointFile) -> Option<std::time::Duration> {
        let interval = file.interval?;
        if interval.is_zero() {
            self.error(&["interval"], "requires positive value");
        }
        Some(interval.get())
    }

    fn format(&mut self, file: &EndpointFile) -> BodyFormat {
        if file.csv.is_some() && file.format != Format::Csv {
            self.error(&["csv"], "belongs to `format: csv`");
        }
        if file.lines.is_some() && file.format != Format::Text {
            self.error(&["lines"], "belongs to `format: text`");
        }
        match file.format {
            Format::Json => BodyFormat::Json,
            Format::Ndjson => BodyFormat::Ndjson,
            Format::Csv => BodyFormat::Csv(self.csv(&file.csv.clone().unwrap_or_default())),
            Format::Xml => BodyFormat::Xml,
            Format::Text => self.text(file),
            Format::Prometheus => BodyFormat::Prometheus,
        }
    }

    fn csv(&mut self, csv: &CsvFile) -> CsvFormat {
        let delimiter = self.character(&csv.delimiter, "delimiter");
        let comment = csv.comment.as_deref();
        let comment = comment.map(|comment| self.character(comment, "comment"));
        if comment == Some(delimiter) {
            self.error(&["csv", "comment"], "is the delimiter as well");
        }
        CsvFormat {
            delimiter,
            comment,
            header: csv.header,
        }
    }

    fn character(&mut self, text: &str, key: &str) -> u8 {
        match text.as_bytes() {
            [character] if !b"\"\n\r".contains(character) && character.is_ascii() => *character,
            _ => {
                let message = "expected one ASCII character other than a quote or a line end";
                self.error(&["csv", key], message);
                b','
            }
        }
    }

    fn text(&mut self, file: &EndpointFile) -> BodyFormat {
        let Some(lines) = &file.lines else {
            let message = r"text needs `lines: {pattern: '^(?P<key>\w+) (?P<value>.*)$'}`";
            self.error(&["format"], message);
            return BodyFormat::Json;
        };
        if lines
            .pattern
            .get()
            .capture_names()
            .flatten()
            .next()
            .is_none()
        {
            let message = "has no named group, such as `(?P<value>.*)`, so it would find nothing";
            self.error(&["lines", "pattern"], message);
        }
        BodyFormat::Text(lines.pattern.clone())
    }
}
