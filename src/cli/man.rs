//! `man`: writes the manual pages, one for the program and one for each of its commands.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{
    CommandError, Output,
    args::{Args, ManArgs},
};

/// Writes the pages and prints where they are.
///
/// # Errors
/// If the directory or a page cannot be written.
pub(super) fn man(options: &ManArgs, out: &mut Output) -> Result<ExitCode, CommandError> {
    std::fs::create_dir_all(&options.directory)?;
    clap_mangen::generate_to(Args::command(), &options.directory)?;
    out.line(format_args!("{}", options.directory.display()));
    Ok(ExitCode::SUCCESS)
}
