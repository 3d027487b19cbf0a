//! Tests with real sockets. The clock cannot be paused, so limits are short and tests wait for
//! events.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use http::StatusCode;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::TextEncoder;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout},
};

use super::*;
use crate::{
    pipeline::Components,
    runtime::{Clock, Tasks},
    telemetry::Meter,
};

mod guests;
mod secured;

const ENDPOINT: &str = "127.0.0.1:0";
/// Longer than any operation here, and shorter than the default limits.
const PATIENCE: Duration = Duration::from_secs(8);

fn meter() -> Meter {
    Meter::of(&SdkMeterProvider::default())
}

fn echo() -> Route {
    Route::post("echo", "/echo", |request| async move {
        Response::new("application/octet-stream", request.body)
    })
    .max_body(8)
}

fn metrics() -> Route {
    Route::get("prometheus", "/metrics", |request| async move {
        let first = format!("query {}\n", request.query);
        let pieces = [first.into(), Bytes::from("second chunk\n")];
        Response::text(Body::stream(pieces.into_iter()))
    })
    .described("<all> & more")
}

async fn start(limits: ClientLimits, routes: Vec<Route>) -> (SocketAddr, Tasks) {
    start_as(&ServerConfig::plain(ENDPOINT), limits, &meter(), routes).await
}

async fn start_as(
    server: &ServerConfig,
    limits: ClientLimits,
    meter: &Meter,
    routes: Vec<Route>,
) -> (SocketAddr, Tasks) {
    let mut listeners = Listeners::new(limits, meter);
    for route in routes {
        listeners.route(server, route).unwrap();
    }
    let bound = listeners.bind().await.unwrap();
    let address = bound.local_addr(ENDPOINT).unwrap();
    let (tasks, _failures) = Tasks::new();
    bound.serve(&tasks, &Components::new(&Clock::System, &tasks));
    (address, tasks)
}

/// A registry with the counters, and their provider, which must stay alive.
fn counted() -> (prometheus::Registry, SdkMeterProvider) {
    let registry = prometheus::Registry::new();
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .scope_info_enabled(false);
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.build().unwrap())
        .build();
    (registry, provider)
}

fn text(registry: &prometheus::Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap()
}

async fn serve(routes: Vec<Route>) -> (SocketAddr, Tasks) {
    start(ClientLimits::default(), routes).await
}

/// Everything that the server sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends the connection, like an orderly close.
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer));
    drop(read.await.expect("the server closes the connection"));
    String::from_utf8(answer).unwrap()
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let text = format!("{request}\r\nhost: test\r\nconnection: close\r\n\r\n");
    until_closed(send(address, &text).await).await
}

/// Repeats requests until the connection gets a slot.
async fn until_served(address: SocketAddr) {
    let served = async {
        while !ask(address, "GET / HTTP/1.1").await.contains("200 OK") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, served)
        .await
        .expect("a slot becomes free");
}

async fn post(address: SocketAddr, body: &str) -> String {
    let length = body.len();
    let head = "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length";
    until_closed(send(address, &format!("{head}: {length}\r\n\r\n{body}")).await).await
}

#[tokio::test]
async fn components_share_a_listener() {
    let (address, _tasks) = serve(vec![metrics(), echo()]).await;
    let answer = ask(address, "GET /metrics?a=b HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; charset=utf-8\r\n"));
    assert!(
        answer.contains("transfer-encoding: chunked\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("A\r\nquery a=b\n\r\nD\r\nsecond chunk\n\r\n0\r\n\r\n"));
    assert!(
        post(address, "12345678")
            .await
            .ends_with("\r\n\r\n12345678")
    );
}

#[tokio::test]
async fn head_returns_only_the_headers() {
    let lazy = Route::get("prometheus", "/lazy", |_| async {
        Response::text(Body::stream(std::iter::from_fn(|| panic!("made"))))
    });
    let (address, _tasks) = serve(vec![lazy, metrics()]).await;
    for path in ["/lazy", "/metrics"] {
        let answer = ask(address, &format!("HEAD {path} HTTP/1.1")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn the_answer_to_an_unknown_path_lists_the_known_ones() {
    let (address, _tasks) = serve(vec![metrics(), echo()]).await;
    let answer = ask(address, "GET /nowhere HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(
        answer.ends_with("available paths:\n/echo\n/metrics\n"),
        "{answer}"
    );

    let answer = ask(address, "DELETE /metrics HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    let answer = ask(address, "GET /echo HTTP/1.1").await;
    assert!(answer.contains("allow: POST\r\n"), "{answer}");
}

#[tokio::test]
async fn the_landing_page_lists_the_routes() {
    let (address, _tasks) = serve(vec![metrics(), echo()]).await;
    let answer = ask(address, "GET / HTTP/1.1").await;
    let link = "<li><a href=\"/metrics\">/metrics</a> &lt;all&gt; &amp; more</li>";
    assert!(answer.contains(link), "{answer}");
    assert!(answer.contains("<li>POST /echo </li>"), "{answer}");
}

#[tokio::test]
async fn a_route_replaces_the_landing_page() {
    let root = Route::get("status", "/", |_| async { Response::text("mine") });
    let (address, _tasks) = serve(vec![root]).await;
    assert!(
        ask(address, "GET / HTTP/1.1")
            .await
            .ends_with("\r\n\r\nmine")
    );
}

#[tokio::test]
async fn bodies_and_headers_have_limits() {
    let (address, _tasks) = serve(vec![echo()]).await;
    let answer = post(address, "123456789").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let many = "x: y\r\n".repeat(101);
    let answer = ask(address, &format!("GET / HTTP/1.1\r\n{many}x: y")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let long = "y".repeat(128 * 1024);
    let answer = ask(address, &format!("GET / HTTP/1.1\r\nx: {long}")).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn a_panic_in_a_handler_affects_only_its_request() {
    let broken = Route::get("broken", "/broken", |_| async { panic!("out of luck") });
    let (address, tasks) = serve(vec![broken, metrics()]).await;
    let answer = ask(address, "GET /broken HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(
        ask(address, "GET /metrics HTTP/1.1")
            .await
            .contains("200 OK")
    );
    assert!(tasks.stop(Instant::now() + PATIENCE).await);
}

#[tokio::test]
async fn idle_silent_and_incomplete_connections_are_closed() {
    let limits = ClientLimits {
        header_timeout: Duration::from_millis(50),
        ..ClientLimits::default()
    };
    let (address, _tasks) = start(limits, vec![metrics()]).await;
    assert_eq!(until_closed(send(address, "").await).await, "");
    let half = until_closed(send(address, "GET /metrics HTTP/1.1\r\nho").await).await;
    assert!(!half.contains("200 OK"), "{half}");
    let idle = send(address, "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(until_closed(idle).await.contains("200 OK"));
}

#[tokio::test]
async fn an_exchange_has_a_time_limit() {
    let limits = ClientLimits {
        exchange_timeout: Duration::from_millis(50),
        connections: 1,
        ..ClientLimits::default()
    };
    let stuck = Route::get("stuck", "/stuck", |_| std::future::pending());
    let large = Route::get("large", "/large", |_| async {
        // This is more than the buffers of two sockets can hold.
        let pieces = std::iter::repeat_n(Bytes::from(vec![b'x'; 1 << 20]), 64);
        Response::text(Body::stream(pieces))
    });
    let (address, _tasks) = start(limits, vec![stuck, large, echo()]).await;
    assert_eq!(ask(address, "GET /stuck HTTP/1.1").await, "");
    until_served(address).await;

    let half = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 8\r\n\r\n1234";
    assert_eq!(until_closed(send(address, half).await).await, "");
    until_served(address).await;

    // Its slot is free again although the client has read nothing.
    let slow = send(address, "GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    until_served(address).await;
    drop(slow);
}

#[tokio::test]
async fn an_answer_has_the_requested_compression() {
    let large = Route::get("large", "/large", |_| async {
        let pieces = std::iter::repeat_n(Bytes::from(vec![b'x'; 100_000]), 10);
        Response::text(Body::stream(pieces))
    });
    let small = Route::get("small", "/small", |_| async { Response::text("ok\n") });
    let (address, _tasks) = serve(vec![large, small]).await;
    for encoding in ["gzip", "zstd"] {
        let client = reqwest::Client::builder().no_proxy().no_gzip().no_zstd();
        let client = client.build().unwrap();
        let get = |path| client.get(format!("http://{address}{path}"));
        let answer = get("/large").header("accept-encoding", encoding);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], encoding);
        assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        assert!(answer.bytes().await.unwrap().len() < 20_000);
        let answer = get("/small").header("accept-encoding", encoding);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers().get("content-encoding"), None);
    }
    let url = format!("http://{address}/large");
    let read = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    assert!(read.len() == 1_000_000 && read.iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn requests_above_the_limit_of_a_route_get_retry_after() {
    let (registry, counting) = counted();
    let server = ServerConfig::plain(ENDPOINT);
    let large = Route::get("large", "/large", |_| async {
        let pieces = std::iter::repeat_n(Bytes::from(vec![b'x'; 1 << 20]), 64);
        Response::text(Body::stream(pieces))
    });
    let routes = vec![large.at_most(1)];
    let meter = Meter::of(&counting);
    let (address, _tasks) = start_as(&server, ClientLimits::default(), &meter, routes).await;
    let mut slow = send(address, "GET /large HTTP/1.1\r\nhost: test\r\n\r\n").await;
    slow.read_u8().await.unwrap();
    let answer = ask(address, "GET /large HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let refused = "betanet_http_requests_refused_total{reason=\"busy\"} 1";
    assert!(text(&registry).contains(refused), "{}", text(&registry));

    // The slot of a client that disconnected is free again.
    drop(slow);
    let again = async {
        while ask(address, "HEAD /large HTTP/1.1").await.contains(" 503 ") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_if_another_needs_its_slot() {
    let (registry, counting) = counted();
    let limits = ClientLimits {
        connections: 1,
        ..ClientLimits::default()
    };
    let server = ServerConfig::plain(ENDPOINT);
    let (address, _tasks) = start_as(&server, limits, &Meter::of(&counting), vec![metrics()]).await;

    let mut first = send(address, "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        answer.push(first.read_u8().await.unwrap());
    }
    let second = ask(address, "GET /metrics HTTP/1.1").await;
    assert!(second.contains("200 OK"), "{second}");
    assert_eq!(until_closed(first).await, "");
    let text = text(&registry);
    let counted = "betanet_http_connections_refused_total{reason=\"idle\"} 1";
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_finishes_answers() {
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        move |_| {
            let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
            async move {
                entered.notify_one();
                go_on.notified().await;
                Response::text("done").with_status(StatusCode::ACCEPTED)
            }
        }
    };
    let (address, tasks) = serve(vec![Route::get("slow", "/slow", handler), metrics()]).await;
    let silent = send(address, "").await;
    let mut idle = send(address, "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await;
    idle.read_u8().await.unwrap();
    let busy = send(address, "GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    entered.notified().await;

    let stopped = {
        let tasks = tasks.clone();
        async move { tasks.stop(Instant::now() + PATIENCE).await }
    };
    let clients = async {
        until_closed(idle).await;
        until_closed(silent).await;
        go_on.notify_one();
        until_closed(busy).await
    };
    let (stopped, answer) = tokio::join!(stopped, clients);
    assert!(stopped);
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_error_for_a_used_path_names_both_owners() {
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    listeners
        .route(&ServerConfig::plain("localhost:9200"), metrics())
        .unwrap();
    let other = Route::get("status", "/metrics", |_| async { Response::text("") });
    let server = ServerConfig::plain("localhost:9200");
    let error = listeners.route(&server, other).unwrap_err();
    let text = "`/metrics` on localhost:9200 is wanted by both prometheus and status";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn the_error_for_a_used_port_names_the_owners() {
    let (address, _tasks) = serve(vec![metrics()]).await;
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    listeners
        .route(&ServerConfig::plain(address.to_string()), metrics())
        .unwrap();
    listeners
        .route(&ServerConfig::plain(address.to_string()), echo())
        .unwrap();
    let error = listeners.bind().await.unwrap_err();
    let text = format!("failed to listen on {address} for echo, prometheus");
    assert_eq!(error.to_string(), text);
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn routes_change_without_closing_connections() {
    let (tasks, _failures) = Tasks::new();
    let components = Components::new(&Clock::System, &tasks);
    let mut serving = RunningListeners::default();
    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    let plain = ServerConfig::plain(ENDPOINT);
    listeners.route(&plain, metrics()).unwrap();
    let bound = listeners.bind_missing(&serving).await.unwrap();
    let address = bound.local_addr(ENDPOINT).unwrap();
    assert!(serving.switch(bound, &tasks, &components).is_empty());
    let mut stream = send(address, "GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    let mut listeners = Listeners::new(ClientLimits::default(), &meter());
    let kept = serving.routes(ENDPOINT, "prometheus");
    assert_eq!(kept.len(), 1);
    listeners.route(&plain, echo()).unwrap();
    let bound = listeners.bind_missing(&serving).await.unwrap();
    assert!(serving.switch(bound, &tasks, &components).is_empty());
    let request = b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let rest = until_closed(stream).await;
    assert!(rest.contains("HTTP/1.1 404"), "the same connection: {rest}");

    let listeners = Listeners::new(ClientLimits::default(), &meter());
    let bound = listeners.bind_missing(&serving).await.unwrap();
    let gone = serving.switch(bound, &tasks, &components);
    for tasks in &gone {
        assert!(tasks.stop(Instant::now() + PATIENCE).await);
    }
    assert_eq!(gone.len(), 1);
    assert!(TcpStream::connect(address).await.is_err(), "closed");
    assert!(components.states().is_empty());
}
