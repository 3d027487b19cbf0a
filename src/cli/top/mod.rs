//! `top`: the fleet of a running collector in a terminal, from its API.

mod client;
#[cfg(feature = "top")]
mod draw;
#[cfg(feature = "top")]
mod keys;
mod once;
#[cfg(feature = "top")]
mod screen;
#[cfg(feature = "top")]
mod terminal;
#[cfg(test)]
#[cfg(feature = "top")]
mod tests;
mod view;

use std::process::ExitCode;

use self::client::Client;
use super::{CommandError, Output, args::TopArgs};
use crate::overview::{Sort, TargetQuery, TargetState};

/// How many targets a screen or `--once` shows at most.
const TARGETS: usize = 1000;

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
enum TopError {
    #[error(
        "there is no state `{0}`; there is: open, probing, failing, partial, late, pending, fresh"
    )]
    State(String),
    #[error("standard output is no terminal: `top --once` prints a table")]
    #[cfg(feature = "top")]
    NoTerminal,
    #[error("this build has no terminal view: `top --once` prints a table")]
    #[cfg(not(feature = "top"))]
    NoView,
}

/// Shows the fleet until a key ends it, or once.
///
/// # Errors
/// If the collector does not answer, or there is no terminal.
pub(super) fn top(options: &TopArgs, out: &mut Output) -> Result<ExitCode, CommandError> {
    let query = query(options)?;
    let runtime = super::runtime()?;
    let client = Client::new(&options.url)?;
    if options.once {
        runtime.block_on(once::once(&client, &query, out))?;
        return Ok(ExitCode::SUCCESS);
    }
    show(&runtime, &client, query)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "top")]
fn show(
    runtime: &tokio::runtime::Runtime,
    client: &Client,
    query: TargetQuery,
) -> Result<(), CommandError> {
    use std::io::IsTerminal as _;

    if !std::io::stdout().is_terminal() {
        return Err(TopError::NoTerminal.into());
    }
    terminal::show(runtime, client, query)
}

#[cfg(not(feature = "top"))]
fn show(_: &tokio::runtime::Runtime, _: &Client, _: TargetQuery) -> Result<(), CommandError> {
    Err(TopError::NoView.into())
}

fn query(options: &TopArgs) -> Result<TargetQuery, TopError> {
    let states = options
        .state
        .iter()
        .map(|name| TargetState::named(name).ok_or_else(|| TopError::State(name.clone())));
    Ok(TargetQuery {
        states: states.collect::<Result<_, _>>()?,
        sort: Sort::named(&options.sort).unwrap_or_default(),
        limit: TARGETS,
        ..TargetQuery::default()
    })
}
