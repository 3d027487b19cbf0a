//! `schema`: prints JSON Schemas for editors.

use std::process::ExitCode;

use super::{CommandError, Output, args::SchemaArgs, definition_test};
use crate::{
    config::{self, Registers},
    definition,
};

/// Prints the schema of a configuration, of a definition or of its tests.
pub(super) fn schema(
    registers: &Registers,
    options: SchemaArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let schema = match options {
        SchemaArgs {
            definition: true, ..
        } => definition::schema(),
        SchemaArgs { test: true, .. } => definition_test::schema(),
        SchemaArgs { .. } => config::schema(registers),
    };
    out.text(serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}
