//! `top --once`: a table for scripts.

use super::{client::Client, view::View};
use crate::{
    cli::{CommandError, Output, table},
    overview::{
        TargetQuery, TargetRow, TargetState,
        words::{count, soon, span},
    },
};

/// Prints the sentences and a row for each target.
pub(super) async fn once(
    client: &Client,
    query: &TargetQuery,
    out: &mut Output,
) -> Result<(), CommandError> {
    let answers = client.ask(query, &View::Fleet).await?;
    for sentence in &answers.fleet.headline {
        out.line(format_args!("{sentence}"));
    }
    out.line(format_args!(""));
    let rows: Vec<_> = answers.targets.targets.iter().map(row).collect();
    table::write(["STATE", "TARGET", "AGE", "NEXT", "CAUSE"], &rows, out);
    let left = answers.targets.matched - rows.len().min(answers.targets.matched);
    if left > 0 {
        out.line(format_args!("  … and {}", count(left, "more target")));
    }
    Ok(())
}

fn row(row: &TargetRow) -> [String; 5] {
    [
        row.state.name().to_owned(),
        row.name.clone(),
        age(row),
        next(row),
        cause(row),
    ]
}

/// How old the data is, in whole seconds.
pub(super) fn age(row: &TargetRow) -> String {
    let age = row.age_seconds.map(|age| span(age.round()));
    age.unwrap_or_else(|| "never".to_owned())
}

/// When a target is asked next, in whole seconds.
pub(super) fn next(row: &TargetRow) -> String {
    match (row.state, row.retry_in_seconds) {
        (TargetState::Open, Some(wait)) => format!("trial {}", soon(wait)),
        (TargetState::Probing, _) => "now".to_owned(),
        _ => row.next_poll_in_seconds.map_or_else(String::new, soon),
    }
}

/// Why a target is not fresh.
pub(super) fn cause(row: &TargetRow) -> String {
    match (&row.cause, row.state) {
        (_, TargetState::Fresh) => String::new(),
        (Some(cause), TargetState::Partial) => format!("{}: {}", cause.endpoint, cause.message),
        (Some(cause), _) => cause.message.clone(),
        (None, state) => state.meaning().to_owned(),
    }
}
