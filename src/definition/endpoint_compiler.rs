//! Checks the endpoints of a file and compiles them.

use std::{cell::RefCell, sync::Arc};

use super::{
    endpoint::{BodyFormat, CsvFormat, Endpoint},
    endpoint_file::{CsvFile, EndpointFile, Format},
    file::File,
    request::{
        Known, KnownElement, Request,
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
    check_paths(file, root, diagnostics);
    let section = root.at(&["endpoints"]);
    let entries = section.iter().flat_map(|section| section.node.entries());
    let named = entries.filter_map(|entry| file.endpoints.get_key_value(&entry.key));
    let named: Vec<_> = named.map(|(name, from)| (name.as_str(), from)).collect();
    let parameters: Vec<_> = file.parameters.names().collect();
    let mut compiled = Vec::new();
    let names: Vec<_> = named.iter().map(|(name, _)| *name).collect();
    for (endpoint, from) in &named {
        let mut compiler = Compiler {
            endpoint,
            root,
            diagnostics,
        };
        let needs = RefCell::default();
        let element = from.for_each.as_ref().map(|of| KnownElement {
            name: &of.name,
            needs: &needs,
        });
        let known = Known {
            parameters: &parameters,
            element,
        };
        let request = Arc::new(compiler.request(from, known));
        let derivation = from.for_each.as_ref();
        let derivation = derivation.and_then(|of| compiler.derivation(of, &names, needs));
        compiled.push(Endpoint {
            id: (*endpoint).into(),
            path: shown_with_query(root, endpoint, from).into(),
            request,
            derivation,
            pages: compiler.pages(from).map(Arc::new),
            format: compiler.format(from),
            transform: None,
            interval: compiler.interval(from),
            scope: format!("{name}/{endpoint}").into(),
            subject: format!("endpoints.{endpoint}").into(),
            families: None,
        });
    }
    check_origins(&compiled, &names, root, diagnostics);
    compiled
}

fn check_paths(file: &File, root: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    for (endpoint, EndpointFile { path, .. }) in &file.endpoints {
        // One that cannot be read has none.
        let is_read = !path.is_empty() || diagnostics.is_empty();
        if is_read && !path.starts_with('/') {
            let found = shown(root, endpoint, path);
            let message = format!("expected a path that begins with `/`, found `{found}`");
            root.error(&["endpoints", endpoint, "path"], message, diagnostics);
        }
    }
}

/// Checks that no endpoint needs its own answer.
fn check_origins(
    compiled: &[Endpoint],
    names: &[&str],
    root: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let parents = compiled
        .iter()
        .map(|of| of.derivation.as_ref().map(|of| of.parent));
    let parents: Vec<_> = parents.collect();
    for (index, endpoint) in names.iter().enumerate() {
        let mut compiler = Compiler {
            endpoint,
            root,
            diagnostics,
        };
        compiler.check_origin(index, &parents);
    }
}

/// Compiles one endpoint.
pub(super) struct Compiler<'c, 'n> {
    endpoint: &'c str,
    root: &'c Cursor<'n>,
    diagnostics: &'c mut Diagnostics,
}

impl Compiler<'_, '_> {
    pub(super) fn error(&mut self, at: &[&str], message: impl Into<String>) {
        let at: Vec<_> = ["endpoints", self.endpoint]
            .iter()
            .chain(at)
            .copied()
            .collect();
        self.root.error(&at, message, self.diagnostics);
    }

    fn request(&mut self, file: &EndpointFile, known: Known<'_>) -> Request {
        let mut mistakes = Vec::new();
        let request = Request::compile(file, known, &mut mistakes);
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
