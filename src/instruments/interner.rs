//! Names, descriptions and units as the SDK holds them.
//!
//! The SDK copies each text some five times an instrument, and again at each collect, unless it
//! lives as long as the process: for a target that was 10 KB of the same texts as for all others.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// How many texts are kept for good. Definitions have fewer, whatever comes with reloads.
const TEXTS_MAX: usize = 20_000;

static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The text, once for all instruments of all targets; a copy where there are too many.
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
    fn a_text_is_kept_once() {
        let texts = ["kept once", &String::from("kept once")].map(shared);
        let [Cow::Borrowed(one), Cow::Borrowed(other)] = texts else {
            panic!("copied: {texts:?}");
        };
        assert!(std::ptr::eq(one, other));
    }
}
