//! From the tree to typed values, finding every mistake on the way.
//!
//! serde stops at the first error. So a decoding that fails is recorded, the innermost entry that
//! caused it is left out, and it is tried again until nothing new is found:
//!
//! - a key that a struct does not know is reported and never shown to the struct;
//! - a value that is wrong is reported and its entry left out;
//! - a key that is missing is reported and its place taken by a stand-in, so that the next one
//!   missing is found as well; a struct that is missing a key only because its entry was left out
//!   is left out in turn, without a word.

mod access;
mod deserializer;
mod path;
mod problem;
mod run;
mod stand_in;

use super::{Diagnostics, Foreign, Node};
use deserializer::Decoder;
use path::Path;
use problem::DecodeError;
use run::Run;
use serde::de::DeserializeOwned;

/// How many attempts one decoding gets, that is, about how many mistakes one run shows.
const ATTEMPTS: usize = 200;

/// Decodes a `node` whose type has no foreign keys: see [`decode_foreign`].
pub fn decode<T: DeserializeOwned>(
    node: &Node,
    path: &str,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    decode_foreign(node, path, &Foreign::NONE, diagnostics)
}

/// Decodes `node`, which messages call `path`. Every mistake goes to `diagnostics`, and if there
/// is any, there is no value. A key that the type does not have is a mistake, unless `foreign`
/// says that it does no harm: then it is a warning.
///
/// What a type can rely on:
/// - an absent or empty (`null`) entry takes its default, an empty struct, list or map is empty;
/// - a quoted number is a string, a plain number is no string, and a whole-value `${…}` fits both;
/// - a newtype struct named `Secret` takes any scalar by its text;
/// - a custom error that begins with `expected …` is completed with what was found, and must not
///   repeat it; any other is shown only if it does not repeat what came from the environment.
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
            // A stand-in was put in place of something missing.
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
