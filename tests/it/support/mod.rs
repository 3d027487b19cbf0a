//! Shared by the tests: real programs, a receiver, a server, and the text of the sources.

pub(crate) mod accounts;
pub(crate) mod api_server;
pub(crate) mod arrivals;
pub(crate) mod backend;
pub(crate) mod browser;
pub(crate) mod certificates;
pub(crate) mod collector;
pub(crate) mod command;
pub(crate) mod counting_node;
pub(crate) mod descriptors;
pub(crate) mod dns;
pub(crate) mod line;
pub(crate) mod otelcol;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod raw;
pub(crate) mod remote_write;
pub(crate) mod rotel;
pub(crate) mod scrape;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod stand;
pub(crate) mod tls_sink;

use std::{
    net::SocketAddr,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use tokio::net::TcpSocket;

/// The longest time for any step of a real program.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One client for all tests, because creating one takes longer than a request. It keeps no
/// connections: each test has its own runtime, which closes its connections at its end.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = reqwest::Client::builder().no_proxy();
    client.pool_max_idle_per_host(0).build().unwrap()
});

/// Requests `url`.
pub(crate) async fn get(url: impl reqwest::IntoUrl) -> reqwest::Result<reqwest::Response> {
    CLIENT.get(url).send().await
}

/// The answer for a scraper that prefers OpenMetrics.
pub(crate) async fn open_metrics(url: &str) -> String {
    let scrape = CLIENT.get(url);
    let scrape = scrape.header("accept", "application/openmetrics-text");
    scrape.send().await.unwrap().text().await.unwrap()
}

/// A port on which nothing listens until the test, or a program that it starts, does.
///
/// It stays reserved to the end: it is bound but never listens, so that the system gives it to no
/// program that asks for any port, and lets a program use it that names it, as a server that may
/// restart at once does.
pub(crate) fn free_port() -> u16 {
    static RESERVED: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let reserved = reserved("127.0.0.1:0".parse().unwrap());
    let port = reserved.local_addr().unwrap().port();
    RESERVED.lock().unwrap().push(reserved);
    port
}

/// A socket with this address. Others may be bound to it as long as none listens.
pub(crate) fn reserved(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// Calls `probe` until it returns a value. This is the only way to wait, and only for real
/// programs.
pub(crate) async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let found = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(deadline, found).await {
        Ok(found) => found,
        Err(_) => panic!("waited {deadline:?} in vain: {what}"),
    }
}
