//! Tests of polls with special sockets: one end of a connection closes, a connection is reset
//! halfway, an answer redirects. Each is one request and one failure.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use betanet_collector::simulator::Dialect;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    raw::RawServer,
    scrape::Scrape,
    stand::{Options, Stand, documented_node},
};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"packets";

/// A collector with `server` under the name `odd`, and a healthy node.
async fn beside_a_sound_node(server: &RawServer, then: impl AsyncFnOnce(&Stand)) {
    let sound = documented_node();
    let (odd, sound_url) = (server.url(), sound.url());
    let targets = [
        ("odd", odd.as_str(), Dialect::Betanet),
        ("sound", sound_url.as_str(), Dialect::Betanet),
    ];
    let stand = Options::default().start_at(&targets).await;
    then(&stand).await;
    let scrape = stand.after_polls("sound", 2).await;
    let bad = scrape.sum("betanet_poll_results_total{target=\"sound\",outcome=\"missing\"}");
    assert_eq!(bad, 0.0, "the other node is polled as usual");
}

/// Polls of the odd node, by the class of failure.
fn failures(scrape: &Scrape, error_type: &str) -> f64 {
    let of = format!("betanet_poll_results_total{{target=\"odd\",error_type=\"{error_type}\"}}");
    scrape.sum(&of)
}

/// Checks that every poll fails as `error_type`, with one request for each endpoint.
async fn every_poll_is_one_request_and_one_failure(server: &RawServer, error_type: &str) {
    beside_a_sound_node(server, async |stand| {
        let scrape = stand.until_polls("odd", 5.0).await;
        let (failed, asked) = (failures(&scrape, error_type), server.requests());
        let all = scrape.sum("betanet_poll_results_total{target=\"odd\"}");
        assert_eq!(failed, all, "{error_type}");
        assert_eq!(scrape.value("betanet_up{target=\"odd\"}"), Some(0.0));
        // The requests of the current round are not in the scrape.
        let asked = f64::from(u32::try_from(asked).unwrap());
        assert!(
            (all..=all + 6.0).contains(&asked),
            "{asked} requests, {all} polls"
        );
    })
    .await;
}

/// Sends `bytes`, closes its side, and continues to read.
async fn half_close(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    pending::<()>().await;
}

#[tokio::test]
async fn a_half_closed_connection_without_an_answer_is_a_lost_answer() {
    let server = RawServer::start(async |stream| half_close(stream, b"").await).await;
    every_poll_is_one_request_and_one_failure(&server, "body").await;
}

#[tokio::test]
async fn a_half_closed_connection_within_the_body_is_a_cut_body() {
    let server = RawServer::start(async |stream| half_close(stream, HEAD).await).await;
    every_poll_is_one_request_and_one_failure(&server, "body").await;
}

#[tokio::test]
async fn a_connection_that_is_reset_within_the_body_is_a_cut_body() {
    let server = RawServer::start(async |mut stream: TcpStream| {
        stream.write_all(HEAD).await.ok();
        stream.flush().await.ok();
        // After this, closing sends RST in place of FIN.
        stream.set_zero_linger().ok();
    })
    .await;
    every_poll_is_one_request_and_one_failure(&server, "body").await;
}

#[tokio::test]
async fn no_layer_follows_a_redirect_by_itself() {
    let server = RawServer::start(async |mut stream: TcpStream| {
        let head = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(head).await.ok();
    })
    .await;
    every_poll_is_one_request_and_one_failure(&server, "302").await;
}

/// Answers each request of a connection until the client closes it, and counts.
async fn keep_alive(mut stream: TcpStream, answered: Arc<AtomicU64>, closed: Arc<AtomicU64>) {
    let mut head = [0; 4096];
    loop {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer).await.ok();
        answered.fetch_add(1, Ordering::Relaxed);
        if !matches!(stream.read(&mut head).await, Ok(1..)) {
            break;
        }
    }
    closed.fetch_add(1, Ordering::Relaxed);
}

#[tokio::test]
async fn without_idle_connections_the_requests_of_a_poll_share_one() {
    let (answered, closed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let counts = (Arc::clone(&answered), Arc::clone(&closed));
    let server = RawServer::start(move |stream| {
        let (answered, closed) = counts.clone();
        keep_alive(stream, answered, closed)
    })
    .await;
    let stand = Options {
        resilience: "max_idle_conns: 0",
        ..Options::default()
    };
    let url = server.url();
    let stand = stand
        .start_at(&[("odd", url.as_str(), Dialect::Betanet)])
        .await;
    stand.until_polls("odd", 9.0).await;
    let shared = || answered.load(Ordering::Relaxed) > server.requests();
    let enough = |_: &Scrape| shared() && closed.load(Ordering::Relaxed) > 0;
    let scrape = stand
        .until("a connection is shared and closed", enough)
        .await;
    assert_eq!(failures(&scrape, "body"), 0.0);
}
