//! `schema`: prints JSON Schemas for editors.

use std::process::ExitCode;

use super::{CommandError, Output, args::SchemaArgs};
use crate::{
    config::{self, Registers},
    definition,
};

/// Prints the schema of a configuration or of a definition.
pub(super) fn schema(
    registers: &Registers,
    options: SchemaArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let schema = if options.definition {
        definition::schema()
    } else {
        config::schema(registers)
    };
    out.text(serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}
