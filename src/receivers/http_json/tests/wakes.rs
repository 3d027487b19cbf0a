//! How often a poll wakes its task. A wake costs as much as a request, so this is a bound of what a
//! poll costs that does not depend on the machine.

use std::{future::poll_fn, pin::pin};

use super::{
    lab::{Reply, ScriptedServer, alone, settings},
    *,
};

const PATHS: [&str; 3] = ["/a", "/b", "/c"];
const TICKS: u32 = 40;

/// How often the task of a target ran in so many ticks, and how many requests it made.
async fn runs(reply: Reply) -> (usize, usize) {
    let server = ScriptedServer::new(move |_| reply);
    let poller = alone(&server, settings(), &PATHS);
    let mut polling = pin!(go(
        &poller,
        every(INTERVAL),
        nowhere(),
        CancellationToken::new()
    ));
    let mut runs = 0;
    let counted = poll_fn(|context| {
        runs += 1;
        polling.as_mut().poll(context)
    });
    drop(timeout(INTERVAL * TICKS, counted).await);
    (runs, server.count())
}

#[tokio::test(start_paused = true)]
async fn a_poll_wakes_its_task_for_its_tick_and_for_answers() {
    let (at_once, requests) = runs(Reply::Good).await;
    let polls = requests / PATHS.len();
    assert!(polls >= 38, "{polls}");
    assert!(at_once <= polls + 1, "{at_once} times for {polls} polls");
    let (together, requests) = runs(Reply::After(Duration::from_millis(5))).await;
    let polls = requests / PATHS.len();
    assert!(
        together <= 2 * polls + 1,
        "{together} times for {polls} polls"
    );
}
