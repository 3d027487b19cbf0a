//! `healthcheck`: asks a running collector whether it is alive. It is for supervisors that can only
//! run a program, with images that have no shell.

use std::process::ExitCode;

use super::{CommandError, Output, args::HealthcheckArgs};

/// Prints the answer of the collector. Succeeds if the status is 2xx.
///
/// # Errors
/// If there is no answer in time.
pub(super) async fn healthcheck(
    options: &HealthcheckArgs,
    out: &mut Output,
) -> Result<ExitCode, CommandError> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(options.timeout.get())
        .build()?;
    let answer = client.get(&options.url).send().await?;
    let status = answer.status();
    let mut answer = answer;
    // The first part is enough: `/livez` and `/readyz` answer with one line.
    let part = answer.chunk().await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&part);
    out.line(format_args!("{}", text.lines().next().unwrap_or_default()));
    Ok(if status.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
