//! A destination that fails on request. It accepts OTLP over HTTP and gRPC, and Prometheus remote
//! write, on a real socket, and stores what it accepted.

mod wire;

use std::{
    iter,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use betanet_collector::simulator::Listener;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message as _;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::wire::{Body, Reset, Wire};
use super::{
    remote_write, reserved,
    sink::{self, Point},
};

/// A piece of a long answer.
const CHUNK: &[u8] = &[0; 64 << 10];

/// The reaction to requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Behavior {
    /// Accepts everything.
    Accept,
    /// Does not listen.
    Down,
    /// Answers 503 with this `Retry-After`, or UNAVAILABLE with this `RetryInfo`, in seconds.
    Busy { retry_after: u64 },
    /// Resets the connection in the middle of the request.
    ResetRequest,
    /// Accepts the request, and resets the connection in the middle of the answer.
    ResetAnswer,
    /// Reads the request, and neither accepts nor answers it.
    Hang,
    /// Accepts all except the first points of each request, and says so.
    Reject { points: usize },
    /// Accepts requests with at most this number of points, and says that others are too large.
    TakesAtMost { points: usize },
    /// Accepts the request and answers this number of bytes.
    LongAnswer { bytes: u64 },
}

/// A backend whose behavior can be set. It stops on drop.
pub(crate) struct Backend {
    address: SocketAddr,
    /// Bound but never listening, so that no other program gets the port while the backend is down.
    _reserved: TcpSocket,
    seen: Arc<Seen>,
    serving: Option<Serving>,
}

/// What it has seen so far.
#[derive(Default)]
struct Seen {
    /// The accepted data, by request. It is parsed later, so that the answer does not wait for
    /// that.
    taken: Mutex<Vec<Taken>>,
    /// When each request arrived, accepted or not, and the behavior at that time.
    asked: Mutex<Vec<(Instant, Behavior)>>,
    /// Bytes of long answers that were handed to the network.
    answered_bytes: AtomicU64,
}

/// One request, of which everything except the first points was accepted.
struct Taken {
    request: Request<Bytes>,
    rejected: usize,
}

struct Serving {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Backend {
    /// Starts one that accepts.
    pub(crate) async fn start() -> Self {
        let reserved = reserved("127.0.0.1:0".parse().unwrap());
        let mut backend = Self {
            address: reserved.local_addr().unwrap(),
            _reserved: reserved,
            seen: Arc::default(),
            serving: None,
        };
        backend.set(Behavior::Accept).await;
        backend
    }

    /// Sets the behavior. Answers in progress are finished first, and its connections are closed.
    pub(crate) async fn set(&mut self, behavior: Behavior) {
        if let Some(serving) = self.serving.take() {
            serving.stop.cancel();
            serving.tasks.join_all().await;
        }
        if behavior == Behavior::Down {
            return;
        }
        let listener = Listener::new(reserved(self.address).listen(64).unwrap());
        let stop = CancellationToken::new();
        let answering = Answering {
            behavior,
            seen: Arc::clone(&self.seen),
            stop: stop.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(answering.accept(listener));
        self.serving = Some(Serving { stop, tasks });
    }

    /// Its base URL, without `/v1/metrics`. It is also the URL of gRPC.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The accepted points, by request, in the order of arrival.
    pub(crate) fn taken(&self) -> Vec<Vec<Point>> {
        let taken = self.seen.taken.lock().unwrap();
        let requests = taken.iter().map(|taken| {
            let points = match taken.request.uri().path() {
                remote_write::PATH => remote_write::points_of(&taken.request),
                _ => sink::points_of(&taken.request),
            };
            points.unwrap().into_iter().skip(taken.rejected).collect()
        });
        requests.collect()
    }

    /// The number of accepted requests.
    pub(crate) fn requests(&self) -> usize {
        self.seen.taken.lock().unwrap().len()
    }

    /// The pause after each request that met this behavior.
    pub(crate) fn pauses_after(&self, behavior: Behavior) -> Vec<Duration> {
        let asked = self.seen.asked.lock().unwrap();
        let pairs = asked.windows(2).filter(|pair| pair[0].1 == behavior);
        pairs.map(|pair| pair[1].0 - pair[0].0).collect()
    }

    /// The number of requests that met this behavior.
    pub(crate) fn met(&self, behavior: Behavior) -> usize {
        let asked = self.seen.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.1 == behavior).count()
    }

    /// The number of rejected points.
    pub(crate) fn rejected(&self) -> usize {
        let taken = self.seen.taken.lock().unwrap();
        taken.iter().map(|taken| taken.rejected).sum()
    }

    /// Bytes of long answers that were handed to the network.
    pub(crate) fn answered_bytes(&self) -> u64 {
        self.seen.answered_bytes.load(Ordering::Relaxed)
    }
}

/// How it answers between two changes.
#[derive(Clone)]
struct Answering {
    behavior: Behavior,
    seen: Arc<Seen>,
    stop: CancellationToken,
}

impl Answering {
    /// Accepts connections until it is stopped, and waits for the answers in progress.
    async fn accept(self, listener: Listener) {
        let mut connections = JoinSet::new();
        while let Some(accepted) = self.stop.run_until_cancelled(listener.accept()).await {
            connections.spawn(self.clone().serve(accepted.unwrap().0));
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn serve(self, stream: TcpStream) {
        if let Behavior::ResetRequest | Behavior::ResetAnswer = self.behavior {
            // A connection that closes before everything is read and written is reset.
            stream.set_zero_linger().unwrap();
        }
        let reset = CancellationToken::new();
        let service = service_fn(|request| self.clone().answer(request, reset.clone()));
        let server = auto::Builder::new(TokioExecutor::new());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        // A client may disconnect at any time. The test notices that by what it waits for.
        tokio::select! {
            ended = connection.as_mut() => return drop(ended),
            () = reset.cancelled() => return,
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        drop(reset.run_until_cancelled(connection).await);
    }

    /// Answers, or resets the connection.
    async fn answer(
        self,
        request: Request<Incoming>,
        reset: CancellationToken,
    ) -> Result<Response<Body>, Reset> {
        let met = (Instant::now(), self.behavior);
        self.seen.asked.lock().unwrap().push(met);
        let answer = self.respond(request, &reset).await;
        if answer.is_err() {
            reset.cancel();
        }
        answer
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        reset: &CancellationToken,
    ) -> Result<Response<Body>, Reset> {
        let wire = Wire::of(&request);
        let (head, mut body) = request.into_parts();
        if self.behavior == Behavior::ResetRequest {
            drop(body.frame().await);
            return Err(Reset);
        }
        let body = body.collect().await.map_err(|_| Reset)?.to_bytes();
        let request = wire.unwrap(Request::from_parts(head, body));
        match self.behavior {
            Behavior::Accept => {
                self.take(request, 0);
                Ok(wire.taken(&[]))
            }
            Behavior::Busy { retry_after } => Ok(wire.busy(retry_after)),
            Behavior::Hang => {
                self.stop.cancelled().await;
                Err(Reset)
            }
            Behavior::Reject { points: rejected } => {
                self.take(request, rejected);
                Ok(wire.taken(&partial_success(rejected)))
            }
            Behavior::TakesAtMost { points } if points_of(&request) > points => {
                Ok(wire.too_large())
            }
            Behavior::TakesAtMost { .. } => {
                self.take(request, 0);
                Ok(wire.taken(&[]))
            }
            Behavior::ResetAnswer => {
                self.take(request, 0);
                Ok(broken(wire, reset.clone()))
            }
            Behavior::LongAnswer { bytes } => {
                self.take(request, 0);
                Ok(self.long(wire, bytes))
            }
            Behavior::Down | Behavior::ResetRequest => Err(Reset),
        }
    }

    fn take(&self, request: Request<Bytes>, rejected: usize) {
        let taken = Taken { request, rejected };
        self.seen.taken.lock().unwrap().push(taken);
    }

    fn long(&self, wire: Wire, bytes: u64) -> Response<Body> {
        let seen = Arc::clone(&self.seen);
        let chunks = (0..bytes / CHUNK.len() as u64).map(|_| Bytes::from_static(CHUNK));
        let parts = iter::once(wire.start(bytes)).chain(chunks);
        wire.parts(stream::iter(parts.map(move |part| {
            let written = part.len() as u64;
            seen.answered_bytes.fetch_add(written, Ordering::Relaxed);
            Ok(Frame::data(part))
        })))
    }
}

/// The number of points in a request.
fn points_of(request: &Request<Bytes>) -> usize {
    let points = match request.uri().path() {
        remote_write::PATH => remote_write::points_of(request),
        _ => sink::points_of(request),
    };
    points.unwrap().len()
}

/// The start of an answer, after which the connection is reset.
fn broken(wire: Wire, reset: CancellationToken) -> Response<Body> {
    let beginning = [wire.start(1 << 20), Bytes::from_static(CHUNK)];
    let beginning = stream::iter(beginning.map(|part| Ok(Frame::data(part))));
    wire.parts(beginning.chain(stream::once(async move {
        reset.cancel();
        Err(Reset)
    })))
}

fn partial_success(rejected: usize) -> Vec<u8> {
    let partial_success = ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(rejected).unwrap(),
        error_message: "too old".to_owned(),
    };
    let answer = ExportMetricsServiceResponse {
        partial_success: Some(partial_success),
    };
    answer.encode_to_vec()
}
