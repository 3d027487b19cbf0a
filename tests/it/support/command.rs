//! Runs the program from a shell, to its end.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::source::root;

/// The path of the program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_betanet-collector");

/// The result of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command with an empty environment.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

/// Runs it in `folder` with `arguments` and only `environment`.
pub(crate) fn run_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = command(folder, arguments);
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs it in the root of the repository.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    run_in(root(), arguments, environment)
}

/// Standard output of a run that succeeds without any message.
pub(crate) fn stdout_of(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = run(arguments, environment);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (Some(0), ""),
        "{arguments:?}"
    );
    output.stdout
}

/// Compares `actual` with the file `path`. With `UPDATE_FIXTURES=1` it writes the file instead.
/// Returns the difference, if there is one.
pub(crate) fn golden(path: &Path, actual: &str) -> Option<String> {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(path, actual).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    (expected != actual).then(|| {
        format!(
            "{}:\n--- expected\n{expected}--- found\n{actual}",
            path.display()
        )
    })
}

/// All `.yaml` files in a directory of the repository, in order.
pub(crate) fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    paths
}

/// Runs the program next to a simulator that this test runs.
pub(crate) async fn beside(folder: &Path, arguments: &[&str]) -> Output {
    let folder = folder.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    let call = move || {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run_in(&folder, &words, &[])
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}
