//! Clear-text HTTP/1.1 connections of one target, driven by the request that uses them.
//!
//! A pooled connection of reqwest is a task with 28 KB of buffers, and each request passes from the
//! poll to that task and back. A target needs neither between two polls. So this keeps the bare
//! socket. The usual request needs no more (`plain_exchange.rs`); any other makes hyper's state
//! around it and drives it itself. reqwest speaks TLS and goes through proxies.

use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, Connection, SendRequest},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use reqwest::Url;
use tokio::{net::UnixStream, time::Instant};
use tower_service::Service as _;
use url::Position;

use super::{
    resumed_socket::ResumedSocket,
    socket::Socket,
    transport::{BoxError, TransportError, TransportRequest},
};
use crate::client::{content_encoding::ACCEPTED, headers};

const USER_AGENT: HeaderValue = HeaderValue::from_static(headers::USER_AGENT);
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// Opens connections.
#[derive(Debug, Clone)]
pub(crate) enum Connector {
    /// To the host of the URL; all targets share it.
    Tcp(HttpConnector),
    /// To a socket of this machine.
    Unix(Arc<Path>),
}

/// The sockets that a target keeps between its requests.
#[derive(Debug)]
pub(crate) struct KeptSockets {
    sockets: Mutex<Vec<KeptSocket>>,
    /// A socket that was idle for longer is closed: a router on the way may have forgotten it.
    idle_timeout: Duration,
}

#[derive(Debug)]
struct KeptSocket {
    socket: Socket,
    since: Instant,
}

/// A connection with one request on it.
pub(crate) struct Exchange {
    driven: Driven,
    sender: SendRequest<Full<Bytes>>,
}

/// The connection, polled by whoever waits for something that comes over it.
struct Driven {
    /// None when it has ended.
    connection: Option<Connection<TokioIo<ResumedSocket>, Full<Bytes>>>,
}

impl Connector {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self::Tcp(connector)
    }

    /// One that knows only the socket at this path.
    pub(crate) fn to_socket(path: &Arc<Path>) -> Self {
        Self::Unix(Arc::clone(path))
    }

    /// Whether it leads to a socket of this machine, whatever the URL is.
    pub(crate) fn is_of_socket(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Opens a connection to the host of `url`.
    ///
    /// # Errors
    /// If the name has no address, or none of them accepts.
    pub(crate) async fn connect(&self, url: &Url) -> Result<Socket, TransportError> {
        let connector = match self {
            Self::Tcp(connector) => connector,
            Self::Unix(path) => {
                let connected = UnixStream::connect(path).await;
                let connected = connected.map_err(|error| TransportError::Connect(error.into()));
                return connected.map(Socket::Unix);
            }
        };
        let uri = uri(&url[..Position::BeforePath])?;
        let connected = connector.clone().call(uri).await;
        let stream =
            connected.map_err(|error| match error.to_string().starts_with("dns error") {
                true => TransportError::Dns(Box::new(error)),
                false => TransportError::Connect(Box::new(error)),
            })?;
        Ok(Socket::Tcp(stream.into_inner()))
    }
}

impl KeptSockets {
    pub(crate) fn new(idle_timeout: Duration) -> Self {
        Self {
            sockets: Mutex::default(),
            idle_timeout,
        }
    }

    /// A socket that the server has not closed, as far as is known.
    pub(crate) fn take(&self) -> Option<Socket> {
        let mut sockets = self.lock();
        while let Some(kept) = sockets.pop() {
            if kept.since.elapsed() <= self.idle_timeout && kept.socket.is_quiet() {
                return Some(kept.socket);
            }
        }
        None
    }

    /// Keeps a socket if there are fewer than `max`.
    pub(crate) fn keep(&self, socket: Socket, max: usize) {
        let mut sockets = self.lock();
        if sockets.len() < max {
            // Most targets keep one.
            sockets.reserve_exact(1);
            sockets.push(KeptSocket {
                socket,
                since: Instant::now(),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeptSocket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// What went wrong on the connection.
    pub(crate) async fn send(
        socket: ResumedSocket,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<(Self, Response<Incoming>)> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let mut driven = Driven {
            connection: Some(connection),
        };
        let answer = driven.until(sender.send_request(request)).await?;
        Ok((Self { driven, sender }, answer))
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// If the connection was lost, or the body is not framed as HTTP says.
    pub(crate) async fn chunk(&mut self, body: &mut Incoming) -> hyper::Result<Option<Bytes>> {
        loop {
            let Some(frame) = self.driven.until(body.frame()).await else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// The socket, if the body was read whole and the server lets the connection live on.
    pub(crate) fn into_socket(mut self) -> Option<Socket> {
        let mut noop = Context::from_waker(Waker::noop());
        self.driven.poll(&mut noop);
        let is_idle = matches!(self.sender.poll_ready(&mut noop), Poll::Ready(Ok(())));
        let parts = self.driven.connection?.into_parts();
        let is_idle = is_idle && parts.read_buf.is_empty();
        parts.io.into_inner().into_socket().filter(|_| is_idle)
    }
}

impl Driven {
    /// Waits for `wanted`, which comes over this connection.
    async fn until<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        std::future::poll_fn(|context| {
            self.poll(context);
            wanted.as_mut().poll(context)
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        // How it ended is told to who waits for an answer.
        if let Some(connection) = &mut self.connection
            && connection.poll_without_shutdown(context).is_ready()
        {
            self.connection = None;
        }
    }
}

/// What is sent for a request, without what the connection adds.
///
/// # Errors
/// If the path is none that HTTP can carry.
pub(crate) fn request(request: &TransportRequest) -> Result<Request<Full<Bytes>>, TransportError> {
    let url = &request.url;
    let mut sent = Request::new(Full::new(request.body.clone()));
    *sent.method_mut() = request.method.into();
    *sent.uri_mut() = uri(&url[Position::BeforePath..Position::AfterQuery])?;
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let host = HeaderValue::from_str(host).map_err(|error| TransportError::Url(Box::new(error)))?;
    let headers = sent.headers_mut();
    headers.clone_from(&request.headers);
    headers.entry(header::HOST).or_insert(host);
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    headers.entry(header::ACCEPT).or_insert(ANYTHING);
    headers.entry(header::ACCEPT_ENCODING).or_insert(ACCEPTED);
    Ok(sent)
}

fn uri(text: &str) -> Result<Uri, TransportError> {
    text.parse()
        .map_err(|error| TransportError::Url(Box::new(error)))
}

/// Sorts what hyper says of a connection that gave no whole answer.
pub(crate) fn classify(error: hyper::Error) -> TransportError {
    let is_version = error.is_parse_version_h2() || error.to_string().contains("version");
    let is_parse = error.is_parse();
    let error: BoxError = Box::new(error);
    match is_parse {
        true if is_version => TransportError::Protocol(error),
        true => TransportError::Header(error),
        false => TransportError::Cut(error),
    }
}

/// Whether the connection went away before the answer began.
pub(crate) fn is_lost(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    /// A server that gives these answers, one after the other on each connection, and closes it
    /// after the last one.
    struct Server {
        url: Url,
        listener: TcpListener,
    }

    impl Server {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
            Self {
                url: url.parse().unwrap(),
                listener,
            }
        }

        /// Accepts one connection; what each request began with.
        async fn serve(&self, answers: &[&str]) -> Vec<String> {
            let (mut socket, _) = self.listener.accept().await.unwrap();
            let mut asked = Vec::new();
            for answer in answers {
                let mut head = [0; 1024];
                let read = socket.read(&mut head).await.unwrap();
                asked.push(String::from_utf8_lossy(&head[..read]).into_owned());
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        }

        fn request(&self) -> TransportRequest {
            TransportRequest {
                body_limit_bytes: 1000,
                ..TransportRequest::get(self.url.as_str())
            }
        }

        /// Asks once, over a kept socket if there is one; the body, and whether it was a kept one.
        async fn ask(&self, sockets: &KeptSockets) -> hyper::Result<(String, bool)> {
            let (socket, was_kept) = match sockets.take() {
                Some(socket) => (socket, true),
                None => (Connector::new().connect(&self.url).await.unwrap(), false),
            };
            let request = request(&self.request()).unwrap();
            let (mut exchange, mut answer) = Exchange::send(socket.into(), request).await?;
            let mut body = Vec::new();
            while let Some(chunk) = exchange.chunk(answer.body_mut()).await? {
                body.extend_from_slice(&chunk);
            }
            if let Some(socket) = exchange.into_socket() {
                sockets.keep(socket, 1);
            }
            Ok((String::from_utf8(body).unwrap(), was_kept))
        }
    }

    #[tokio::test]
    async fn one_socket_carries_one_request_after_the_other() {
        let (server, sockets) = (Server::new().await, KeptSockets::new(IDLE));
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthree",
        ];
        let ask = async {
            let mut bodies = Vec::new();
            for _ in answers {
                bodies.push(server.ask(&sockets).await.unwrap());
            }
            bodies
        };
        let (asked, bodies) = tokio::join!(server.serve(&answers), ask);
        let expected = [("one", false), ("two", true), ("three", true)];
        assert_eq!(bodies, expected.map(|(body, kept)| (body.to_owned(), kept)));
        assert!(sockets.take().is_none(), "the server closed the connection");
        let host = &server.url[Position::BeforeHost..Position::AfterPort];
        for head in asked {
            assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
            assert!(head.contains(&format!("host: {host}\r\n")), "{head}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_the_server_closed_or_wrote_to_is_not_used_again() {
        let (server, sockets) = (Server::new().await, KeptSockets::new(IDLE));
        let unasked = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 408 Late\r\n\r\n";
        let sound = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        for answer in [unasked, sound] {
            let (_, answered) = tokio::join!(
                server.serve(std::slice::from_ref(&answer)),
                server.ask(&sockets)
            );
            assert_eq!(answered.unwrap(), ("a".to_owned(), false));
            let kept = sockets.lock().pop();
            if let Some(kept) = kept {
                assert_eq!(answer, sound);
                let Socket::Tcp(socket) = &kept.socket else {
                    unreachable!()
                };
                socket.readable().await.unwrap(); // the end of the stream
                sockets.keep(kept.socket, 1);
            }
            assert!(sockets.take().is_none());
        }
    }

    #[tokio::test]
    async fn a_cut_answer_is_an_error_and_nothing_is_kept() {
        for (answer, is_lost_before) in [
            ("", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", false),
        ] {
            let (server, sockets) = (Server::new().await, KeptSockets::new(IDLE));
            let (_, answered) = tokio::join!(
                server.serve(std::slice::from_ref(&answer)),
                server.ask(&sockets)
            );
            let error = answered.unwrap_err();
            assert!(is_lost(&error) || !is_lost_before, "{error}");
            assert!(matches!(classify(error), TransportError::Cut(_)));
            assert!(sockets.take().is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_that_was_idle_for_long_is_closed() {
        let (server, sockets) = (Server::new().await, KeptSockets::new(IDLE));
        let socket = Connector::new().connect(&server.url).await.unwrap();
        sockets.keep(socket, 1);
        tokio::time::advance(IDLE + Duration::from_secs(1)).await;
        assert!(sockets.take().is_none());
    }

    #[tokio::test]
    async fn no_more_sockets_are_kept_than_there_is_room_for() {
        let (server, sockets) = (Server::new().await, KeptSockets::new(IDLE));
        for _ in 0..3 {
            let socket = Connector::new().connect(&server.url).await.unwrap();
            sockets.keep(socket, 2);
        }
        assert_eq!(sockets.lock().len(), 2);
    }

    #[tokio::test]
    async fn what_is_no_http_is_told_apart() {
        for (answer, is_version) in [
            ("SSH-2.0-x\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", false),
        ] {
            let (server, sockets) = (Server::new().await, KeptSockets::new(IDLE));
            let (_, answered) = tokio::join!(
                server.serve(std::slice::from_ref(&answer)),
                server.ask(&sockets)
            );
            let error = classify(answered.unwrap_err());
            assert_eq!(
                matches!(error, TransportError::Protocol(_)),
                is_version,
                "{error:?}"
            );
        }
    }
}
