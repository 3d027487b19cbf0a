//! From the command line to a configuration.

use std::path::Path;

use super::{CommandError, Output, args::SourceArgs};
use crate::{
    config::{self, Config},
    yaml::Diagnostics,
};

/// The file that is read if the command line names none.
const DEFAULT_FILE: &str = "otel-config.yaml";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(
        "at least one config flag must be provided: --config FILE (there is no `{DEFAULT_FILE}` in this folder)"
    )]
    NoConfig,
    #[error("invalid configuration\n{0}")]
    Invalid(Diagnostics),
}

/// Loads and checks the configuration. Warnings are written to standard error.
pub(super) fn load(args: &SourceArgs) -> Result<Config, CommandError> {
    let mut configs = args.config.clone();
    if configs.is_empty() {
        if !Path::new(DEFAULT_FILE).is_file() {
            return Err(LoadError::NoConfig.into());
        }
        configs.push(DEFAULT_FILE.to_owned());
    }
    let sources = config::sources(&configs, &args.set)?;
    let mut diagnostics = Diagnostics::new();
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load(&sources, &environment, &mut diagnostics);
    let mut stderr = Output::stderr();
    for warning in diagnostics.warnings() {
        stderr.line(format_args!("Warning: {warning}"));
    }
    config.ok_or_else(|| LoadError::Invalid(diagnostics).into())
}
