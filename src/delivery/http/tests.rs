//! Tests with a real server on the loopback interface.

use std::{
    convert::Infallible,
    io::Read as _,
    sync::{Arc, Mutex},
};

use ::http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message as _;
use tokio::net::TcpListener;

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::{
    client::{Tls, headers::USER_AGENT},
    runtime::Tasks,
    settings::Headers,
    telemetry::chain,
};

type SeenRequest = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A server that gives every request the `answer`. Returns its URL, and the requests.
async fn server(tasks: &Tasks, answer: Response<Bytes>) -> (Url, SeenRequest) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://user:secret@{}/v1/metrics",
        listener.local_addr().unwrap()
    );
    let seen = SeenRequest::default();
    let (answer, seen_there) = (Arc::new(answer), Arc::clone(&seen));
    tasks.spawn("server", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: Request<Incoming>| {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen_there));
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    seen.lock().unwrap().push((parts.headers, body));
                    Ok::<_, Infallible>(answer.as_ref().clone().map(Full::new))
                }
            });
            // A client that disconnects does not matter here.
            drop(
                http1::Builder::new()
                    .auto_date_header(false)
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        }
    });
    (url.parse().unwrap(), seen)
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Response<Bytes> {
    let builder = Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(Bytes::new()).unwrap()
}

fn destination(url: Url, compression: Compression) -> HttpDestination {
    let remote = ClientSettings {
        compression,
        headers: &Headers::from_iter([("X-Api-Key", "topsecret")]),
        auth: None,
        tls: &Tls::default(),
        proxy_url: None,
        clock: &Clock::System,
    };
    HttpDestination::new(url, &remote).unwrap()
}

async fn outcome(answer: Response<Bytes>) -> SendOutcome {
    let (tasks, _failures) = Tasks::new();
    let (url, _) = server(&tasks, answer).await;
    destination(url, Compression::None)
        .send(Bytes::from_static(b"batch"))
        .await
}

#[tokio::test]
async fn remote_write_uses_snappy_and_retries_every_server_error() {
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls: &Tls::default(),
        proxy_url: None,
        clock: &Clock::System,
    };
    for (status, retried) in [
        (204, None),
        (400, Some(false)),
        (429, Some(true)),
        (500, Some(true)),
    ] {
        let (tasks, _failures) = Tasks::new();
        let mut answer = answer(status, &[]);
        if status >= 400 {
            *answer.body_mut() = Bytes::from_static(b"out of order sample\n");
        }
        let (url, seen) = server(&tasks, answer).await;
        let destination = HttpDestination::remote_write(url, &remote).unwrap();
        let outcome = destination.send(Bytes::from_static(b"batch")).await;
        let (headers, body) = seen.lock().unwrap().pop().unwrap();
        assert_eq!(headers["content-encoding"], "snappy");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["x-prometheus-remote-write-version"], "0.1.0");
        assert_eq!(
            snap::raw::Decoder::new().decompress_vec(&body).unwrap(),
            b"batch"
        );
        let error = match outcome {
            SendOutcome::Sent(answer) => {
                assert_eq!((retried, answer), (None, ExportAnswer::default()));
                continue;
            }
            SendOutcome::Retry { error, .. } => (Some(true), error),
            SendOutcome::Permanent { error } | SendOutcome::TooLarge { error } => {
                (Some(false), error)
            }
        };
        assert_eq!(error.0, retried, "{status}");
        let said = error.1.to_string();
        assert!(said.ends_with(": out of order sample"), "{said}");
    }
}

fn is_retry(outcome: &SendOutcome) -> bool {
    matches!(outcome, SendOutcome::Retry { .. })
}

#[tokio::test]
async fn the_request_follows_the_otlp_specification() {
    let (tasks, _failures) = Tasks::new();
    let payload = Bytes::from(vec![7; 100_000]);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (url, seen) = server(&tasks, answer(200, &[])).await;
        let outcome = destination(url, compression).send(payload.clone()).await;
        assert!(matches!(outcome, SendOutcome::Sent(answer) if answer == ExportAnswer::default()));

        let (headers, body) = seen.lock().unwrap().pop().unwrap();
        let plain = match compression {
            Compression::None => body.to_vec(),
            Compression::Gzip => {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(&body[..])
                    .read_to_end(&mut plain)
                    .unwrap();
                plain
            }
            Compression::Zstd => zstd::bulk::decompress(&body, payload.len()).unwrap(),
        };
        assert_eq!(plain, payload);
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["user-agent"], USER_AGENT);
        assert_eq!(headers["x-api-key"], "topsecret");
        let encoding = headers
            .get("content-encoding")
            .map(|value| value.to_str().unwrap());
        assert_eq!(encoding, compress::encoding(compression));
    }
}

#[tokio::test]
async fn the_status_decides_about_a_retry() {
    for status in [429, 502, 503, 504] {
        assert!(is_retry(&outcome(answer(status, &[])).await), "{status}");
    }
    for status in [302, 400, 401, 404, 408, 500, 501] {
        let outcome = outcome(answer(status, &[("location", "/elsewhere")])).await;
        assert!(matches!(outcome, SendOutcome::Permanent { .. }), "{status}");
    }
}

/// A server without a clock of its own: the one that the destination got decides.
#[tokio::test]
async fn a_date_to_retry_is_measured_with_the_clock_of_the_destination() {
    let (tasks, _failures) = Tasks::new();
    let later = [("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")];
    let (url, _) = server(&tasks, answer(503, &later)).await;
    // 08:49:37 on that day.
    let clock = Clock::starting_at(UNIX_EPOCH + Duration::from_secs(784_111_777));
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls: &Tls::default(),
        proxy_url: None,
        clock: &clock,
    };
    let destination = HttpDestination::new(url, &remote).unwrap();
    let outcome = destination.send(Bytes::from_static(b"batch")).await;
    let SendOutcome::Retry { after, .. } = outcome else {
        panic!("{outcome:?}")
    };
    // The clock moves while the request is sent.
    let waits = Duration::from_secs(1)..=Duration::from_secs(30);
    assert!(
        after.is_some_and(|after| waits.contains(&after)),
        "{after:?}"
    );
}

#[tokio::test]
async fn retry_after_is_a_number_or_a_date() {
    let asked =
        async |status, headers: &[(&str, &str)]| match outcome(answer(status, headers)).await {
            SendOutcome::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(asked(503, &[("retry-after", "17")]).await, seconds(17));
    assert_eq!(asked(429, &[("retry-after", "0")]).await, seconds(0));
    let dates = [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
    ];
    assert_eq!(asked(503, &dates).await, seconds(30));
    assert_eq!(
        asked(503, &[dates[1]]).await,
        seconds(0),
        "a date in the past"
    );
    assert_eq!(asked(503, &[("retry-after", "soon")]).await, None);
    assert_eq!(
        asked(502, &[("retry-after", "17")]).await,
        None,
        "this status has no Retry-After"
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
    let outcome = outcome(Response::new(response.encode_to_vec().into())).await;
    let SendOutcome::Sent(answer) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((answer.rejected, answer.message.as_str()), (3, "too old"));
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let outcome = outcome(Response::new(vec![0; MAX_RESPONSE_BYTES + 1].into())).await;
    assert!(matches!(outcome, SendOutcome::Permanent { .. }));
}

#[tokio::test]
async fn a_server_that_is_down_is_retried_and_errors_have_no_secrets() {
    let (tasks, _failures) = Tasks::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://user:secret@{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let destination = destination(url, Compression::None);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tasks.spawn("hangs up", async move {
        drop(listener.accept().await);
        sender.send(()).unwrap();
    });
    for _ in ["hangs up", "away"] {
        let outcome = destination.send(Bytes::from_static(b"batch")).await;
        let SendOutcome::Retry { error, after: None } = outcome else {
            panic!("{outcome:?}")
        };
        let text = format!("{} {error:?} {destination:?}", chain(error.as_ref()));
        assert!(!text.contains("secret"), "{text}");
    }
    receiver.await.unwrap();
}

fn with_body(status: u16, headers: &[(&str, &str)], body: &'static [u8]) -> Response<Bytes> {
    let mut answer = answer(status, headers);
    *answer.body_mut() = Bytes::from_static(body);
    answer
}

fn error(outcome: SendOutcome) -> String {
    match outcome {
        SendOutcome::Retry { error, .. }
        | SendOutcome::TooLarge { error }
        | SendOutcome::Permanent { error } => chain(error.as_ref()),
        SendOutcome::Sent(_) => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn the_reason_is_one_line_of_the_server_without_secrets() {
    let json = br#"{"code":3,"message":"no\n\u001b[31m tenant for topsecret"}"#;
    for (headers, body, expected) in [
        (
            &[("content-type", "application/json")][..],
            &json[..],
            "the server answered 400 Bad Request: no [31m tenant for [REDACTED]",
        ),
        (
            &[("content-type", "application/x-protobuf")],
            b"\x08\x03\x12\x0abad metric",
            "the server answered 400 Bad Request: bad metric",
        ),
        (
            &[],
            b" bad metric\n",
            "the server answered 400 Bad Request: bad metric",
        ),
        (&[], b"", "the server answered 400 Bad Request"),
    ] {
        let said = error(outcome(with_body(400, headers, body)).await);
        assert_eq!(said, expected);
    }
}

#[tokio::test]
async fn a_refusal_because_of_the_size_is_recognized() {
    for answer in [
        answer(413, &[]),
        with_body(400, &[], b"http: request body too large"),
    ] {
        let outcome = outcome(answer).await;
        assert!(
            matches!(outcome, SendOutcome::TooLarge { .. }),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_followed_only_on_the_same_server() {
    for status in [307, 308] {
        let (tasks, _failures) = Tasks::new();
        let (url, seen) = server(&tasks, answer(status, &[("location", "/v1/metrics/")])).await;
        let said = error(
            destination(url, Compression::None)
                .send(Bytes::from_static(b"b"))
                .await,
        );
        assert_eq!(
            seen.lock().unwrap().len(),
            1 + MAX_REDIRECTS,
            "no further redirects"
        );
        assert!(said.contains("/v1/metrics/`: use that"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let (tasks, _failures) = Tasks::new();
    let (url, stranger) = server(&tasks, answer(200, &[])).await;
    for status in [301, 302, 307, 308] {
        let location = [("location", url.as_str())];
        let (from, seen) = server(&tasks, answer(status, &location)).await;
        let outcome = destination(from, Compression::None)
            .send(Bytes::from_static(b"b"))
            .await;
        assert!(
            matches!(outcome, SendOutcome::Permanent { .. }),
            "{outcome:?}"
        );
        let said = error(outcome);
        let port = url.port().unwrap();
        assert!(
            said.contains(&format!("`http://127.0.0.1:{port}/v1/metrics`")),
            "{said}"
        );
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
    assert!(
        stranger.lock().unwrap().is_empty(),
        "the other server gets no credentials"
    );
}

#[tokio::test]
async fn a_port_with_another_protocol_is_recognized() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let (tasks, _failures) = Tasks::new();
    for (scheme, speaks_first, bytes, expected) in [
        ("http", true, SETTINGS, "the port does not use HTTP/1.1"),
        ("http", false, SETTINGS, "the port does not use HTTP/1.1"),
        ("http", false, ALERT, "the port does not use HTTP/1.1"),
        ("https", false, HTTP, "the port does not use TLS"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        tasks.spawn("says", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if !speaks_first {
                tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
            }
            tokio::io::AsyncWriteExt::write_all(&mut stream, bytes)
                .await
                .unwrap();
            // The connection stays open until the client has read the bytes.
            let mut rest = Vec::new();
            drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await);
        });
        let destination = destination(url.parse().unwrap(), Compression::None);
        let said = error(destination.send(Bytes::from_static(b"batch")).await);
        assert!(said.contains(expected), "{scheme}: {said}");
    }
}

#[tokio::test]
async fn requests_go_through_a_proxy() {
    let (tasks, _failures) = Tasks::new();
    let (url, seen) = server(&tasks, answer(200, &[])).await;
    let proxy = format!(
        "http://me:pass@{}:{}",
        url.host_str().unwrap(),
        url.port().unwrap()
    );
    let proxy = proxy.parse().unwrap();
    let (headers, tls) = (Headers::default(), Tls::default());
    let remote = |proxy_url| ClientSettings {
        compression: Compression::None,
        headers: &headers,
        auth: None,
        tls: &tls,
        proxy_url: Some(proxy_url),
        clock: &Clock::System,
    };
    // Nobody can look this name up: the client leaves that to the proxy.
    let nowhere: Url = "http://nowhere.invalid/v1/metrics".parse().unwrap();
    let destination = HttpDestination::new(nowhere.clone(), &remote(&proxy)).unwrap();
    let outcome = destination.send(Bytes::from_static(b"batch")).await;
    assert!(matches!(outcome, SendOutcome::Sent(_)), "{outcome:?}");
    let (headers, _) = seen.lock().unwrap().pop().unwrap();
    assert_eq!(headers["host"], "nowhere.invalid");
    assert_eq!(headers["proxy-authorization"], "Basic bWU6cGFzcw==");

    let away = "http://me:pass@127.0.0.1:1".parse().unwrap();
    let destination = HttpDestination::new(nowhere, &remote(&away)).unwrap();
    let said = error(destination.send(Bytes::from_static(b"batch")).await);
    assert!(
        said.contains("through the proxy 127.0.0.1:1 failed"),
        "{said}"
    );
    assert!(!said.contains("pass"), "{said}");
}
