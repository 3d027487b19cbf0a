//! Accepts connections, and limits what each of them may use.

use std::{
    convert::Infallible,
    future::pending,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ClientLimits,
    body::Exchange,
    crowd::{Client, Crowd, Entry, Stay},
    router::{Router, Visitor},
    telemetry::ListenerTelemetry,
    tls::Tls,
};
use crate::{pipeline::Reporter, runtime::Tasks};

/// The approximate largest header of a request (a single read may bring up to twice as much), and
/// the largest number of header fields.
const MAX_HEADER: usize = 32 * 1024;
const MAX_HEADER_FIELDS: usize = 100;
/// The wait after a failed accept because of missing descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How long a connection without a request may last after the stop signal: enough to flush an
/// answer.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections of one listener share.
#[derive(Debug)]
pub(super) struct ConnectionContext {
    telemetry: ListenerTelemetry,
    view: RwLock<ListenerView>,
}

/// How a listener currently answers.
#[derive(Debug, Clone)]
pub(super) struct ListenerView {
    pub(super) policy: Arc<ConnectionPolicy>,
    /// The routes. Each request looks them up, so that a connection survives a change of the
    /// routes.
    pub(super) router: Arc<Router>,
}

/// Limits, TLS and stop signal, fixed for the lifetime of a connection.
#[derive(Debug)]
pub(super) struct ConnectionPolicy {
    pub(super) limits: ClientLimits,
    crowd: Arc<Crowd>,
    pub(super) tls: Option<Arc<Tls>>,
    /// Ends these connections, each after its current answer.
    pub(super) stop: CancellationToken,
}

impl ConnectionPolicy {
    pub(super) fn new(
        limits: ClientLimits,
        tls: Option<Arc<Tls>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            limits,
            crowd: Arc::new(Crowd::new(limits.connections)),
            tls,
            stop,
        }
    }
}

impl ConnectionContext {
    pub(super) fn new(telemetry: ListenerTelemetry, view: ListenerView) -> Self {
        Self {
            telemetry,
            view: RwLock::new(view),
        }
    }

    /// How the listener currently answers.
    pub(super) fn view(&self) -> ListenerView {
        let view = self.view.read();
        view.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces how the listener answers.
    pub(super) fn replace(&self, view: ListenerView) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }
}

/// A listener that no port leads to, for fuzzing.
#[doc(hidden)]
#[derive(Debug)]
pub struct Portless {
    context: ConnectionContext,
}

impl Portless {
    pub(super) fn new(limits: ClientLimits, router: Router, telemetry: ListenerTelemetry) -> Self {
        let policy = ConnectionPolicy::new(limits, None, CancellationToken::new());
        let view = ListenerView {
            policy: Arc::new(policy),
            router: Arc::new(router),
        };
        Self {
            context: ConnectionContext::new(telemetry, view),
        }
    }

    /// Answers what comes over a connection of `client` until it ends.
    pub async fn answer<S>(&self, stream: S, client: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let policy = self.context.view().policy;
        if let Entry::Free(stay) = policy.crowd.enter(client.into()) {
            exchange(stream, &self.context, &policy, &stay).await;
        }
    }
}

/// Accepts connections. Clones accept from the same socket.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) socket: Arc<std::net::TcpListener>,
    pub(super) server: Arc<ConnectionContext>,
    /// Owns the connections: each one is a task with this name.
    pub(super) tasks: Tasks,
    pub(super) name: Arc<str>,
    pub(super) status: Reporter,
}

impl Acceptor {
    /// Accepts connections until its tasks stop. The runtime of the caller polls the socket.
    pub(super) async fn run(self) {
        let (stop, status) = (self.tasks.stopping(), &self.status);
        let socket = match self.socket.try_clone().and_then(TcpListener::from_std) {
            Ok(socket) => socket,
            Err(error) => {
                return status.fatal_error(format_args!("cannot accept connections: {error}"));
            }
        };
        while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
            match accepted {
                Ok((stream, address)) => {
                    status.ok();
                    self.serve(stream, address.into());
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) if is_of_the_socket(&error) => {
                    status.fatal_error(format_args!("cannot accept connections any more: {error}"));
                    return;
                }
                Err(error) => {
                    status.recoverable_error(format_args!("cannot accept connections: {error}"));
                    // The connection stays in the backlog, so accepting again at once would spin.
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, client: Client) {
        let server = Arc::clone(&self.server);
        let policy = server.view().policy;
        let stay = match policy.crowd.enter(client) {
            Entry::Free(stay) => stay,
            Entry::Instead(stay) => {
                server.telemetry.connection_refused("idle");
                stay
            }
            // Dropping the stream closes the connection.
            Entry::Full => return server.telemetry.connection_refused("limit"),
        };
        self.tasks
            .spawn_isolated(Arc::clone(&self.name), async move {
                let leave = stay.leave.clone();
                let served = serve(stream, &server, &policy, &stay);
                leave.run_until_cancelled(served).await;
            });
    }
}

/// Whether only the connection that should be accepted is lost.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Whether the listening socket itself is gone: accepting again would fail forever.
fn is_of_the_socket(error: &io::Error) -> bool {
    // The errors of `accept(2)`. The standard library has no names for most of them.
    const EBADF: i32 = 9;
    const EINVAL: i32 = 22;
    const ENOTSOCK: i32 = 88;
    matches!(error.raw_os_error(), Some(EBADF | EINVAL | ENOTSOCK))
}

/// Serves one connection, after its TLS handshake if there is one.
async fn serve(
    stream: TcpStream,
    server: &ConnectionContext,
    policy: &ConnectionPolicy,
    stay: &Stay,
) {
    let Some(tls) = &policy.tls else {
        return exchange(stream, server, policy, stay).await;
    };
    let patience = policy.limits.header_timeout;
    let handshake = timeout(patience, tls.acceptor().accept(stream));
    match policy.stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => exchange(stream, server, policy, stay).await,
        Some(Ok(Err(error))) => {
            tracing::debug!(%error, "handshake failed");
            server.telemetry.connection_refused("tls");
        }
        Some(Err(_)) => server.telemetry.connection_refused("tls_timeout"),
        None => {}
    }
}

/// Answers the requests of one connection.
async fn exchange<S>(stream: S, server: &ConnectionContext, policy: &ConnectionPolicy, stay: &Stay)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = policy.limits;
    // The deadline of the current exchange. `None` between two exchanges.
    let (deadline, watched) = watch::channel(None);
    let service = service_fn(|request| {
        let ends = Instant::now() + limits.exchange_timeout;
        let busy = stay.begin();
        let visitor = Visitor {
            client: stay.client,
            is_admitted: busy.is_admitted(),
        };
        let exchange = Exchange::begin(&deadline, ends, Some(busy));
        let router = server.view().router;
        async move {
            let response = router.answer(request, visitor, &server.telemetry).await;
            Ok::<_, Infallible>(response.into_hyper(exchange))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(MAX_HEADER)
            .max_headers(MAX_HEADER_FIELDS)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                count_failed(&error, server);
            }
            return;
        }
        () = overdue(watched.clone()) => {
            tracing::debug!("exchange took too long, connection closed");
            return;
        }
        () = policy.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // hyper ends an idle connection now, but waits for the first request of a silent one.
    let left = match *watched.borrow() {
        Some(deadline) => deadline.saturating_duration_since(Instant::now()),
        None => LINGER,
    };
    if timeout(left, connection).await.is_err() {
        tracing::debug!("connection closed at shutdown");
    }
}

/// Counts a request that hyper itself refused, with 431 (or 414) or 400.
fn count_failed(error: &hyper::Error, server: &ConnectionContext) {
    if error.is_parse_too_large() {
        server.telemetry.request_refused("head_too_large");
    } else if error.is_parse() {
        server.telemetry.request_refused("malformed");
    }
    tracing::debug!(%error, "connection ended");
}

/// Returns after an exchange has passed its deadline.
async fn overdue(mut watched: watch::Receiver<Option<Instant>>) {
    loop {
        let deadline = *watched.borrow_and_update();
        let passed = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = passed => return,
            changed = watched.changed() => if changed.is_err() { pending::<()>().await },
        }
    }
}
