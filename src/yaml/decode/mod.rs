//! Decodes the tree into typed values, and finds every mistake on the way.
//!
//! serde stops at the first error. So a failed decoding is recorded, the innermost entry that
//! caused it is left out, and the decoding is repeated until it finds nothing new:
//!
//! - An unknown key of a struct is reported, and the struct never sees it.
//! - An invalid value is reported, and its entry is left out.
//! - A missing key is reported and replaced by a stand-in, so that the next missing key is found as
//!   well. A struct that lacks a key only because its entry was left out is left out in turn,
//!   without a message.

mod access;
mod decoder;
mod deserializer;
mod node_id;
mod path;
mod problem;
mod run;
mod stand_in;

use super::{Diagnostics, Foreign, Node};
use decoder::Decoder;
use path::Path;
use problem::DecodeError;
use run::Run;
use serde::de::DeserializeOwned;

/// The number of attempts of one decoding, which is about the number of mistakes that one run
/// shows.
const ATTEMPTS: usize = 200;

/// Decodes a `node` whose type has no foreign keys: see [`decode_foreign`].
pub fn decode<T: DeserializeOwned>(
    node: &Node,
    path: &str,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    decode_foreign(node, path, &Foreign::NONE, diagnostics)
}

/// Decodes `node`, whose name in messages is `path`. Every mistake goes to `diagnostics`; if there
/// is one, there is no value. An unknown key is a mistake, unless `foreign` says that it is
/// harmless: then it is a warning.
///
/// A type can rely on these rules:
///
/// - An absent or empty (`null`) entry takes its default. An empty struct, list or map is empty.
/// - A quoted number is a string, a plain number is not, and a `${…}` as the whole value is both.
/// - A newtype struct with the name `Secret` takes the text of any scalar.
/// - A custom error that starts with `expected …` is completed with what was found, and must not
///   repeat it. Any other is shown only if it does not repeat a value from the environment.
pub fn decode_foreign<T: DeserializeOwned>(
    node: &Node,
    path: &str,
    foreign: &'static Foreign,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let run = Run::new(foreign);
    let path = Path::Root(path);
    let mut decoded = None;
    for _ in 0..ATTEMPTS {
        match Decoder::new(node, &path, &run).decode(std::marker::PhantomData) {
            Ok(value) => decoded = Some(value),
            // A stand-in replaced a missing value.
            Err(DecodeError::Retry) => continue,
            Err(DecodeError::Reported(culprit))
                if culprit != node.into() && run.reject(culprit) =>
            {
                continue;
            }
            Err(DecodeError::Reported(_) | DecodeError::Problem(_)) => {}
        }
        break;
    }
    let found = run.into_diagnostics();
    let clean = found.is_empty();
    diagnostics.extend_news(found);
    decoded.filter(|_| clean)
}

#[cfg(test)]
mod tests;
