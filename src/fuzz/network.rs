//! Parsers behind a socket, through a real one: requests to the collector's listeners, and answers
//! to its requests.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::runtime::{Builder, Runtime};

use crate::{
    client::Tls,
    delivery::{ClientSettings, Destination as _, http::HttpDestination},
    http::{AuthConfig, Body, ClientLimits, Listeners, Response, Route, ServerConfig},
    pipeline::Components,
    runtime::{Clock, Tasks, build_runtime},
    settings::{Compression, Headers},
    telemetry::Meter,
};

/// Longer than any exchange.
const PATIENCE: Duration = Duration::from_secs(20);

const ENDPOINT: &str = "127.0.0.1:0";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| build_runtime(Builder::new_multi_thread(), Some(1)).expect("threads"));

/// A listener with a route of each kind.
static LISTENER: LazyLock<SocketAddr> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let meter = Meter::of(&SdkMeterProvider::default());
        let mut listeners = Listeners::new(ClientLimits::default(), &meter);
        let server = ServerConfig::plain(ENDPOINT);
        let text = |query: String| Response::text(Body::stream([Bytes::from(query)].into_iter()));
        let get = Route::get("get", "/metrics", move |request| async move {
            text(request.query)
        });
        let post = Route::post("post", "/echo", |request| async move {
            Response::new("application/octet-stream", request.body)
        });
        for route in [get.with_subpaths(), post.max_body(64)] {
            listeners.route(&server, route).expect("a free route");
        }
        let bound = listeners.bind().await.expect("a free port");
        let address = bound.local_addr(ENDPOINT).expect("an address");
        let (tasks, failures) = Tasks::new();
        bound.serve(&tasks, &Components::new(&Clock::System, &tasks));
        // They serve until the process ends.
        Box::leak(Box::new((tasks, failures)));
        address
    })
});

/// One or several requests, as the bytes of a connection that ends after them.
pub(super) fn request(data: &[u8]) {
    let mut stream = TcpStream::connect(*LISTENER).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // The listener may close the connection before it has read all of an invalid request.
    let sent = stream
        .write_all(data)
        .and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let is_late = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!is_late, "an answer, or the end of the connection");
    if sent.is_ok() && !answer.is_empty() {
        assert!(answer.starts_with(b"HTTP/1."), "an answer of HTTP");
    }
}

/// A server whose next answer is set in advance, and the client that sends to it.
struct Answering {
    answer: &'static Mutex<Vec<u8>>,
    destination: HttpDestination,
}

fn answering(
    make: fn(
        reqwest::Url,
        &ClientSettings<'_>,
    ) -> Result<HttpDestination, crate::client::ConfigError>,
) -> Mutex<Answering> {
    let listener = TcpListener::bind(ENDPOINT).expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let answer: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
    let serve = move || {
        for stream in listener.incoming().flatten() {
            let bytes = lock(answer).clone();
            // The client has its answer or has gone.
            drop(exchange(stream, &bytes));
        }
    };
    thread::Builder::new().spawn(serve).expect("a thread");
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: &AuthConfig::default(),
        tls: &Tls::default(),
        proxy_url: None,
    };
    let url = url.parse().expect("a URL");
    let destination = make(url, &remote).expect("a destination");
    Mutex::new(Answering {
        answer,
        destination,
    })
}

fn exchange(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut asked = Vec::new();
    let mut piece = [0; 4096];
    // The body of the request is the last thing that it sends.
    while !asked.ends_with(PAYLOAD) && !asked.ends_with(PACKED) {
        match stream.read(&mut piece)? {
            0 => break,
            length => asked.extend(piece.get(..length).unwrap_or_default()),
        }
    }
    stream.write_all(answer)?;
    stream.shutdown(Shutdown::Write)
}

const PAYLOAD: &[u8] = b"\0payload\0";
/// The same payload in snappy.
const PACKED: &[u8] = b"\x09\x20\0payload\0";

static OTLP: LazyLock<Mutex<Answering>> = LazyLock::new(|| answering(HttpDestination::new));
static REMOTE_WRITE: LazyLock<Mutex<Answering>> =
    LazyLock::new(|| answering(HttpDestination::remote_write));

/// The answer of an OTLP server: see [`answer`].
pub(super) fn otlp_answer(data: &[u8]) {
    answer(&OTLP, data);
}

/// The answer of a remote write server: see [`answer`].
pub(super) fn remote_write_answer(data: &[u8]) {
    answer(&REMOTE_WRITE, data);
}

/// After a first byte of `R` comes the whole answer. Otherwise the first byte chooses status and
/// encoding, and the rest is the body.
fn answer(from: &Mutex<Answering>, data: &[u8]) {
    let (first, body) = data.split_first().unwrap_or((&b'0', data));
    const STATUS: [u16; 8] = [200, 400, 401, 413, 429, 500, 503, 204];
    const ENCODING: [&str; 4] = [
        "",
        "content-encoding: gzip\r\n",
        "content-encoding: zstd\r\n",
        "",
    ];
    let status = STATUS.get(usize::from(first & 7)).copied().unwrap_or(200);
    let encoding = ENCODING.get(usize::from((first >> 3) & 3)).copied();
    let mut bytes = match first {
        b'R' => Vec::new(),
        _ => format!(
            "HTTP/1.1 {status} X\r\n{}content-length: {}\r\nconnection: close\r\n\r\n",
            encoding.unwrap_or_default(),
            body.len()
        )
        .into_bytes(),
    };
    bytes.extend(body);
    let answering = lock(from);
    *lock(answering.answer) = bytes;
    let sending = answering.destination.send(Bytes::from_static(PAYLOAD));
    let sent = RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, sending).await });
    drop(sent.expect("an outcome within the patience"));
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
