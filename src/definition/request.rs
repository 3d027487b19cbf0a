//! What an endpoint is asked for, and how much of it is shown.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::yaml::{Cursor, without_values};

/// All but the unreserved characters of RFC 3986 §2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// How a value is written into a text of a definition: percent-encoded in the path of an endpoint,
/// so that no `&` or `/` in it becomes another part of the request.
pub(super) fn written(keys: &[String], value: String) -> String {
    match keys {
        [section, _, key] if section == "endpoints" && key == "path" => {
            utf8_percent_encode(&value, ESCAPED).to_string()
        }
        _ => value,
    }
}

/// The path of an endpoint without the values of its query and its references.
pub(super) fn shown(root: &Cursor<'_>, endpoint: &str, path: &str) -> String {
    let node = root.node.at(&["endpoints", endpoint, "path"]);
    let expansion = node.and_then(|node| node.expansion.as_ref());
    let path = match expansion {
        Some(expansion) => without_values(&expansion.reference),
        None => path.to_owned(),
    };
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
