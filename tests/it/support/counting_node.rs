//! A node that never gives the same value twice, so that each of its answers can be found again.

use std::{
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use betanet_collector::runtime::Clock;
use bytes::Bytes;
use hyper::Response;

use super::server::Server;

/// A Betanet node whose `packets_processed` grows by one with each answer: 1, 2, 3, …
pub(crate) struct CountingNode {
    server: Server,
    answered: Arc<Mutex<Vec<u64>>>,
}

impl CountingNode {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&answered);
        let server = Server::start(move |request| {
            let body = match request.uri().path() {
                "/api/v1/metrics" => {
                    let mut noted = noted.lock().unwrap();
                    noted.push(unix_nanos());
                    let count = noted.len();
                    format!("{{\"packets_processed\": {count}, \"packets_dropped\": 0}}")
                }
                _ => "{}".to_owned(),
            };
            Response::new(Bytes::from(body))
        })
        .await;
        Self { server, answered }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Waits until it has answered all requests of clients that have disconnected.
    pub(crate) async fn left(&self) {
        self.server.left().await;
    }

    /// When it gave each answer, in Unix nanoseconds. The first value was 1.
    pub(crate) fn answered(&self) -> Vec<u64> {
        self.answered.lock().unwrap().clone()
    }
}

/// The time of day, in Unix nanoseconds.
pub(crate) fn unix_nanos() -> u64 {
    let now = Clock::System.now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap().as_nanos()).unwrap()
}
