//! Several nodes with scripts.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::dialect::Dialect;
use super::node::{Node, NodeOptions};
use super::script::Script;

/// The shortest tick. A clock cannot tick without time in between.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

/// The options of a fleet.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// The number of nodes with [`Dialect::Betanet`]. They keep connections open.
    pub betanet: usize,
    /// The number of nodes with [`Dialect::Mixnode`]. They close connections unannounced.
    pub mixnode: usize,
    /// The number of public servers: like [`Self::mixnode`], and a request to `/status` or
    /// `/metrics` makes them hang forever.
    pub public: usize,
    /// Determines all random decisions. The same seed gives the same numbers.
    pub seed: u64,
    /// The address of the first node; the others have the ports after it, Betanet nodes first.
    /// `None` means any free port of 127.0.0.1 for each.
    pub first_address: Option<SocketAddr>,
    /// The script of a node, by its API and its index among the nodes with that API.
    pub script: fn(Dialect, usize) -> Script,
}

/// The fleet of the demo: three Betanet nodes, a mixnode server and the public server, with
/// [`Script::demo`].
impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            betanet: 3,
            mixnode: 1,
            public: 1,
            seed: 0,
            first_address: None,
            script: Script::demo,
        }
    }
}

/// Several nodes with their scripts. Dropping it stops them.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<Node>,
    scripts: Vec<Script>, // one for each node
}

impl Fleet {
    /// Starts all nodes, Betanet nodes first. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If a port is in use, or there are not enough ports after the first one.
    pub fn start(options: FleetOptions) -> io::Result<Self> {
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let mut fleet = Self {
            nodes: Vec::new(),
            scripts: Vec::new(),
        };
        let betanets = (0..options.betanet).map(|index| (Dialect::Betanet, index));
        let mixnodes = options.mixnode + options.public;
        let mixnodes = (0..mixnodes).map(|index| (Dialect::Mixnode, index));
        for (dialect, index) in betanets.chain(mixnodes) {
            let address = match (options.first_address, fleet.nodes.last()) {
                (Some(_), Some(last)) => Some(following(last.address())?),
                (first, _) => first,
            };
            let node = Node::start(NodeOptions {
                dialect,
                seed: rng.u64(..),
                address,
                close_after_response: dialect == Dialect::Mixnode,
                deadlocks: dialect == Dialect::Mixnode && index >= options.mixnode,
            })?;
            fleet.nodes.push(node);
            fleet.scripts.push((options.script)(dialect, index));
        }
        Ok(fleet)
    }

    /// The nodes, Betanet nodes first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Advances the time of all nodes, in ticks of at least 1 ms, until cancelled.
    ///
    /// The time of the fleet is the number of ticks, so the same seed gives the same numbers on a
    /// busy machine. Late ticks are made up for.
    pub async fn run(&self, tick: Duration, cancel: CancellationToken) {
        let tick = tick.max(SHORTEST_TICK);
        let mut ticks = interval(tick);
        let mut passed = Duration::ZERO;
        ticks.tick().await; // the first tick is immediate
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let until = passed.saturating_add(tick);
            self.live(passed, until).await;
            passed = until;
        }
    }

    async fn live(&self, since: Duration, until: Duration) {
        for (node, script) in self.nodes.iter().zip(&self.scripts) {
            node.advance(until.saturating_sub(since));
            for action in script.due(since, until) {
                if let Err(error) = node.apply(action).await {
                    warn!(node = %node.address(), ?action, %error, "a scripted action failed");
                }
            }
        }
    }
}

fn following(mut address: SocketAddr) -> io::Result<SocketAddr> {
    let port = address
        .port()
        .checked_add(1)
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    address.set_port(port);
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::client::{SimulatorClient, refused};
    use crate::simulator::script::{NodeAction, ScriptStep};

    fn fleet(script: fn(Dialect, usize) -> Script) -> Fleet {
        let options = FleetOptions {
            betanet: 2,
            mixnode: 1,
            public: 0,
            script,
            ..FleetOptions::default()
        };
        Fleet::start(options).expect("free ports")
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn the_betanet_nodes_come_first() {
        let fleet = fleet(Script::demo);
        let dialects: Vec<Dialect> = fleet.nodes().iter().map(Node::dialect).collect();
        assert_eq!(
            dialects,
            [Dialect::Betanet, Dialect::Betanet, Dialect::Mixnode]
        );
        for node in fleet.nodes() {
            let mut client = SimulatorClient::connect(node).await;
            assert_eq!(client.get(node.dialect().paths()[0]).await.status, 200);
        }
    }

    #[tokio::test]
    async fn the_public_servers_come_last() {
        let options = FleetOptions {
            betanet: 0,
            mixnode: 1,
            public: 1,
            ..FleetOptions::default()
        };
        let fleet = Fleet::start(options).expect("free ports");
        let [healthy, public] = fleet.nodes() else {
            panic!("two nodes");
        };
        assert_eq!(
            SimulatorClient::connect(healthy)
                .await
                .get("/status")
                .await
                .status,
            200
        );
        let mut client = SimulatorClient::connect(public).await;
        client.send("/status").await;
        public.wait_for_requests(1).await;
        public.restart();
        assert_eq!(client.rest().await.expect("closed"), b"");
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_numbers() {
        let (one, other) = (fleet(Script::demo), fleet(Script::demo));
        for second in 0..100 {
            let since = SECOND * second;
            one.live(since, since + SECOND).await;
            other.live(since, since + SECOND).await;
        }
        let states = |fleet: &Fleet| fleet.nodes().iter().map(Node::state).collect::<Vec<_>>();
        assert_eq!(states(&one), states(&other));
        assert_ne!(states(&one)[0], states(&one)[1]);
    }

    #[tokio::test]
    async fn each_script_runs_on_its_node() {
        let fleet = fleet(|dialect, index| match (dialect, index) {
            (Dialect::Betanet, 1) => {
                let steps = [(1, NodeAction::Stop), (2, NodeAction::StartAgain)];
                let step = |(at, action)| ScriptStep {
                    at: SECOND * at,
                    action,
                };
                Script::repeating(SECOND * 10, steps.map(step))
            }
            _ => Script::default(),
        });
        let down = fleet.nodes()[1].address();
        fleet.live(SECOND, SECOND * 2).await;
        assert!(refused(down).await);
        assert!(!refused(fleet.nodes()[0].address()).await);
        fleet.live(SECOND * 2, SECOND * 3).await;
        assert!(!refused(down).await);
    }

    #[tokio::test]
    async fn time_passes_until_it_is_cancelled() {
        let fleet = fleet(|_, _| Script::default());
        let cancel = CancellationToken::new();
        let two_ticks = async {
            while fleet.nodes()[2].state().uptime < SHORTEST_TICK * 2 {
                tokio::task::yield_now().await;
            }
            cancel.cancel();
        };
        tokio::join!(fleet.run(Duration::ZERO, cancel.clone()), two_ticks);
    }

    #[tokio::test]
    async fn a_port_after_the_last_is_an_error() {
        let last = SocketAddr::from(([127, 0, 0, 1], u16::MAX));
        let error = following(last).expect_err("there is none");
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
