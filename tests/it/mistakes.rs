//! Checks the message of `validate` for each mistake in `tests/fixtures/config/`, one file each.
//! The message alone must be enough to fix the mistake. `UPDATE_FIXTURES=1` rewrites the expected
//! messages.

use std::path::Path;

use crate::support::{
    command::{golden, run_in, yaml_files},
    source::root,
};

const FOLDER: &str = "tests/fixtures/config";

/// The value of the variable for every secret in a fixture.
const CANARY: &str = "c4n4ry-s3cr3t";

#[test]
fn each_mistake_has_its_message() {
    let files = yaml_files(FOLDER);
    assert!(files.len() >= 60, "{} fixtures", files.len());
    let wrong: Vec<String> = files.iter().filter_map(|file| judge(file)).collect();
    assert!(
        wrong.is_empty(),
        "{}\n{} of {} differ",
        wrong.join("\n"),
        wrong.len(),
        files.len()
    );
}

/// The mistake in the output for one file.
fn judge(file: &Path) -> Option<String> {
    let name = file.file_name().unwrap().to_str().unwrap();
    let arguments = ["validate", "--config", name];
    let output = run_in(&root().join(FOLDER), &arguments, &[("CANARY", CANARY)]);
    let is_mistake = output.stderr.contains("Error: ");
    let expected_code = if is_mistake { 1 } else { 0 };
    assert_eq!(output.code, Some(expected_code), "{name}: {output:?}");
    assert_eq!(output.stdout, "", "{name}");
    let is_shown = output.stderr.contains(CANARY) || output.stderr.contains("hunter2");
    assert!(!is_shown, "{name} shows a secret: {}", output.stderr);
    assert_ne!(output.stderr, "", "{name} has no mistake");
    golden(&file.with_extension("txt"), &output.stderr)
}

#[test]
fn each_definition_with_a_mistake_is_in_a_fixture() {
    let configs: Vec<String> = yaml_files(FOLDER)
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    for file in yaml_files("tests/fixtures/definitions") {
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_named = |config: &String| config.contains(&format!("../definitions/{name}"));
        assert!(configs.iter().any(is_named), "{name}");
    }
}

/// Messages of fixtures whose mistake has a place in a file: all except those about a whole file,
/// and those from building components.
#[test]
fn each_message_has_a_place_and_a_path() {
    const WITHOUT_PATH: [&str; 4] = ["yaml-", "file-", "definition-empty", "definition-not-a-map"];
    const WITHOUT_PLACE: [&str; 4] = [
        "discovery-kubernetes-exec",
        "server-tls-file-missing",
        "telemetry-two-on-one-path",
        "tls-file-missing",
    ];
    for file in yaml_files(FOLDER) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        let messages = text
            .lines()
            .filter(|line| *line != "Error: invalid configuration")
            .map(|line| line.strip_prefix("Warning: ").unwrap_or(line));
        for message in messages.filter(|_| !WITHOUT_PLACE.contains(&name)) {
            let parts: Vec<&str> = message.splitn(4, ':').collect();
            let [file, line, column, rest] = parts.as_slice() else {
                panic!("{name}: {message}");
            };
            let is_number = |text: &str| text.parse::<usize>().is_ok();
            let has_place = file.ends_with(".yaml") && is_number(line) && is_number(column);
            assert!(has_place, "{name}: {message}");
            let needs_path = !WITHOUT_PATH.iter().any(|prefix| name.starts_with(prefix));
            let path = rest.trim_start().split(": ").next().unwrap_or_default();
            let is_path = path.contains("::") || !path.contains(' ');
            assert!(!needs_path || is_path, "{name}: {message}");
        }
    }
}
