//! `components`: lists the components that a configuration can use.

use std::process::ExitCode;

use super::{CommandError, Output};
use crate::{definition, exporters, extensions, processors, receivers, settings::ComponentType};

/// Prints YAML, as the OpenTelemetry Collector does.
pub(super) fn components(out: &mut Output) -> Result<ExitCode, CommandError> {
    out.line(format_args!("buildinfo:"));
    out.line(format_args!("  command: betanet-collector"));
    out.line(format_args!("  version: {}", env!("CARGO_PKG_VERSION")));
    kinds("receivers", receivers::KINDS, out);
    kinds("processors", processors::KINDS, out);
    kinds("exporters", exporters::KINDS, out);
    kinds("connectors", &[], out);
    kinds("extensions", extensions::KINDS, out);
    out.line(format_args!("definitions:"));
    for builtin in definition::BUILTIN {
        let definition = definition::load_builtin(builtin)?;
        let metrics = definition.instruments.len();
        out.line(format_args!("  - name: {}", builtin.name));
        out.line(format_args!("    metrics: {metrics}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn kinds(section: &str, kinds: &[ComponentType], out: &mut Output) {
    if kinds.is_empty() {
        out.line(format_args!("{section}: []"));
        return;
    }
    out.line(format_args!("{section}:"));
    for kind in kinds {
        out.line(format_args!("  - name: {}", kind.name));
        if !kind.aliases.is_empty() {
            out.line(format_args!("    aliases: [{}]", kind.aliases.join(", ")));
        }
        out.line(format_args!("    description: {:?}", kind.about));
    }
}
