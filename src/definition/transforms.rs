//! The programs of a file's endpoints.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Definition,
    transform::{Transform, WrongProgram},
};
use crate::yaml::{Cursor, Diagnostics, Place};

/// Compiles the `transform` of each endpoint of a file with the text `source`, and gives it to the
/// endpoint.
pub(super) fn add_transforms(
    definition: &mut Definition,
    root: &Cursor<'_>,
    source: &str,
    diagnostics: &mut Diagnostics,
) {
    let mut compiled = BTreeMap::new();
    for endpoint in &definition.endpoints {
        let Some(cursor) = root.at(&["endpoints", endpoint.id.as_str(), "transform"]) else {
            continue;
        };
        // What is no text has its message.
        let Some(program) = cursor.node.text() else {
            continue;
        };
        match Transform::new(program) {
            Ok(transform) => {
                compiled.insert(endpoint.id.to_string(), Arc::new(transform));
            }
            Err(wrong) => {
                let place = place(&wrong, program, &cursor.node.place, source);
                diagnostics.error(&place.0, cursor.path.clone(), place.1);
            }
        }
    }
    for endpoint in &mut definition.endpoints {
        endpoint.transform = compiled.remove(endpoint.id.as_str());
        if endpoint.transform.is_some() {
            // Who knows what it looks at.
            endpoint.families = None;
        }
    }
}

/// Where the mistake stands in the file, and what to say of it.
fn place(wrong: &WrongProgram, program: &str, begins: &Place, source: &str) -> (Place, String) {
    let message = format!("is not jq: {wrong}");
    let Some((line, column)) = wrong.place(program) else {
        return (begins.clone(), message);
    };
    match first_line(program, begins, source) {
        Some((first, indent)) => {
            let place = Place {
                source: Arc::clone(&begins.source),
                line: first + line - 1,
                column: indent(line) + column,
            };
            (place, message)
        }
        None => {
            let message = format!("{message} (line {line}, column {column} of the program)");
            (begins.clone(), message)
        }
    }
}

/// The line of the file in which the program begins, and how far each of its lines is indented;
/// none if it is not written as it is read.
fn first_line<'s>(
    program: &'s str,
    begins: &Place,
    source: &'s str,
) -> Option<(usize, impl Fn(usize) -> usize + 's)> {
    let lines: Vec<_> = source.lines().collect();
    let indent_of = move |first: usize, number: usize| {
        let written = lines.get(first + number - 2)?;
        let line = program
            .lines()
            .nth(number - 1)
            .unwrap_or_default()
            .trim_end();
        let at = written.find(line)?;
        Some(written.get(..at)?.chars().count())
    };
    // On the line of its key, or below it.
    let blank = program.lines().take_while(|line| line.trim().is_empty());
    let earliest = begins.line.saturating_sub(blank.count()).max(1);
    let first = (earliest..=begins.line + 2).find(|first| {
        let mut numbers = 1..=program.lines().count().max(1);
        numbers.all(|number| indent_of(*first, number).is_some())
    })?;
    Some((first, move |number| {
        indent_of(first, number).unwrap_or_default()
    }))
}

#[cfg(test)]
mod tests {
    use crate::definition;

    #[test]
    fn a_mistake_has_its_place_in_the_file() {
        for (yaml, place) in [
            ("transform: '.a | nosuch'", "test.yaml:4:22: "),
            ("transform: .a | nosuch", "test.yaml:4:21: "),
            ("transform: |\n      .a\n      | nosuch", "test.yaml:6:9: "),
            ("transform: |\n\n      .a | nosuch", "test.yaml:6:12: "),
            ("transform: \".a |\\n nosuch\"", "test.yaml:4:16: "),
        ] {
            let text = format!(
                "endpoints:\n  e:\n    path: /\n    {yaml}\nmetrics: [{{name: m, instrument: gauge, value: $.a}}]\n"
            );
            let error = definition::from_text("test", "test.yaml", &text)
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(place), "{yaml}: {error}");
            assert!(error.contains("there is no filter `nosuch`"), "{error}");
        }
    }
}
