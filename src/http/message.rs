//! Requests and answers of handlers.

use std::{fmt, future::Future, sync::Arc};

use super::{
    Body, ServerAuth,
    body::{Exchange, Sending},
    crowd::{Slot, Slots, share},
    encoding::Encoding,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS},
};
use percent_encoding::percent_decode_str;

/// Answers the requests of a route.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// The largest request body of a route that sets no limit.
const MAX_BODY: usize = 1 << 20;

/// A smaller answer, in bytes, is not compressed.
const MIN_COMPRESSED: u64 = 1024;

/// A path of a listener, and its handler.
#[derive(Clone)]
pub struct Route {
    pub(super) owner: String,
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) description: String,
    pub(super) max_body: usize,
    /// Whether it also answers all paths below its own.
    pub(super) subpaths: bool,
    /// The credentials that clients must send. `None` if there are none.
    pub(super) authenticator: Option<Arc<ServerAuth>>,
    /// The slots for simultaneous requests. `None` without a limit.
    pub(super) slots: Option<Arc<Slots>>,
    /// Whether it answers even if the listener has no free slot.
    pub(super) is_vital: bool,
    /// Own host names. Only requests with one of them may change something.
    pub(super) hosts: Vec<String>,
    pub(super) handler: Handler,
}

impl Route {
    /// A route for GET and HEAD. `owner` is the id of the component, for error messages.
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
            authenticator: None,
            slots: None,
            is_vital: false,
            hosts: Vec::new(),
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

    /// Also answers all paths below its own.
    #[must_use]
    pub fn with_subpaths(mut self) -> Self {
        self.subpaths = true;
        self
    }

    /// Answers only clients with these credentials.
    #[must_use]
    pub(super) fn authenticated_by(mut self, auth: ServerAuth) -> Self {
        self.authenticator = Some(Arc::new(auth));
        self
    }

    /// Limits simultaneous requests. Other requests get 503 with `Retry-After`.
    #[must_use]
    pub fn at_most(mut self, requests: usize) -> Self {
        self.slots = Some(Arc::new(Slots::new(requests, requests)));
        self
    }

    /// Limits simultaneous requests. One client gets half of the slots.
    #[must_use]
    pub fn at_most_shared(mut self, requests: usize) -> Self {
        self.slots = Some(Arc::new(Slots::new(requests, share(requests))));
        self
    }

    /// Answers even if the listener has no free slot, as a liveness check must.
    #[must_use]
    pub fn vital(mut self) -> Self {
        self.is_vital = true;
        self
    }

    /// Adds own host names: a request that changes something must use one of them, an address, or a
    /// name without a dot.
    #[must_use]
    pub fn at_hosts(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.hosts.extend(names);
        self
    }

    /// Sets the text on the landing page.
    #[must_use]
    pub fn described(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the largest request body in bytes. Default: 1 MiB.
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
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without the `?`. Empty if there is none.
    pub query: String,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, within the limit of the route.
    pub body: Bytes,
}

impl Request {
    /// What stands in the path below `above`, without its percent signs; empty for `above` itself.
    pub fn below(&self, above: &str) -> String {
        let below = self.path.strip_prefix(above).unwrap_or_default();
        let below = below.strip_prefix('/').unwrap_or(below);
        percent_decode_str(below).decode_utf8_lossy().into_owned()
    }
}

/// An answer of a handler.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The value of `Content-Type`.
    pub content_type: HeaderValue,
    /// Additional header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of the answer.
    pub body: Body,
    /// The slot that is in use while the answer is sent.
    slot: Option<Slot>,
}

impl Response {
    /// A successful answer.
    pub fn new(content_type: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static(content_type),
            headers: Vec::new(),
            body: body.into(),
            slot: None,
        }
    }

    /// A successful answer in plain text.
    pub fn text(body: impl Into<Body>) -> Self {
        Self::new("text/plain; charset=utf-8", body)
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Compresses the answer, if the client accepts that and the size is worth it.
    pub(super) fn encoded_for(mut self, request: &HeaderMap) -> Self {
        if self.body.is_live() {
            return self;
        }
        if self
            .body
            .length()
            .is_some_and(|bytes| bytes < MIN_COMPRESSED)
        {
            return self;
        }
        self.headers
            .push((VARY, HeaderValue::from_static("Accept-Encoding")));
        let Some(encoding) = Encoding::accepted(request) else {
            return self;
        };
        match self.body.compressed(encoding) {
            Ok(body) => Self { body, ..self }
                .with_header(CONTENT_ENCODING, HeaderValue::from_static(encoding.name())),
            Err(error) => {
                tracing::warn!(%error, "an answer could not be compressed");
                Self::text("internal error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Holds a slot until the client has the answer.
    pub(super) fn holding(mut self, slot: Option<Slot>) -> Self {
        self.slot = slot;
        self
    }

    /// The answer as hyper sends it. `exchange` ends when the last byte is handed over.
    pub(super) fn into_hyper(self, exchange: Exchange) -> http::Response<Sending> {
        let sending = Sending::new(self.body, exchange, self.slot);
        let mut response = http::Response::new(sending);
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}
