//! Tests with a real server on the loopback interface.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    metrics::v1::ResourceMetrics,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tonic::{
    Response,
    transport::{Server, server::TcpIncoming},
};

use super::*;
use crate::{
    client::Tls,
    runtime::{Clock, Tasks},
    settings::Headers,
    telemetry::chain,
};

type SeenRequest = Arc<Mutex<Vec<(MetadataMap, ExportMetricsServiceRequest)>>>;

/// Gives every call the same answer and records it.
#[derive(Clone)]
struct Service {
    answer: Result<ExportMetricsServiceResponse, Status>,
    seen: SeenRequest,
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.seen.lock().unwrap().push((metadata, message));
        self.answer.clone().map(Response::new)
    }
}

/// A server that gives every call the `answer`. Returns its address, and the calls.
async fn server(
    tasks: &Tasks,
    answer: Result<ExportMetricsServiceResponse, Status>,
) -> (String, SeenRequest) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = SeenRequest::default();
    let service = MetricsServiceServer::new(Service {
        answer,
        seen: Arc::clone(&seen),
    })
    .accept_compressed(CompressionEncoding::Gzip)
    .accept_compressed(CompressionEncoding::Zstd)
    .send_compressed(CompressionEncoding::Gzip);
    tasks.spawn("server", async move {
        let incoming = TcpIncoming::from(listener);
        Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    });
    (address, seen)
}

fn destination(address: &str, compression: Compression) -> GrpcDestination {
    let remote = ClientSettings {
        compression,
        headers: &Headers::from_iter([("x-api-key", "topsecret")]),
        auth: None,
        tls: &Tls {
            insecure: true,
            ..Tls::default()
        },
        proxy_url: None,
        clock: &Clock::System,
    };
    GrpcDestination::new(address, &remote).unwrap()
}

/// Two messages, one after the other, with `bytes` of text in each.
fn payload(bytes: usize) -> Bytes {
    let message = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            schema_url: "x".repeat(bytes),
            ..ResourceMetrics::default()
        }],
    };
    [message.encode_to_vec(), message.encode_to_vec()]
        .concat()
        .into()
}

async fn outcome(answer: Result<ExportMetricsServiceResponse, Status>) -> SendOutcome {
    let (tasks, _failures) = Tasks::new();
    let (address, _) = server(&tasks, answer).await;
    destination(&address, Compression::None)
        .send(payload(10))
        .await
}

#[tokio::test]
async fn the_bytes_arrive_as_one_message() {
    let (tasks, _failures) = Tasks::new();
    let (address, seen) = server(&tasks, Ok(ExportMetricsServiceResponse::default())).await;
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let outcome = destination(&address, compression)
            .send(payload(100_000))
            .await;
        assert!(
            matches!(&outcome, SendOutcome::Sent(answer) if *answer == ExportAnswer::default()),
            "{outcome:?}"
        );
        let (metadata, message) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(message.encode_to_vec(), payload(100_000));
        assert_eq!(message.resource_metrics.len(), 2);
        assert_eq!(metadata.get("x-api-key").unwrap(), "topsecret");
        assert!(
            metadata
                .get("user-agent")
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(USER_AGENT)
        );
    }
}

#[tokio::test]
async fn the_status_code_decides_about_a_retry() {
    for code in (1..=16).map(Code::from_i32) {
        let expected = [1, 4, 10, 11, 14, 15].contains(&(code as i32));
        let outcome = outcome(Err(Status::new(code, "no"))).await;
        assert_eq!(
            matches!(outcome, SendOutcome::Retry { after: None, .. }),
            expected,
            "{code:?}"
        );
    }
}

#[tokio::test]
async fn retry_info_makes_resource_exhausted_retryable() {
    let details = Bytes::from(retry_info::encode(7, 500_000_000));
    let status = Status::with_details(Code::ResourceExhausted, "full", details);
    let outcome = outcome(Err(status)).await;
    let SendOutcome::Retry { error, after } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(after, Some(std::time::Duration::from_millis(7500)));
    assert_eq!(
        error.to_string(),
        "the server answered ResourceExhausted (full)"
    );
}

#[tokio::test]
async fn a_partial_success_is_read() {
    let response = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: "too old".to_owned(),
        }),
    };
    let outcome = outcome(Ok(response)).await;
    let SendOutcome::Sent(answer) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((answer.rejected, answer.message.as_str()), (3, "too old"));
}

#[tokio::test]
async fn a_batch_above_the_limit_of_the_server_is_too_large() {
    let (tasks, _failures) = Tasks::new();
    let (address, _) = server(&tasks, Ok(ExportMetricsServiceResponse::default())).await;
    let outcome = destination(&address, Compression::None)
        .send(payload(3 << 20))
        .await;
    assert!(
        matches!(outcome, SendOutcome::TooLarge { .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_retried_and_used_when_it_is_back() {
    let (tasks, _failures) = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let destination = destination(&address.to_string(), Compression::None);
    tasks.spawn("hangs up", async move { drop(listener.accept().await) });
    for _ in ["hangs up", "away"] {
        let outcome = destination.send(payload(10)).await;
        let SendOutcome::Retry { error, after: None } = outcome else {
            panic!("{outcome:?}")
        };
        let text = format!("{} {error:?} {destination:?}", chain(error.as_ref()));
        assert!(!text.contains("topsecret"), "{text}");
    }
    destination.timed_out();
    let listener = TcpListener::bind(address).await.unwrap();
    let service = Service {
        answer: Ok(ExportMetricsServiceResponse::default()),
        seen: SeenRequest::default(),
    };
    tasks.spawn("server", async move {
        let server = Server::builder().add_service(MetricsServiceServer::new(service));
        server
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
            .unwrap();
    });
    let outcome = destination.send(payload(10)).await;
    assert!(matches!(outcome, SendOutcome::Sent(_)), "{outcome:?}");
}

#[test]
fn a_scheme_decides_about_tls() {
    let of = |endpoint, insecure| {
        let (uri, encrypted) = uri(endpoint, insecure).unwrap();
        assert!(uri.ends_with("://a:4317"), "{uri}");
        encrypted
    };
    assert!(of("a:4317", false));
    assert!(!of("a:4317", true));
    assert!(!of("http://a:4317", false));
    assert!(of("https://a:4317", true));
    assert!(of("dns:///a:4317", false));
    assert!(!of("dns:///a:4317", true));
    assert!(!of("dns:a:4317", true));
}

#[test]
fn an_invalid_endpoint_is_refused() {
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls: &Tls::default(),
        proxy_url: None,
        clock: &Clock::System,
    };
    for (endpoint, expected) in [
        ("example.com", "needs a port"),
        ("https://example.com", "needs a port"),
        ("http://example.com/", "needs a port"),
        ("dns:///example.com", "needs a port"),
        ("dns://10.0.0.1/example.com:4317", "names a DNS server"),
        ("unix:///run/otlp.sock", "expected an address"),
    ] {
        let refused = GrpcDestination::new(endpoint, &remote).unwrap_err();
        let text = chain(&refused);
        assert!(text.contains(expected), "{endpoint}: {text}");
    }
}

#[tokio::test]
async fn a_size_limit_is_recognized_from_clients_servers_and_proxies() {
    for (code, message) in [
        (
            Code::ResourceExhausted,
            "grpc: received message larger than max (5 vs. 4)",
        ),
        (
            Code::ResourceExhausted,
            "gRPC message exceeds maximum size 4194304: 5000000",
        ),
        (
            Code::OutOfRange,
            "Error, decoded message length too large: found 5 bytes",
        ),
    ] {
        let outcome = outcome(Err(Status::new(code, message))).await;
        assert!(
            matches!(outcome, SendOutcome::TooLarge { .. }),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn the_message_of_a_server_is_one_line_without_secrets() {
    let status = Status::new(Code::InvalidArgument, "key topsecret\n is\tunknown");
    let outcome = outcome(Err(status)).await;
    let SendOutcome::Permanent { error } = outcome else {
        panic!("{outcome:?}")
    };
    let expected = "the server answered InvalidArgument (key [REDACTED] is unknown)";
    assert_eq!(error.to_string(), expected);
}

/// A server that sends these bytes to every connection.
async fn says(tasks: &Tasks, bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tasks.spawn("says", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = [0; 16];
            stream.read_exact(&mut read).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_port_with_another_protocol_is_recognized() {
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    const ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
    let (tasks, _failures) = Tasks::new();
    for (scheme, bytes, expected) in [
        ("http", HTTP, "the port does not use gRPC"),
        ("http", ALERT, "the port does not use gRPC"),
        ("https", HTTP, "the port does not use TLS"),
    ] {
        let address = says(&tasks, bytes).await;
        let remote = ClientSettings {
            compression: Compression::None,
            headers: &Headers::default(),
            auth: None,
            tls: &Tls::default(),
            proxy_url: None,
            clock: &Clock::System,
        };
        let destination = GrpcDestination::new(&format!("{scheme}://{address}"), &remote).unwrap();
        let outcome = destination.send(payload(10)).await;
        let SendOutcome::Retry { error, .. } = outcome else {
            panic!("{outcome:?}")
        };
        let text = chain(error.as_ref());
        assert!(text.contains(expected), "{scheme}: {text}");
    }
}

#[tokio::test]
async fn round_robin_leaves_out_an_address_that_is_down() {
    let (tasks, _failures) = Tasks::new();
    let accepts = || Ok(ExportMetricsServiceResponse::default());
    let (first, second) = (
        server(&tasks, accepts()).await,
        server(&tasks, accepts()).await,
    );
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = free.local_addr().unwrap();
    drop(free);
    let balancer = Balancer::new("unused".to_owned());
    let addresses = [first.0.parse().unwrap(), away, second.0.parse().unwrap()];
    balancer.know(&addresses);
    let mut destination = destination(&first.0, Compression::None);
    destination.balancer = Some(balancer);
    for _ in 0..6 {
        let outcome = destination.send(payload(10)).await;
        assert!(matches!(outcome, SendOutcome::Sent(_)), "{outcome:?}");
    }
    let counts = [&first, &second].map(|(_, seen)| seen.lock().unwrap().len());
    assert_eq!(
        counts,
        [2, 4],
        "the next address replaces the one that is down"
    );
}

#[tokio::test]
async fn round_robin_looks_the_name_up() {
    let (tasks, _failures) = Tasks::new();
    let (address, seen) = server(&tasks, Ok(ExportMetricsServiceResponse::default())).await;
    let port = address.rsplit_once(':').unwrap().1;
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls: &Tls {
            insecure: true,
            ..Tls::default()
        },
        proxy_url: None,
        clock: &Clock::System,
    };
    let settings = GrpcSettings {
        balancer: BalancerName::RoundRobin,
        keepalive: Some(Keepalive::default()),
    };
    let endpoint = format!("dns:///localhost:{port}");
    let destination = GrpcDestination::with(&endpoint, &remote, &settings).unwrap();
    for _ in 0..3 {
        let outcome = destination.send(payload(10)).await;
        assert!(matches!(outcome, SendOutcome::Sent(_)), "{outcome:?}");
    }
    assert_eq!(seen.lock().unwrap().len(), 3);
}

/// A proxy that connects to every requested address, and the list of its requests.
async fn proxy(tasks: &Tasks) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:pass@{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&asked);
    tasks.spawn("proxy", async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let to = head.split(' ').nth(1).unwrap().to_owned();
            there.lock().unwrap().push(head);
            let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut stream, &mut server).await);
        }
    });
    (url, asked)
}

#[tokio::test]
async fn requests_go_through_a_proxy() {
    let (tasks, _failures) = Tasks::new();
    let (address, seen) = server(&tasks, Ok(ExportMetricsServiceResponse::default())).await;
    let (url, asked) = proxy(&tasks).await;
    let url = url.parse().unwrap();
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls: &Tls::default(),
        proxy_url: Some(&url),
        clock: &Clock::System,
    };
    let destination = GrpcDestination::new(&format!("http://{address}"), &remote).unwrap();
    let outcome = destination.send(payload(10)).await;
    assert!(matches!(outcome, SendOutcome::Sent(_)), "{outcome:?}");
    assert_eq!(seen.lock().unwrap().len(), 1);
    let head = asked.lock().unwrap().concat();
    assert!(head.starts_with(&format!("CONNECT {address} ")), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(
        lower.contains("proxy-authorization: basic bwu6cgfzcw=="),
        "{head}"
    );
    let text = format!("{destination:?}");
    assert!(!text.contains("pass"), "{text}");
}
