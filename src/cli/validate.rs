//! `validate`: reports everything that is wrong with the configuration, in one run.

use std::process::ExitCode;

use super::{CommandError, args::SourceArgs, load::load};
use crate::{
    config::Registers,
    receivers::Network,
    runtime::Clock,
    service::{Environment, Service},
};

/// Prints nothing if the configuration is valid. It checks everything except whether the ports are
/// free.
pub(super) async fn validate(
    registers: &Registers,
    args: &SourceArgs,
) -> Result<ExitCode, CommandError> {
    let config = load(registers, args).await?;
    let world = Environment {
        clock: Clock::System,
        seed: 0,
        listening: None,
        sending: None,
        network: Network::default(),
    };
    Service::dry_run(&config, &world)?;
    Ok(ExitCode::SUCCESS)
}
