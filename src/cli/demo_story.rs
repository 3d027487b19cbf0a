//! What the demo says while its first node goes down and comes back: a sentence for each step, made
//! of what the API says.

use std::{fmt::Arguments, time::Duration};

use tokio::time::{Instant, sleep};

use super::Output;
use crate::{
    overview::{TargetDetail, TargetState, words::span},
    settings::Endpoint,
};

/// The node that goes down.
const NODE: &str = "node-1";

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Says what happens to the node, as long as the demo runs.
pub(super) async fn tell(listen: &Endpoint) {
    let url = format!("http://{listen}/api/v1/targets/{NODE}?read=kept");
    let Ok(client) = reqwest::Client::builder().no_proxy().build() else {
        return;
    };
    // Until its first answer there is nothing to tell.
    let (mut before, mut down_since) = (TargetState::Pending, None);
    loop {
        sleep(EVERY).await;
        let Some(detail) = look(&client, &url).await else {
            continue;
        };
        let state = detail.row.state;
        if state == before {
            continue;
        }
        if before == TargetState::Pending {
            before = state;
            continue;
        }
        let since = *down_since.get_or_insert_with(Instant::now);
        say(&detail, before, since.elapsed(), listen);
        if state == TargetState::Fresh {
            down_since = None;
        }
        before = state;
    }
}

async fn look(client: &reqwest::Client, url: &str) -> Option<TargetDetail> {
    let answer = client.get(url).send().await.ok()?.bytes().await.ok()?;
    serde_json::from_slice(&answer).ok()
}

/// The sentence for a step.
fn say(detail: &TargetDetail, before: TargetState, down_for: Duration, listen: &Endpoint) {
    let row = &detail.row;
    match row.state {
        TargetState::Failing | TargetState::Partial if before == TargetState::Fresh => {
            let cause = row.cause.as_ref().map_or("", |cause| &cause.message);
            line(format_args!(
                "{NODE} fails ({cause}). Its last values stay on the scrape, `betanet_up` is 0, and \
                 over OTLP its series end. Look: http://{listen}/targets/{NODE}"
            ));
        }
        TargetState::Open if before != TargetState::Probing => {
            let wait = row.retry_in_seconds.map_or_else(String::new, span);
            line(format_args!(
                "The breaker of {NODE} opened: the node is left alone, so that it can recover. One \
                 trial request follows in {wait}."
            ));
        }
        TargetState::Open => line(format_args!(
            "The trial request failed: {NODE} is left alone for another while."
        )),
        TargetState::Fresh => line(format_args!(
            "{NODE} answers again after {}: the breaker is closed, and all values are new.",
            span(down_for.as_secs_f64().round())
        )),
        TargetState::Probing
        | TargetState::Failing
        | TargetState::Partial
        | TargetState::Late
        | TargetState::Pending => {}
    }
}

fn line(sentence: Arguments<'_>) {
    Output::stdout().line(format_args!("demo: {sentence}"));
}
