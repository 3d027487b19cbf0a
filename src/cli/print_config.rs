//! `print-config`: prints the configuration as the collector understands it.

use std::process::ExitCode;

use super::{
    CommandError, Output,
    args::{Format, PrintConfigArgs, SourceArgs},
    load::load,
};

/// Prints everything, with defaults. Secrets print as `[REDACTED]`.
pub(super) fn print_config(
    args: &SourceArgs,
    options: PrintConfigArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let config = super::runtime()?.block_on(load(args))?;
    match options.format {
        Format::Json => out.text(serde_json::to_string_pretty(&config)?),
        Format::Yaml => out.text(serde_saphyr::to_string(&config)?.trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}
