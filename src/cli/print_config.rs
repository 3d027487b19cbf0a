//! `print-config`: prints the configuration as the collector understands it.

use std::process::ExitCode;

use super::{
    CommandError, Output,
    args::{Format, PrintConfigArgs, SourceArgs},
    load::load,
};
use crate::config::{self, Registers};

/// Prints everything, with defaults. Secrets print as `[REDACTED]`. In YAML a comment marks each line
/// that is a default.
pub(super) fn print_config(
    registers: &Registers,
    args: &SourceArgs,
    options: PrintConfigArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let config = super::runtime()?.block_on(load(registers, args))?;
    match options.format {
        Format::Json => out.text(serde_json::to_string_pretty(&config)?),
        Format::Yaml => {
            for line in config::lines(&config)? {
                let comment = if line.is_default { "  # default" } else { "" };
                out.line(format_args!("{}{comment}", line.text));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
