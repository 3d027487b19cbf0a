//! Against a real server on the loopback interface.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    metrics::v1::ResourceMetrics,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::{
    Response,
    transport::{Server, server::TcpIncoming},
};

use super::*;
use crate::{client::Tls, http::AuthConfig, runtime::Tasks, settings::Headers, telemetry::chain};

type Seen = Arc<Mutex<Vec<(MetadataMap, ExportMetricsServiceRequest)>>>;

/// Answers every call the same way and remembers it.
#[derive(Clone)]
struct Service {
    answer: Result<ExportMetricsServiceResponse, Status>,
    seen: Seen,
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

/// A server that answers every call with `answer`; its address, and what it has seen.
async fn server(
    tasks: &Tasks,
    answer: Result<ExportMetricsServiceResponse, Status>,
) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Seen::default();
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
    let remote = Remote {
        compression,
        headers: &Headers::from_iter([("x-api-key", "topsecret")]),
        auth: &AuthConfig::default(),
        tls: &Tls {
            insecure: true,
            ..Tls::default()
        },
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

async fn outcome(answer: Result<ExportMetricsServiceResponse, Status>) -> Outcome {
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
            matches!(&outcome, Outcome::Sent(answer) if *answer == Answer::default()),
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
async fn a_code_says_whether_to_try_again() {
    for code in (1..=16).map(Code::from_i32) {
        let expected = [1, 4, 10, 11, 14, 15].contains(&(code as i32));
        let outcome = outcome(Err(Status::new(code, "no"))).await;
        assert_eq!(
            matches!(outcome, Outcome::Retry { after: None, .. }),
            expected,
            "{code:?}"
        );
    }
}

#[tokio::test]
async fn retry_info_makes_exhaustion_pass() {
    let details = Bytes::from(retry_info::encode(7, 500_000_000));
    let status = Status::with_details(Code::ResourceExhausted, "full", details);
    let outcome = outcome(Err(status)).await;
    let Outcome::Retry { error, after } = outcome else {
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
    let Outcome::Sent(answer) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((answer.rejected, answer.message.as_str()), (3, "too old"));
}

#[tokio::test]
async fn a_batch_over_the_servers_limit_is_not_tried_again() {
    let (tasks, _failures) = Tasks::new();
    let (address, _) = server(&tasks, Ok(ExportMetricsServiceResponse::default())).await;
    let outcome = destination(&address, Compression::None)
        .send(payload(3 << 20))
        .await;
    assert!(matches!(outcome, Outcome::Permanent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_up_is_tried_again_and_found_when_it_is_back() {
    let (tasks, _failures) = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let destination = destination(&address.to_string(), Compression::None);
    tasks.spawn("hangs up", async move { drop(listener.accept().await) });
    for _ in ["hangs up", "away"] {
        let outcome = destination.send(payload(10)).await;
        let Outcome::Retry { error, after: None } = outcome else {
            panic!("{outcome:?}")
        };
        let text = format!("{} {error:?} {destination:?}", chain(error.as_ref()));
        assert!(!text.contains("topsecret"), "{text}");
    }
    destination.timed_out();
    let listener = TcpListener::bind(address).await.unwrap();
    let service = Service {
        answer: Ok(ExportMetricsServiceResponse::default()),
        seen: Seen::default(),
    };
    tasks.spawn("server", async move {
        let server = Server::builder().add_service(MetricsServiceServer::new(service));
        server
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
            .unwrap();
    });
    let outcome = destination.send(payload(10)).await;
    assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}");
}

#[test]
fn a_scheme_decides_about_tls() {
    let of = |endpoint, insecure| {
        let (uri, encrypted) = uri(endpoint, insecure);
        assert!(uri.ends_with("://a:4317"), "{uri}");
        encrypted
    };
    assert!(of("a:4317", false));
    assert!(!of("a:4317", true));
    assert!(!of("http://a:4317", false));
    assert!(of("https://a:4317", true));
}
