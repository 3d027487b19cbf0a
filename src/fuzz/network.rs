//! Parsers behind a connection: requests to the collector's listeners, and answers to its requests.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    runtime::{Builder, Runtime},
};

use crate::{
    client::Tls,
    delivery::{ClientSettings, Destination as _, http::HttpDestination},
    http::{Body, ClientLimits, Listeners, Portless, Response, Route, ServerConfig},
    runtime::{Clock, build_runtime},
    settings::{Compression, Headers},
    telemetry::Meter,
};

/// Longer than any exchange takes.
const PATIENCE: Duration = Duration::from_secs(20);

const ENDPOINT: &str = "127.0.0.1:0";

/// A connection holds so much that the other side has not read.
const PIPE_BYTES: usize = 64 * 1024;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| build_runtime(Builder::new_multi_thread(), 1).expect("threads"));

/// A listener with a route of each kind. It has no port: a socket costs ten times what the request
/// does.
static LISTENER: LazyLock<Portless> = LazyLock::new(|| {
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
    listeners.without_port(ENDPOINT).expect("it has routes")
});

/// A request, or several, as bytes of a connection that ends behind them.
pub(super) fn request(data: &[u8]) {
    let client = SocketAddr::from(([127, 0, 0, 1], 1));
    let (mut stream, theirs) = duplex(PIPE_BYTES);
    let exchange = async {
        let ask = async {
            // It may hang up on nonsense before it has read all of it.
            let is_sent = stream.write_all(data).await.is_ok() && stream.shutdown().await.is_ok();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("memory");
            (is_sent, answer)
        };
        join(LISTENER.answer(theirs, client), ask).await
    };
    let exchanged = RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, exchange).await });
    let ((), (is_sent, answer)) = exchanged.expect("an answer, or the end of the connection");
    if is_sent && !answer.is_empty() {
        assert!(answer.starts_with(b"HTTP/1."), "an answer of HTTP");
    }
}

/// A server whose next answer is said before, and what sends to it.
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
            // Who asked has its answer or has gone.
            drop(exchange(stream, &bytes));
        }
    };
    thread::Builder::new().spawn(serve).expect("a thread");
    let remote = ClientSettings {
        compression: Compression::None,
        headers: &Headers::default(),
        auth: None,
        tls: &Tls::default(),
        proxy_url: None,
        clock: &Clock::System,
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
    // The body of the request is the last that it sends.
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
/// The same in snappy.
const PACKED: &[u8] = b"\x09\x20\0payload\0";

static OTLP: LazyLock<Mutex<Answering>> = LazyLock::new(|| answering(HttpDestination::new));
static REMOTE_WRITE: LazyLock<Mutex<Answering>> =
    LazyLock::new(|| answering(HttpDestination::remote_write));

/// What an OTLP server answers: see [`answer`].
pub(super) fn otlp_answer(data: &[u8]) {
    answer(&OTLP, data);
}

/// What a remote write server answers: see [`answer`].
pub(super) fn remote_write_answer(data: &[u8]) {
    answer(&REMOTE_WRITE, data);
}

/// A first byte of `R` stands before all that is answered; otherwise it chooses status and encoding,
/// and the rest is the body.
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
