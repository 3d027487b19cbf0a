//! Invalid responses and redirects, over real sockets.

use http::{HeaderMap, HeaderValue, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use crate::{
    pipeline::ErrorType,
    receivers::http_json::{
        config::Config,
        http::clients::{ClientFactory, ClientSettings},
        http::transport::{Transport as _, TransportError, TransportRequest, TransportResponse},
    },
    telemetry::chain,
};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("http://{address}"))
}

/// Answers one request. Returns the request.
async fn answer(listener: &TcpListener, bytes: &[u8]) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = vec![0; 4096];
    let length = stream.read(&mut asked).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    String::from_utf8_lossy(&asked[..length]).to_ascii_lowercase()
}

/// Sends a request to `url` as a poll does.
async fn get(url: &str, max_redirects: usize) -> Result<TransportResponse, TransportError> {
    let config = Config {
        max_redirects,
        ..Config::default()
    };
    let client = ClientFactory::new(ClientSettings::new(&config, 1)).unwrap();
    let client = client.for_target(&url.parse().unwrap()).unwrap();
    let headers = [
        (
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer hunter2"),
        ),
        (
            "x-api-key".parse().unwrap(),
            HeaderValue::from_static("hunter2"),
        ),
    ];
    let request = TransportRequest {
        headers: HeaderMap::from_iter(headers),
        body_limit_bytes: 100,
        memory: crate::pipeline::Allowance::new(100),
        ..TransportRequest::get(url)
    };
    timeout(PATIENCE, client.fetch(&request)).await.unwrap()
}

fn redirect(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

const SUCCESS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

#[tokio::test]
async fn another_origin_gets_no_configured_headers_and_no_referer() {
    let ((first, url), (second, other)) = (listener().await, listener().await);
    let url = format!("{url}/a?key=hunter2");
    let servers = async {
        let begun = answer(&first, &redirect("/b")).await;
        let near = answer(&first, &redirect(&format!("{other}/c"))).await;
        let far = answer(&second, SUCCESS).await;
        (begun, near, far)
    };
    let (got, (begun, near, far)) = tokio::join!(get(&url, 2), servers);
    assert_eq!(&got.unwrap().body[..], b"{}");
    for asked in [&begun, &near] {
        assert!(asked.contains("x-api-key: hunter2"), "{asked}");
        assert!(!asked.contains("referer"), "{asked}");
    }
    assert!(far.starts_with("get /c http/1.1"), "{far}");
    for secret in ["hunter2", "x-api-key", "authorization", "referer"] {
        assert!(!far.contains(secret), "{far}");
    }
}

#[tokio::test]
async fn a_redirect_loop_has_its_own_error() {
    let (listener, url) = listener().await;
    let servers = async {
        for _ in 0..3 {
            answer(&listener, &redirect("/again?key=hunter2")).await;
        }
    };
    let (got, ()) = tokio::join!(get(&url, 2), servers);
    let error = got.unwrap_err();
    assert_eq!(error.error_type(), ErrorType::Redirect);
    let expected = format!(
        "followed 2 redirects (`max_redirects`), and the next one leads to \
         {url}/again?key=[REDACTED]"
    );
    assert_eq!(error.to_string(), expected);
}

/// Invalid responses: scheme, bytes, and class and words of the failure.
const NO_ANSWERS: &[(&str, &[u8], ErrorType, &str)] = &[
    (
        "http",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        ErrorType::Protocol,
        "not HTTP/1.1",
    ),
    (
        "http",
        b"\x15\x03\x01\x00\x02\x02\x46",
        ErrorType::Protocol,
        "speak TLS",
    ),
    (
        "http",
        b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00",
        ErrorType::Protocol,
        "HTTP/2",
    ),
    (
        "http",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        ErrorType::Header,
        "bad status line or header",
    ),
    (
        "http",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        ErrorType::Header,
        "bad status line or header",
    ),
    (
        "http",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        ErrorType::Body,
        "cut",
    ),
    ("http", b"", ErrorType::Body, "cut"),
    (
        "https",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ErrorType::Tls,
        "does not speak TLS",
    ),
    (
        "https",
        b"\x15\x03\x03\x00\x02\x02\x46",
        ErrorType::Tls,
        "ProtocolVersion",
    ),
];

#[tokio::test]
async fn an_invalid_response_has_an_error_that_describes_it() {
    for (scheme, bytes, error_type, words) in NO_ANSWERS {
        let (listener, url) = listener().await;
        let url = url.replacen("http", scheme, 1);
        let (got, _) = tokio::join!(get(&url, 0), answer(&listener, bytes));
        let error = got.unwrap_err();
        let message = chain(&error);
        assert_eq!(error.error_type(), *error_type, "{message}");
        assert!(message.contains(words), "{message}");
    }
}
