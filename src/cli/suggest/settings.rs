//! What says how a program is configured, and is no measurement.

use super::{values::Values, words::is_in};

/// Words of settings.
const SETTINGS: &str = "backoff cores cpus deadline enabled gomaxprocs interval keepalive processors \
    retention threshold timeout ttl";

/// Objects that hold settings.
const OBJECTS: &str = "conf config configuration limits options parameters settings";

/// Whether an object of this name holds settings.
pub(super) fn are_in(words: &[String]) -> bool {
    words.last().is_some_and(|word| is_in(word, OBJECTS))
}

/// The word at the end of a name that calls a setting, if its value has not changed.
pub(super) fn word(words: &[String], values: &Values<'_>) -> Option<String> {
    let word = words.last().filter(|word| is_in(word, SETTINGS));
    word.filter(|_| !values.have_changed()).cloned()
}
