//! `completions`: prints the completion script of a shell.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{
    CommandError, Output,
    args::{Args, CompletionsArgs},
};

/// Prints the script.
pub(super) fn completions(
    options: CompletionsArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    out.text(String::from_utf8(script)?.trim_end());
    Ok(ExitCode::SUCCESS)
}
