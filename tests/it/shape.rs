//! Checks the length of files and of the architecture page. clippy checks the length of functions:
//! `clippy.toml`.

use crate::support::source::{Token, files, root, tokens};

const FILE_LINES: usize = 500;
const MAP_LINES: usize = 100;

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
fn the_architecture_page_is_short_and_complete() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
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

/// A JSON log line has its own keys. A field with one of these names would be there twice.
#[test]
fn no_log_field_has_a_reserved_name() {
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

/// The lines in which a log event has such a field.
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
fn fields_of_events_are_found() {
    let text = "tracing::warn!(%a, message = b, \"c\");\nmessage = 1;\ninfo!(level, b = a.message, f(message, 1));";
    assert_eq!(fields_there_already(&tokens(text)), [1, 3]);
}

fn lines_outside_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        matches!(pair, ["#[cfg(test)]", module] if module.starts_with("mod ") && module.ends_with('{'))
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn a_file_is_measured_up_to_its_tests() {
    assert_eq!(
        lines_outside_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"),
        2
    );
    assert_eq!(lines_outside_tests("a\n#[cfg(test)]\nmod fake;\n"), 3);
}
