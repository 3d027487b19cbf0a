//! The events of a node over time: only data, without a clock.

use std::time::Duration;

use super::dialect::Dialect;
use super::fault::NodeFault;

/// A list of steps that repeats.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    period: Duration,
    steps: Vec<ScriptStep>,
}

/// One step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptStep {
    /// When, from the start of each round.
    pub at: Duration,
    /// What happens.
    pub action: NodeAction,
}

/// The actions of a script. Each is a method of [`Node`](super::Node).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAction {
    /// Fail later requests.
    Fault {
        /// Only this path, or any path.
        path: Option<String>,
        /// The way to fail.
        fault: NodeFault,
    },
    /// End the faults for later requests.
    ClearFaults,
    /// Reset the totals, and end a grey failure.
    Restart,
    /// Close the port.
    Stop,
    /// Open the port again.
    StartAgain,
    /// Add a new mixnode.
    AddMixnode,
    /// Remove the oldest mixnode.
    RemoveMixnode,
}

impl Script {
    /// Steps that repeat every `period`. Steps at or after its end never happen.
    ///
    /// With a period of 0 nothing happens.
    pub fn repeating(period: Duration, steps: impl IntoIterator<Item = ScriptStep>) -> Self {
        let mut steps: Vec<ScriptStep> =
            steps.into_iter().filter(|step| step.at < period).collect();
        steps.sort_by_key(|step| step.at);
        Self { period, steps }
    }

    /// The script of a node in the demo: the first Betanet node flaps, the second one restarts now
    /// and then, and every mixnode server adds and removes mixnodes.
    ///
    /// `index` counts the nodes with the same API from 0.
    pub fn demo(dialect: Dialect, index: usize) -> Self {
        match (dialect, index) {
            (Dialect::Betanet, 0) => Self::flapping(),
            (Dialect::Betanet, 1) => Self::restarting(),
            (Dialect::Betanet, _) => Self::default(),
            (Dialect::Mixnode, _) => Self::churning(),
        }
    }

    /// Every three minutes: 25 s without a listener, and later half a minute of 503s.
    fn flapping() -> Self {
        let overload = NodeFault::Status {
            code: 503,
            retry_after: Some(Duration::from_secs(5)),
        };
        Self::repeating(
            Duration::from_secs(180),
            [
                step(20, NodeAction::Stop),
                step(45, NodeAction::StartAgain),
                step(
                    100,
                    NodeAction::Fault {
                        path: None,
                        fault: overload,
                    },
                ),
                step(130, NodeAction::ClearFaults),
            ],
        )
    }

    /// Every two minutes.
    fn restarting() -> Self {
        Self::repeating(Duration::from_secs(120), [step(90, NodeAction::Restart)])
    }

    /// Every three minutes, two mixnodes are added and the two oldest ones are removed.
    fn churning() -> Self {
        Self::repeating(
            Duration::from_secs(180),
            [
                step(30, NodeAction::AddMixnode),
                step(75, NodeAction::RemoveMixnode),
                step(120, NodeAction::AddMixnode),
                step(165, NodeAction::RemoveMixnode),
            ],
        )
    }

    /// The steps at or after `since` and before `until`, in order. Both count from the start of the
    /// first round.
    pub fn due(&self, since: Duration, until: Duration) -> impl Iterator<Item = &NodeAction> {
        let (since, until) = (since.as_nanos(), until.as_nanos());
        let period = self.period.as_nanos();
        let round = |time: u128| time.checked_div(period).unwrap_or(0);
        (round(since)..=round(until)).flat_map(move |round| {
            let is_due = move |step: &&ScriptStep| {
                let at = round * period + step.at.as_nanos();
                (since..until).contains(&at)
            };
            self.steps.iter().filter(is_due).map(|step| &step.action)
        })
    }
}

fn step(at_seconds: u64, action: NodeAction) -> ScriptStep {
    ScriptStep {
        at: Duration::from_secs(at_seconds),
        action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps at 0, 3 and 7 of every 10 seconds, given out of order.
    fn script() -> Script {
        let steps = [
            step(7, NodeAction::StartAgain),
            step(0, NodeAction::Restart),
            step(3, NodeAction::Stop),
            step(10, NodeAction::AddMixnode),
        ];
        Script::repeating(Duration::from_secs(10), steps)
    }

    fn due(since: u64, until: u64) -> Vec<NodeAction> {
        let script = script();
        let due = script.due(Duration::from_secs(since), Duration::from_secs(until));
        due.cloned().collect()
    }

    #[test]
    fn the_start_is_due_and_the_end_is_not() {
        assert_eq!(due(0, 3), [NodeAction::Restart]);
        assert_eq!(due(3, 7), [NodeAction::Stop]);
        assert_eq!(due(4, 7), []);
        assert_eq!(due(3, 3), []);
        assert_eq!(due(7, 3), []);
    }

    #[test]
    fn rounds_follow_each_other() {
        assert_eq!(
            due(1_007, 1_011),
            [NodeAction::StartAgain, NodeAction::Restart]
        );
        let two_rounds = [
            NodeAction::Stop,
            NodeAction::StartAgain,
            NodeAction::Restart,
            NodeAction::Stop,
            NodeAction::StartAgain,
        ];
        assert_eq!(due(3, 20), two_rounds);
    }

    #[test]
    fn each_step_happens_once_however_time_is_divided() {
        let script = script();
        let cut = |tick: u32| -> Vec<NodeAction> {
            let tick = Duration::from_millis(u64::from(tick));
            let ticks = 60_000 / u32::try_from(tick.as_millis()).expect("small");
            let spans = (0..ticks).map(|count| (tick * count, tick * (count + 1)));
            spans
                .flat_map(|(since, until)| script.due(since, until))
                .cloned()
                .collect()
        };
        assert_eq!(cut(250), cut(60_000));
        assert_eq!(cut(15_000), cut(60_000));
        assert_eq!(cut(60_000).len(), 18);
    }

    #[test]
    fn a_step_after_the_round_never_happens() {
        assert!(!due(0, 100).contains(&NodeAction::AddMixnode));
    }

    #[test]
    fn nothing_is_due_without_steps_or_without_time() {
        let (start, end) = (Duration::ZERO, Duration::from_secs(1_000));
        assert_eq!(Script::default().due(start, end).count(), 0);
        let timeless = Script::repeating(Duration::ZERO, [step(0, NodeAction::Stop)]);
        assert_eq!(timeless.due(start, end).count(), 0);
    }

    #[test]
    fn the_demo_ends_every_fault_that_it_starts() {
        let round = Duration::from_secs(180);
        let demo = Script::demo(Dialect::Betanet, 0);
        let actions: Vec<&NodeAction> = demo.due(Duration::ZERO, round).collect();
        assert_eq!(actions[..2], [&NodeAction::Stop, &NodeAction::StartAgain]);
        assert!(matches!(actions[2], NodeAction::Fault { .. }));
        assert_eq!(actions[3..], [&NodeAction::ClearFaults]);
    }
}
