//! What can be read in one go stays so: short functions, short files, a short map.

use crate::support::source::{Token, files, root, tokens};

const FUNCTION_LINES: usize = 60;
const FILE_LINES: usize = 500;
const MAP_LINES: usize = 150;

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in files() {
        for (name, line, lines) in functions(&tokens(&text)) {
            if lines > FUNCTION_LINES {
                long.push(format!(
                    "src/{}:{line}: `{name}` has {lines} lines",
                    path.display()
                ));
            }
        }
    }
    assert!(
        long.is_empty(),
        "more than {FUNCTION_LINES} lines:\n{}\n",
        long.join("\n")
    );
}

#[test]
fn files_are_short() {
    for (path, text) in files() {
        let lines = lines_outside_tests(&text);
        let is_test = path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
        assert!(
            is_test || lines <= FILE_LINES,
            "src/{} has {lines} lines",
            path.display()
        );
    }
}

#[test]
fn the_map_is_short_and_complete() {
    let Ok(map) = std::fs::read_to_string(root().join("ARCHITECTURE.md")) else {
        return; // Nothing to judge until it is written.
    };
    assert!(
        map.lines().count() <= MAP_LINES,
        "ARCHITECTURE.md has more than {MAP_LINES} lines"
    );
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_named = map.contains(&format!("{name}/"));
        assert!(
            !entry.path().is_dir() || is_named,
            "ARCHITECTURE.md does not name src/{name}/"
        );
    }
}

/// A line of the log in JSON has its own keys; a field of one of these names would be there twice.
#[test]
fn no_field_of_the_log_has_the_name_of_one_that_is_there_already() {
    let twice: Vec<_> = files()
        .into_iter()
        .flat_map(|(path, text)| {
            let lines = fields_there_already(&tokens(&text));
            lines
                .into_iter()
                .map(move |line| format!("src/{}:{line}", path.display()))
        })
        .collect();
    assert!(twice.is_empty(), "keys twice:\n{}\n", twice.join("\n"));
}

/// The lines in which an event of the log gets such a field.
fn fields_there_already(tokens: &[Token]) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, start) in tokens.windows(3).enumerate() {
        let [level, bang, open] = start else { continue };
        let levels = ["error", "warn", "info", "debug", "trace"];
        let is_event = levels.contains(&level.text.as_str());
        if !is_event || bang.text != "!" || open.text != "(" {
            continue;
        }
        let mut depth = 0;
        for part in tokens.get(at + 1..).unwrap_or_default().windows(3) {
            let [before, token, next] = part else {
                continue;
            };
            depth += i32::from(token.text == "(") - i32::from(token.text == ")");
            if depth == 0 {
                break;
            }
            let is_there = ["message", "level", "timestamp"].contains(&token.text.as_str());
            let is_field = ["(", ",", "%", "?"].contains(&before.text.as_str())
                && ["=", ","].contains(&next.text.as_str());
            if depth == 1 && is_there && is_field {
                found.push(token.line);
            }
        }
    }
    found
}

#[test]
fn fields_are_found_where_an_event_gets_them() {
    let text = "tracing::warn!(%a, message = b, \"c\");\nmessage = 1;\ninfo!(level, b = a.message, f(message, 1));";
    assert_eq!(fields_there_already(&tokens(text)), [1, 3]);
}

/// Name, first line and number of lines of every function that has a body.
fn functions(tokens: &[Token]) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        let is_named = name
            .text
            .starts_with(|first: char| first.is_alphabetic() || first == '_');
        if keyword.text != "fn" || !is_named {
            continue;
        }
        if let Some(end) = end_line(tokens.get(at + 2..).unwrap_or_default()) {
            found.push((name.text.as_str(), keyword.line, end - keyword.line + 1));
        }
    }
    found
}

/// The line of the brace that closes a function; none where `;` ends it before a body.
fn end_line(after_name: &[Token]) -> Option<usize> {
    let (mut brackets, mut braces) = (0_usize, 0_usize);
    for token in after_name {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets -= 1,
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" if braces == 1 => return Some(token.line),
            "}" => braces -= 1,
            _ => {}
        }
    }
    None
}

fn lines_outside_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod ") && module.ends_with('{'))
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn functions_are_measured_from_their_keyword_to_their_brace() {
    let text = "trait T { fn a(&self, _: [u8; 2]); }\n\
                fn b(f: fn() -> u8) {\n    let _ = \"}\"; // }\n    if true {}\n}\n";
    assert_eq!(functions(&tokens(text)), [("b", 2, 4)]);
}

#[test]
fn a_file_is_measured_up_to_its_tests() {
    assert_eq!(
        lines_outside_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"),
        2
    );
    assert_eq!(lines_outside_tests("a\n#[cfg(test)]\nmod fake;\n"), 3);
}
