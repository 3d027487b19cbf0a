//! The state of the fleet in sentences, for somebody who has just woken up.

use std::collections::BTreeMap;

use super::{
    ComponentRow, Destination, ReceiverSummary, TargetState,
    words::{count, number, span},
};

/// How much may wait for a destination before it is news, in seconds.
const OLD_SECONDS: f64 = 30.0;

/// What the sentences are made of.
pub(super) struct Facts<'f> {
    pub(super) states: &'f BTreeMap<TargetState, usize>,
    pub(super) receivers: &'f [ReceiverSummary],
    pub(super) destinations: &'f [Destination],
    pub(super) failing: &'f [ComponentRow],
}

/// The sentences; the first says the most.
pub(super) fn headline(facts: &Facts<'_>) -> Vec<String> {
    let mut sentences = vec![targets(facts.states)];
    for receiver in facts.receivers {
        if receiver.fault_may_be_local {
            sentences.push(format!(
                "Most targets of {} fail at once, so the fault is more likely here or on the \
                 network than in the targets.",
                receiver.id
            ));
        }
        if !receiver.is_complete {
            sentences.push(format!(
                "A source of the targets of {} has not answered yet.",
                receiver.id
            ));
        }
    }
    sentences.extend(facts.destinations.iter().filter_map(destination));
    for component in facts.failing {
        let is_told = component.kind == "exporter";
        if !is_told {
            sentences.push(match (component.kind.as_str(), component.id.as_str()) {
                ("service", "config") => {
                    "The last reload was refused, and the configuration before it goes on."
                        .to_owned()
                }
                (kind, id) => format!("The {kind} {id} fails."),
            });
        }
    }
    let sends = facts.destinations.iter().any(|it| it.received.is_some());
    if sends && sentences.len() == 1 {
        sentences.push("Nothing is lost on the way out.".to_owned());
    }
    sentences
}

fn targets(states: &BTreeMap<TargetState, usize>) -> String {
    let total: usize = states.values().sum();
    let of = |state| states.get(&state).copied().unwrap_or(0);
    let fresh = of(TargetState::Fresh);
    if total == 0 {
        return "There are no targets.".to_owned();
    }
    if fresh == total {
        return match total {
            1 => "The target is fresh.".to_owned(),
            total => format!("All {} targets are fresh.", number(total as u64)),
        };
    }
    let parts = states
        .iter()
        .filter_map(|(state, n)| part(*state, *n))
        .collect::<Vec<_>>()
        .join(", ");
    match fresh {
        0 => format!("No target is fresh: {parts}."),
        1 => format!("1 of {} is fresh: {parts}.", count(total, "target")),
        fresh => format!(
            "{} of {} are fresh: {parts}.",
            number(fresh as u64),
            count(total, "target")
        ),
    }
}

/// What is to be said of the targets in a state.
fn part(state: TargetState, targets: usize) -> Option<String> {
    let n = number(targets as u64);
    let choose = |one: &str, many: &str| match targets {
        1 => format!("{n} {one}"),
        _ => format!("{n} {many}"),
    };
    Some(match state {
        TargetState::Open => choose("has an open breaker", "have an open breaker"),
        TargetState::Probing => choose("is on trial", "are on trial"),
        TargetState::Failing => choose("fails", "fail"),
        TargetState::Partial => choose("answers in part", "answer in part"),
        TargetState::Late => choose("is late", "are late"),
        TargetState::Pending => choose("was not polled yet", "were not polled yet"),
        TargetState::Fresh => return None,
    })
}

/// What is to be said of a destination; nothing while all is well.
fn destination(it: &Destination) -> Option<String> {
    let id = &it.component.id;
    let mut parts = Vec::new();
    if it.component.is_failing {
        parts.push(format!("{id} cannot deliver"));
    }
    let oldest = it.oldest_seconds.unwrap_or(0.0);
    if it.held > 0 && (it.component.is_failing || oldest >= OLD_SECONDS) {
        let held = number(it.held);
        parts.push(format!(
            "{id} holds {held} points, the oldest for {}",
            span(oldest.round())
        ));
    }
    if it.lost() > 0 {
        parts.push(format!(
            "{id} has lost {} points since the start",
            number(it.lost())
        ));
    }
    // A sentence names its destination once.
    for part in parts.iter_mut().skip(1) {
        *part = part.replacen(id.as_str(), "it", 1);
    }
    (!parts.is_empty()).then(|| format!("{}.", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(states: &[(TargetState, usize)]) -> String {
        targets(&states.iter().copied().collect())
    }

    #[test]
    fn the_first_sentence_counts_the_targets_bad_ones_first() {
        use TargetState::{Failing, Fresh, Late, Open, Pending};

        for (states, expected) in [
            (vec![], "There are no targets."),
            (vec![(Fresh, 1)], "The target is fresh."),
            (vec![(Fresh, 1200)], "All 1\u{2009}200 targets are fresh."),
            (
                vec![(Open, 1)],
                "No target is fresh: 1 has an open breaker.",
            ),
            (
                vec![(Fresh, 1), (Pending, 2)],
                "1 of 3 targets is fresh: 2 were not polled yet.",
            ),
            (
                vec![(Late, 3), (Open, 5), (Failing, 1), (Fresh, 411)],
                "411 of 420 targets are fresh: 5 have an open breaker, 1 fails, 3 are late.",
            ),
        ] {
            assert_eq!(told(&states), expected);
        }
    }
}
