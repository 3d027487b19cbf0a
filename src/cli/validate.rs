//! `validate`: everything that is wrong with the configuration, in one run.

use std::process::ExitCode;

use super::{CommandError, args::SourceArgs, load::load};
use crate::{
    receivers::http_json::Network,
    runtime::Clock,
    service::{Environment, Service},
};

/// Silent if the configuration is good: all but the ports can be had.
pub(super) async fn validate(args: &SourceArgs) -> Result<ExitCode, CommandError> {
    let config = load(args).await?;
    let world = Environment {
        clock: Clock::System,
        seed: 0,
        listening: None,
        network: Network::default(),
    };
    Service::dry_run(&config, &world)?;
    Ok(ExitCode::SUCCESS)
}
