//! `components`: lists the components that a configuration can use.

use std::process::ExitCode;

use super::{CommandError, Output};
use crate::{config::Registers, definition, settings::ComponentType};

/// Prints YAML, as the OpenTelemetry Collector does.
pub(super) fn components(
    registers: &Registers,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    out.line(format_args!("buildinfo:"));
    out.line(format_args!("  command: betanet-collector"));
    out.line(format_args!("  version: {}", env!("CARGO_PKG_VERSION")));
    types("receivers", &registers.receivers, out);
    types("processors", &registers.processors, out);
    types("exporters", &registers.exporters, out);
    types::<()>("connectors", &[], out);
    types("extensions", &registers.extensions, out);
    out.line(format_args!("definitions:"));
    for builtin in definition::BUILTIN {
        let definition = definition::load_builtin(builtin)?;
        let metrics = definition.instruments.len();
        out.line(format_args!("  - name: {}", builtin.name));
        out.line(format_args!("    metrics: {metrics}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn types<C: ?Sized>(section: &str, types: &[ComponentType<C>], out: &mut Output) {
    if types.is_empty() {
        out.line(format_args!("{section}: []"));
        return;
    }
    out.line(format_args!("{section}:"));
    for known in types {
        out.line(format_args!("  - name: {}", known.name));
        if !known.aliases.is_empty() {
            let aliases = known.aliases.join(", ");
            out.line(format_args!("    aliases: [{aliases}]"));
        }
        out.line(format_args!("    description: {:?}", known.about));
    }
}
