//! Checks a definition file and compiles it.

use std::{collections::HashSet, sync::Arc};

use super::{
    Definition, endpoint_compiler::endpoints, file::File, metric_compiler::MetricCompiler,
    metric_file::MetricFile,
};
use crate::yaml::{Cursor, Diagnostics};

/// Compiles `file`, whose readable metrics are in `metrics`. Mistakes go to `diagnostics`. The
/// result is useless when there are any.
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
    for parameter in file.parameters.wrong() {
        let message = "expected a text, a number or a boolean";
        root.error(&["parameters", parameter], message, diagnostics);
    }
    let endpoints = endpoints(name, file, root, diagnostics);
    let mut compiler = MetricCompiler {
        diagnostics,
        definition: Definition {
            name: name.to_owned(),
            resource: file.resource.clone(),
            endpoints,
            parameters: file.parameters.clone(),
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
    for rule in &definition.rules {
        let endpoint = definition.endpoints.get_mut(rule.endpoint);
        if let Some(of) = endpoint.and_then(|endpoint| endpoint.derivation.as_mut()) {
            rule.paths_of_request_element()
                .for_each(|path| of.needs.path(path));
        }
    }
    let names = definition.instruments.iter().map(|known| &known.name);
    let distinct: HashSet<_> = names.collect();
    definition.shares_names = distinct.len() < definition.instruments.len();
    for endpoint in 0..definition.endpoints.len() {
        let keys = definition.root_keys(endpoint).map(Arc::new);
        let is_parent = definition.derived_from(endpoint).next().is_some();
        if let Some(endpoint) = definition.endpoints.get_mut(endpoint) {
            // What leads to the next page may stand anywhere, and so may elements.
            endpoint.families = keys.filter(|_| endpoint.pages.is_none() && !is_parent);
        }
    }
    definition
}
