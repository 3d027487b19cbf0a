//! What handlers take and give.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use hyper::body::{Body, Frame, SizeHint};
use tokio::{sync::watch, time::Instant};

use super::Credentials;

/// What answers the requests of a route.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// Body limit of a route that does not set its own.
const MAX_BODY: usize = 1 << 20;

/// A path of a listener and what answers there.
#[derive(Clone)]
pub struct Route {
    pub(super) owner: String,
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) description: String,
    pub(super) max_body: usize,
    /// Whether it answers for all paths below its own as well.
    pub(super) subpaths: bool,
    /// Whose requests are answered; everyone's without it.
    pub(super) admits: Option<Arc<Credentials>>,
    pub(super) handler: Handler,
}

impl Route {
    /// A route for GET and HEAD. `owner` is the component's id, for error messages.
    pub fn get<F, R>(owner: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        Self {
            owner: owner.into(),
            path: path.into(),
            method: Method::GET,
            description: String::new(),
            max_body: MAX_BODY,
            subpaths: false,
            admits: None,
            handler: Arc::new(move |request| handler(request).boxed()),
        }
    }

    /// A route for POST.
    pub fn post<F, R>(owner: impl Into<String>, path: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        Self {
            method: Method::POST,
            ..Self::get(owner, path, handler)
        }
    }

    /// Answers for all paths below its own as well.
    #[must_use]
    pub fn with_subpaths(mut self) -> Self {
        self.subpaths = true;
        self
    }

    /// Answers those only who bring the credentials.
    #[must_use]
    pub(super) fn admitting(mut self, credentials: Credentials) -> Self {
        self.admits = Some(Arc::new(credentials));
        self
    }

    /// What the landing page says of it.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// The largest request body, in bytes; 1 MiB unless set.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.method, self.path, self.owner)
    }
}

/// A request whose body has been read.
#[derive(Debug)]
pub struct Request {
    /// GET, HEAD or POST.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// What stands behind the `?`, as it was sent; empty where there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most as large as the route allows.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The value of `Content-Type`.
    pub content_type: HeaderValue,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body in pieces, so that a large one need not be copied together.
    pub body: Vec<Bytes>,
}

impl Response {
    /// A successful answer.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static(content_type),
            headers: Vec::new(),
            body: vec![body.into()],
        }
    }

    /// A successful answer in plain text.
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::new("text/plain; charset=utf-8", body)
    }

    /// The same answer with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer as hyper sends it; `exchange` ends when the last byte is handed over.
    pub(super) fn into_hyper(self, exchange: Exchange) -> http::Response<Chunks> {
        let mut response = http::Response::new(Chunks {
            left: self.body.into(),
            _exchange: exchange,
        });
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, self.content_type);
        response
    }
}

/// The body of an answer.
pub(super) struct Chunks {
    left: VecDeque<Bytes>,
    _exchange: Exchange,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.left.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

/// Holds the deadline of a connection from the header of a request to the end of its answer.
pub(super) struct Exchange(watch::Sender<Option<Instant>>);

impl Exchange {
    /// An exchange must end by `deadline`.
    pub(super) fn begin(connection: &watch::Sender<Option<Instant>>, deadline: Instant) -> Self {
        connection.send_replace(Some(deadline));
        Self(connection.clone())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}
