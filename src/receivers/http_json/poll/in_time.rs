//! The wait for an answer until a deadline.

use std::{future::Future, pin::pin, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

/// If this task wakes later than this after a deadline, the answer may have come in time.
const LATE: Duration = Duration::from_millis(20);

/// Waits for a node until `deadline`. If this task wakes long after that, the node may have
/// answered in time and nothing has looked: what lies in the socket is read then.
pub(super) async fn in_time<T>(answer: impl Future<Output = T>, deadline: Instant) -> Option<T> {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout_at(deadline, &mut answer).await {
        return Some(answer);
    }
    let late = deadline.elapsed();
    if late < LATE {
        return None;
    }
    timeout(late, answer).await.ok()
}

#[cfg(test)]
mod tests {
    use tokio::{
        task::yield_now,
        time::{advance, sleep},
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// It answers after that, which takes two looks.
    async fn answer(after: Duration) -> u64 {
        sleep(after).await;
        yield_now().await;
        7
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_in_time_counts_however_late_the_task_wakes() {
        let deadline = Instant::now() + SECOND;
        let busy = async {
            yield_now().await;
            advance(SECOND * 3).await;
        };
        let (answer, ()) = tokio::join!(in_time(answer(SECOND / 2), deadline), busy);
        assert_eq!(answer, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_gets_no_extra_time() {
        let begun = Instant::now();
        assert_eq!(in_time(answer(SECOND * 2), begun + SECOND).await, None);
        assert!(begun.elapsed() < SECOND + LATE, "{:?}", begun.elapsed());
    }
}
