//! Joins an error and its causes into one line.

use std::{error::Error, fmt::Write as _};

/// Joins `error` and all its causes with colons. A cause is not repeated if the text of the error
/// above it already ends with it.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            // Writing to a String cannot fail.
            let _infallible = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
