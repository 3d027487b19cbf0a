//! One simulated Betanet server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::Mutex;

use super::behavior::Behavior;
use super::connection::Manners;
use super::dialect::Dialect;
use super::fault::NodeFault;
use super::script::NodeAction;
use super::server::{SimulatorServer, reserve};
use super::state::NodeState;

/// The options of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The API of the node.
    pub dialect: Dialect,
    /// Determines its first state and all later random changes.
    pub seed: u64,
    /// The address to listen on. `None` means any free port of 127.0.0.1.
    pub address: Option<SocketAddr>,
    /// Reads each request in one go of at most 4,096 bytes, and closes the connection after the
    /// response without announcing it, like the real server.
    pub close_after_response: bool,
    /// Hangs forever on every path after the first request to `/status` or `/metrics`, like the
    /// public server. A restart helps until the next such request.
    pub deadlocks: bool,
}

impl NodeOptions {
    /// A node without faults on any free port of 127.0.0.1, with seed 0.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            seed: 0,
            address: None,
            close_after_response: false,
            deadlocks: false,
        }
    }

    /// The public Betanet server, with its way of closing connections and its deadlocks.
    pub fn public() -> Self {
        Self {
            close_after_response: true,
            deadlocks: true,
            ..Self::new(Dialect::Mixnode)
        }
    }
}

/// One Betanet server on a local port. Dropping it stops it.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    manners: Manners,
    behavior: Arc<Behavior>,
    port: Mutex<Port>,
}

/// At most one of the two exists. Neither does if the port could not be reserved again.
#[derive(Debug, Default)]
struct Port {
    server: Option<SimulatorServer>,
    /// Reserves the port of a stopped node, so that no other process or test gets it.
    reserved: Option<TcpSocket>,
}

impl Node {
    /// Opens the port and serves it. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If the port is in use, or the address is not one of this machine.
    pub fn start(options: NodeOptions) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = reserve(options.address.unwrap_or(any))?;
        let address = socket.local_addr()?;
        let behavior = Arc::new(Behavior::new(
            options.dialect,
            options.seed,
            options.deadlocks,
        ));
        let manners = if options.close_after_response {
            Manners::CloseUnannounced
        } else {
            Manners::KeepAlive
        };
        let server = SimulatorServer::listen(socket, Arc::clone(&behavior), manners)?;
        let port = Port {
            server: Some(server),
            reserved: None,
        };
        Ok(Self {
            address,
            manners,
            behavior,
            port: Mutex::new(port),
        })
    }

    /// The API of the node.
    pub fn dialect(&self) -> Dialect {
        self.behavior.dialect()
    }

    /// Its address, which never changes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A copy of its current state.
    pub fn state(&self) -> NodeState {
        self.behavior.state()
    }

    /// Changes its state. No response sees half of the change.
    ///
    /// The state is locked during the change, so the closure must not call the node.
    pub fn update<T>(&self, change: impl FnOnce(&mut NodeState) -> T) -> T {
        self.behavior.update(|state, _| change(state))
    }

    /// Advances its state by `elapsed`, with random changes from its seed.
    pub fn advance(&self, elapsed: Duration) {
        self.behavior
            .update(|state, rng| state.advance(elapsed, rng));
    }

    /// Fails every later request to `path`, or to any path, in this way.
    ///
    /// A path has one fault, which wins over that of all paths.
    pub fn set_fault(&self, path: Option<&str>, fault: NodeFault) {
        self.behavior.set_fault(path, fault);
    }

    /// Ends the faults for later requests. Requests that hang continue to hang, and so does a node
    /// after [`NodeFault::Grey`] has started.
    pub fn clear_faults(&self) {
        self.behavior.clear_faults();
    }

    /// Simulates a restart: totals and uptimes fall to 0, [`NodeFault::Grey`] ends, and connections
    /// with a request that hangs are closed.
    ///
    /// Other connections stay open, so that their end cannot race with the next request. To close
    /// those as well, use [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&self) {
        self.behavior.restart();
    }

    /// The number of requests that it has read, whatever their result.
    pub fn requests(&self) -> u64 {
        *self.behavior.requests().borrow()
    }

    /// The number of requests to this path, without the query. It counts the first 256 paths.
    pub fn requests_to(&self, path: &str) -> u64 {
        self.behavior.requests_to(path)
    }

    /// Waits until it has read this many requests since its start.
    pub async fn wait_for_requests(&self, count: u64) {
        let mut requests = self.behavior.requests();
        // An error would mean that the node is gone, but `self` still exists.
        drop(requests.wait_for(|requests| *requests >= count).await);
    }

    /// Closes its port and its connections. After it returns, clients are refused.
    ///
    /// The state stays, as in an outage of the network.
    pub async fn stop(&self) {
        let mut port = self.port.lock().await;
        if let Some(server) = port.server.take() {
            server.close().await;
            port.reserved = reserve(self.address).ok();
        }
    }

    /// Opens the same port after [`stop`](Self::stop). Does nothing if it is open.
    ///
    /// # Errors
    /// If another process took the port in the moment when it was free.
    pub async fn start_again(&self) -> io::Result<()> {
        let mut port = self.port.lock().await;
        if port.server.is_none() {
            let socket = match port.reserved.take() {
                Some(socket) => socket,
                None => reserve(self.address)?,
            };
            let server = SimulatorServer::listen(socket, Arc::clone(&self.behavior), self.manners)?;
            port.server = Some(server);
        }
        Ok(())
    }

    /// Executes an action of a script.
    ///
    /// # Errors
    /// Those of [`start_again`](Self::start_again).
    pub async fn apply(&self, action: &NodeAction) -> io::Result<()> {
        match action {
            NodeAction::Fault { path, fault } => self.set_fault(path.as_deref(), fault.clone()),
            NodeAction::ClearFaults => self.clear_faults(),
            NodeAction::Restart => self.restart(),
            NodeAction::Stop => self.stop().await,
            NodeAction::StartAgain => self.start_again().await?,
            NodeAction::AddMixnode => self.behavior.update(NodeState::add_mixnode),
            NodeAction::RemoveMixnode => {
                self.behavior.update(|state, _| state.remove_mixnode());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::client::{SimulatorClient, refused};
    use std::io::ErrorKind;

    fn node(dialect: Dialect) -> Node {
        Node::start(NodeOptions::new(dialect)).expect("a free port")
    }

    #[tokio::test]
    async fn the_node_serves_the_state_that_was_set() {
        let node = node(Dialect::Betanet);
        node.update(|state| state.packets_processed = u64::MAX);
        let mut client = SimulatorClient::connect(&node).await;
        let body = client.get("/api/v1/metrics").await.json();
        assert_eq!(body["packets_processed"].as_u64(), Some(u64::MAX));
        assert_eq!(node.state().packets_processed, u64::MAX);
    }

    #[tokio::test]
    async fn requests_are_counted_by_path_whatever_their_result() {
        let node = node(Dialect::Mixnode);
        let mut client = SimulatorClient::connect(&node).await;
        client.get("/mixnodes?a=b").await;
        client.get("/nowhere").await;
        node.set_fault(None, NodeFault::HangBeforeHeaders);
        client.send("/mixnodes").await;
        node.wait_for_requests(3).await;
        assert_eq!(node.requests(), 3);
        assert_eq!(node.requests_to("/mixnodes"), 2);
        assert_eq!(node.requests_to("/nowhere"), 1);
        assert_eq!(node.requests_to("/status"), 0);
    }

    #[tokio::test]
    async fn a_restart_resets_totals_and_keeps_idle_connections() {
        let node = node(Dialect::Betanet);
        node.advance(Duration::from_secs(60));
        let mut client = SimulatorClient::connect(&node).await;
        assert_ne!(
            client.get("/api/v1/metrics").await.json()["packets_processed"],
            0
        );
        node.restart();
        assert_eq!(
            client.get("/api/v1/metrics").await.json()["packets_processed"],
            0
        );
    }

    #[tokio::test]
    async fn a_grey_node_accepts_and_hangs_until_it_restarts() {
        let node = node(Dialect::Mixnode);
        node.set_fault(None, NodeFault::Grey);
        let mut healthy = SimulatorClient::connect(&node).await;
        assert_eq!(healthy.get("/mixnodes").await.status, 200);

        let mut first = SimulatorClient::connect(&node).await;
        first.send("/status").await;
        node.wait_for_requests(2).await;
        node.clear_faults();
        let mut second = SimulatorClient::connect(&node).await;
        second.send("/mixnodes").await;
        node.wait_for_requests(3).await;

        node.restart();
        assert_eq!(first.rest().await.expect("closed"), b"");
        assert_eq!(second.rest().await.expect("closed"), b"");
        assert_eq!(healthy.get("/status").await.status, 200);
    }

    #[tokio::test]
    async fn the_public_server_hangs_after_a_request_to_status_or_metrics() {
        for deadly in ["/status", "/metrics"] {
            let node = Node::start(NodeOptions::public()).expect("a free port");
            for _ in 0..2 {
                for path in ["/mixnodes", "/api/v1/metrics", "/mixnodes"] {
                    let status = SimulatorClient::connect(&node).await.get(path).await.status;
                    assert_eq!(status, if path == "/mixnodes" { 200 } else { 404 });
                }
                let before = node.requests();
                let mut hanging = Vec::new();
                for path in [deadly, "/mixnodes", "/nowhere"] {
                    let mut client = SimulatorClient::connect(&node).await;
                    client.send(path).await;
                    hanging.push(client);
                }
                node.wait_for_requests(before + 3).await;
                node.clear_faults();
                // Only the end of the connection arrives.
                node.restart();
                for mut client in hanging {
                    assert_eq!(client.rest().await.expect("closed"), b"");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_stopped_node_refuses_and_can_start_again_on_its_port() {
        let node = node(Dialect::Betanet);
        let url = node.url();
        for _ in 0..3 {
            let mut client = SimulatorClient::connect(&node).await;
            client.get("/api/v1/metrics").await;
            node.stop().await;
            node.stop().await;
            let ended = client.rest().await;
            assert!(
                ended.is_ok_and(|rest| rest.is_empty()),
                "the connection is dropped"
            );
            assert!(refused(node.address()).await);
            node.start_again().await.expect("its port is its own");
            node.start_again().await.expect("nothing to do");
            assert_eq!(node.url(), url);
        }
        let mut client = SimulatorClient::connect(&node).await;
        assert_eq!(client.get("/api/v1/metrics").await.status, 200);
    }

    #[tokio::test]
    async fn a_dropped_node_is_gone() {
        let node = node(Dialect::Betanet);
        let mut client = SimulatorClient::connect(&node).await;
        client.get("/api/v1/metrics").await;
        let address = node.address();
        drop(node);
        assert_eq!(client.rest().await.expect("closed"), b"");
        while !refused(address).await {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error() {
        let node = node(Dialect::Betanet);
        let options = NodeOptions {
            address: Some(node.address()),
            ..NodeOptions::new(Dialect::Mixnode)
        };
        let error = Node::start(options).expect_err("the port is taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}
