//! Checks a file and compiles it.

use std::{collections::HashSet, sync::Arc};

use super::{
    Definition, Endpoint,
    file::{EndpointFile, File},
    metric_compiler::MetricCompiler,
    metric_file::MetricFile,
    request::shown,
};
use crate::yaml::{Cursor, Diagnostics};

/// Compiles `file`, of which `metrics` can be read. Mistakes go to `diagnostics`; with any, the result is of no use.
pub(super) fn compile(
    name: &str,
    file: &File,
    metrics: &[(Cursor<'_>, MetricFile)],
    root: &Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Definition {
    let is_whole = diagnostics.is_empty();
    if is_whole && file.metrics.is_empty() {
        let message = "a definition has at least one metric";
        root.error(&["metrics"], message, diagnostics);
    }
    if is_whole && file.endpoints.is_empty() {
        let message = "a definition has at least one endpoint";
        root.error(&["endpoints"], message, diagnostics);
    }
    let endpoints = endpoints(name, file, root, diagnostics);
    let mut compiler = MetricCompiler {
        diagnostics,
        definition: Definition {
            name: name.to_owned(),
            resource: file.resource.clone(),
            endpoints,
            instruments: Vec::new(),
            shares_names: false,
            rules: Vec::new(),
            start: None,
            digest: 0,
        },
    };
    for (cursor, metric) in metrics {
        compiler.add(metric, cursor);
    }
    compiler.add_start(file, root);
    let mut definition = compiler.definition;
    let names = definition.instruments.iter().map(|known| &known.name);
    let distinct: HashSet<_> = names.collect();
    definition.shares_names = distinct.len() < definition.instruments.len();
    for endpoint in 0..definition.endpoints.len() {
        let keys = definition.root_keys(endpoint).map(Arc::new);
        if let Some(endpoint) = definition.endpoints.get_mut(endpoint) {
            endpoint.families = keys;
        }
    }
    definition
}

fn endpoints(
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
    // In the order of the file: who writes a definition says what is asked first.
    let section = root.at(&["endpoints"]);
    let entries = section.iter().flat_map(|section| section.node.entries());
    let named = entries.filter_map(|entry| file.endpoints.get_key_value(&entry.key));
    let compiled = named.map(|(endpoint, from)| Endpoint {
        id: endpoint.as_str().into(),
        path: shown(root, endpoint, &from.path).into(),
        request: from.path.as_str().into(),
        format: from.format,
        transform: None,
        scope: format!("{name}/{endpoint}").into(),
        families: None,
    });
    compiled.collect()
}
