//! What an endpoint is asked for, and how much of it is shown.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    definition::{endpoint_file::EndpointFile, word_file::Words},
    yaml::{Cursor, without_values},
};

/// All but the unreserved characters of RFC 3986 §2.3.
pub(super) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How a value is written into a text of a definition: percent-encoded in the path of an endpoint,
/// so that no `&` or `/` in it becomes another part of the request.
pub(in crate::definition) fn written(keys: &[String], value: String) -> String {
    match keys {
        [section, _, key] if is_endpoint(section) && key == "path" => {
            utf8_percent_encode(&value, ESCAPED).to_string()
        }
        _ => value,
    }
}

/// Whether a text is a part of a request, in which references get their values at each request.
pub(in crate::definition) fn is_filled_in_later(keys: &[String]) -> bool {
    match keys {
        [section, _, key, ..] if is_endpoint(section) => {
            ["path", "query", "headers", "body"].contains(&key.as_str())
        }
        _ => false,
    }
}

fn is_endpoint(section: &str) -> bool {
    section == "endpoints"
}

/// The path of an endpoint as metrics, logs and pages show it, with the names of its query.
pub(in crate::definition) fn shown_with_query(
    root: &Cursor<'_>,
    endpoint: &str,
    file: &EndpointFile,
) -> String {
    with_query(shown(root, endpoint, &file.path), &file.query)
}

/// The path with the names of more of its query.
fn with_query(mut path: String, query: &BTreeMap<String, Words>) -> String {
    for name in query.keys() {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(&format!("{name}={{{name}}}"));
    }
    path
}

/// The path of an endpoint without the values of its query and its references.
pub(in crate::definition) fn shown(root: &Cursor<'_>, endpoint: &str, path: &str) -> String {
    let node = root.node.at(&["endpoints", endpoint, "path"]);
    let expansion = node.and_then(|node| node.expansion.as_ref());
    let path = without_values(expansion.map_or(path, |expansion| &expansion.reference));
    let path = path.split('#').next().unwrap_or_default();
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((_, "")) => part.to_owned(),
        Some((name, _)) => format!("{name}={{{name}}}"),
        // The word may be a key.
        None if part.is_empty() => String::new(),
        None => "{query}".to_owned(),
    });
    format!("{path}?{}", parts.collect::<Vec<_>>().join("&"))
}
