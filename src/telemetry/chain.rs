//! An error and its causes on one line.

use std::{error::Error, fmt::Write as _};

/// `error`, its cause, the cause of that, …, with colons between. A cause whose text the error
/// before it already ends with is not repeated.
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
