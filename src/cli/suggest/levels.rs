//! The levels of elements of a group.

use super::{draft::Level, scalars::scalar};

/// A name for a level that no outer level has.
pub(super) fn level_name(noun: &str, outer: &[Level]) -> String {
    let name = match noun.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        true => noun.to_owned(),
        false => format!("of_{noun}"),
    };
    // `document` is the name of the whole.
    let is_taken = outer.iter().any(|of| of.name == name) || name == "document";
    match is_taken {
        true => format!("{name}_{}", outer.len() + 1),
        false => name,
    }
}

/// What tells an element apart, of all its levels.
pub(super) fn attributes(levels: &[Level]) -> Vec<[String; 2]> {
    let mut attributes: Vec<[String; 2]> = Vec::new();
    let count = levels.len();
    for (number, level) in (1..).zip(levels) {
        for [key, source] in &level.identity {
            let is_taken = attributes.iter().any(|[known, _]| known == key);
            let key = match is_taken {
                true => format!("{}_{key}", level.name),
                false => key.clone(),
            };
            let source = match number == count {
                true => source.clone(),
                false => format!("{}:{source}", level.name),
            };
            attributes.push([key, scalar(&source)]);
        }
    }
    attributes
}
