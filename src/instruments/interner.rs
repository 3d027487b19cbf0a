//! Shares names, descriptions and units with the SDK.
//!
//! The SDK copies each text about five times for each instrument, and again at each collection,
//! unless the text lives as long as the process. For one target this was 10 KB of the same texts as
//! for all others.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The largest number of shared texts. Definitions have fewer, even after many reloads.
const TEXTS_MAX: usize = 20_000;

static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The text, shared by all instruments of all targets. A copy if there are too many texts.
pub(super) fn shared(text: &str) -> Cow<'static, str> {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return Cow::Borrowed(known);
    }
    if texts.len() >= TEXTS_MAX {
        return Cow::Owned(text.to_owned());
    }
    let kept: &'static str = Box::leak(text.into());
    texts.insert(kept);
    Cow::Borrowed(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_stored_once() {
        let texts = ["kept once", &String::from("kept once")].map(shared);
        let [Cow::Borrowed(one), Cow::Borrowed(other)] = texts else {
            panic!("copied: {texts:?}");
        };
        assert!(std::ptr::eq(one, other));
    }
}
