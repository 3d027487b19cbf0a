//! Tests that a total is the sum of the visible increases, whatever happens to the targets.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use crate::{
    pipeline::{Batch, Number, Part, Stream, Target},
    processors::{
        aggregate::{
            config::{FleetRules, MetricRule},
            fleet::{Aggregated, Fleet, MemberId, Tracked, Values},
        },
        metric_matcher::{MatchType, Texts},
        testing::{reading, stream},
    },
};

/// An event of a node.
#[derive(Debug, Clone, Copy)]
enum NodeEvent {
    Counts(u64),
    Restarts,
    IsPolled,
    IsLost,
    Leaves,
}

fn event() -> impl Strategy<Value = NodeEvent> {
    prop_oneof![
        (1_u64..100).prop_map(NodeEvent::Counts),
        Just(NodeEvent::Restarts),
        Just(NodeEvent::IsPolled),
        Just(NodeEvent::IsPolled),
        Just(NodeEvent::IsLost),
        Just(NodeEvent::Leaves),
    ]
}

/// A node, and what an observer can know of it.
struct Model {
    member: MemberId,
    value: u64,
    last: Option<u64>,
    restarted: bool,
    /// The increase since the last poll or restart.
    unseen: u64,
}

struct World {
    fleet: Fleet,
    stream: Stream,
    tracked: Vec<Option<Tracked>>,
    nodes: Vec<Model>,
    joined: usize,
    truth: u64,
    now: Instant,
}

impl World {
    fn new(nodes: usize) -> Self {
        let names = Texts::new(MatchType::Strict, &["total".to_owned()]).unwrap();
        let rule = MetricRule {
            names,
            functions: Vec::new(),
            quantiles: Vec::new(),
        };
        let mut fleet = Fleet::new(FleetRules {
            prefix: "fleet.".to_owned(),
            group_by: Vec::new(),
            max_groups: 1,
            min_coverage: 0.0,
            max_age: Duration::from_secs(3600),
            metrics: Arc::from([rule]),
        });
        let stream = stream("node", "");
        let instruments = stream.schema.instruments().iter();
        let tracked: Vec<_> = instruments
            .map(|instrument| fleet.track(instrument))
            .collect();
        let mut world = Self {
            fleet,
            stream,
            tracked,
            nodes: Vec::new(),
            joined: 0,
            truth: 0,
            now: Instant::now(),
        };
        world.nodes = (0..nodes).map(|_| world.joined()).collect();
        world
    }

    fn joined(&mut self) -> Model {
        self.joined += 1;
        let stream = Stream {
            target: Arc::new(Target::named(
                &format!("node {}", self.joined),
                &self.stream.target.definition,
            )),
            ..self.stream.clone()
        };
        Model {
            member: self.fleet.join(&self.tracked, &stream),
            value: 0,
            last: None,
            restarted: false,
            unseen: 0,
        }
    }

    fn happens(&mut self, index: usize, event: NodeEvent) {
        self.now += Duration::from_secs(1);
        let node = &mut self.nodes[index];
        match event {
            // A node that restarted and exceeded its last value before the next poll looks like one
            // that did not restart.
            NodeEvent::Counts(more) => {
                let room = match node.last {
                    Some(last) if node.restarted && last > 0 => last - 1 - node.value,
                    _ => u64::MAX,
                };
                node.value += more.min(room);
                node.unseen += more.min(room);
            }
            // The increase since the last poll is lost.
            NodeEvent::Restarts => {
                (node.value, node.unseen) = (0, 0);
                node.restarted = true;
            }
            NodeEvent::IsPolled => {
                if node.last.is_some() {
                    self.truth += node.unseen;
                }
                (node.unseen, node.restarted) = (0, false);
                node.last = Some(node.value);
                let values = vec![reading(&self.stream, &format!("total {}", node.value))];
                let resource = Arc::default();
                let batch = Batch {
                    scopes: vec!["test/a".into()],
                    parts: vec![Part { resource, values }],
                    ..Batch::default()
                };
                self.fleet
                    .observe(node.member, &self.tracked, &batch, self.now);
            }
            NodeEvent::IsLost => {
                let batch = Batch {
                    lost: vec!["test/a".into()],
                    ..Batch::default()
                };
                self.fleet
                    .observe(node.member, &self.tracked, &batch, self.now);
            }
            NodeEvent::Leaves => {
                let member = node.member;
                self.fleet.leave(member);
                self.nodes[index] = self.joined();
            }
        }
    }

    fn total(&mut self) -> u64 {
        match self.fleet.report(self.now).as_slice() {
            [
                Aggregated {
                    values: Some(Values::Total(Number::Unsigned(total))),
                    ..
                },
            ] => *total,
            [Aggregated { values: None, .. }] => 0,
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn the_total_never_falls_and_is_the_sum_of_true_increments(
        events in proptest::collection::vec((0_usize..4, event()), 1..200),
    ) {
        let mut world = World::new(4);
        let mut last = 0;
        for (node, event) in events {
            world.happens(node, event);
            let total = world.total();
            prop_assert!(total >= last, "{last} fell to {total}");
            prop_assert_eq!(total, world.truth);
            last = total;
        }
    }
}
