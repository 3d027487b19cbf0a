//! Loads the configuration that the command line names.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{CommandError, Output, args::SourceArgs};
use crate::{
    config::{self, Config, Registers},
    runtime::heavy,
    yaml::{Diagnostic, Diagnostics},
};

/// The longest time for loading.
const TIMEOUT: Duration = Duration::from_secs(30);

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
    #[error("failed to load the configuration")]
    Lost(#[source] heavy::Lost),
}

/// The values of `--config`, or the default file.
pub(super) fn configs(args: &SourceArgs) -> Vec<String> {
    match args.config.is_empty() {
        true => vec![DEFAULT_FILE.to_owned()],
        false => args.config.clone(),
    }
}

/// A configuration and its warnings.
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) warnings: Warnings,
    /// The files that its references name.
    pub(super) files: Vec<PathBuf>,
}

/// The warnings about a configuration.
#[derive(Default)]
pub(super) struct Warnings(Vec<Diagnostic>);

impl Warnings {
    /// Prints the warnings to standard error.
    pub(super) fn show(&self) {
        let mut stderr = Output::stderr();
        for warning in &self.0 {
            stderr.line(format_args!("Warning: {warning}"));
        }
    }

    /// Writes the warnings to the log.
    pub(super) fn log(&self) {
        for Diagnostic {
            place,
            path,
            message,
            ..
        } in &self.0
        {
            tracing::warn!(at = %place, key = path, "{message}");
        }
    }
}

/// Loads and checks the configuration. Prints warnings to standard error.
pub(super) async fn load(registers: &Registers, args: &SourceArgs) -> Result<Config, CommandError> {
    let Loaded {
        config, warnings, ..
    } = read(registers, args).await?;
    warnings.show();
    Ok(config)
}

/// Loads and checks the configuration, on its own thread and within a time limit. If it is invalid,
/// prints the warnings to standard error.
pub(super) async fn read(registers: &Registers, args: &SourceArgs) -> Result<Loaded, CommandError> {
    let (registers, args) = (registers.clone(), args.clone());
    let loaded = heavy::alone("load", TIMEOUT, move || read_here(&registers, &args)).await;
    loaded.map_err(LoadError::Lost)?
}

fn read_here(registers: &Registers, args: &SourceArgs) -> Result<Loaded, CommandError> {
    if args.config.is_empty() && !Path::new(DEFAULT_FILE).is_file() {
        return Err(LoadError::NoConfig.into());
    }
    let sources = config::sources(&configs(args), &args.set)?;
    let mut diagnostics = Diagnostics::new();
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load_with(registers, &sources, &environment, &mut diagnostics);
    let warnings = Warnings(diagnostics.warnings().cloned().collect());
    if let Some(config) = config {
        return Ok(Loaded {
            config,
            warnings,
            files: diagnostics.files().map(Path::to_owned).collect(),
        });
    }
    warnings.show();
    Err(LoadError::Invalid(diagnostics).into())
}
