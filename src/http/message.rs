//! What handlers take and give.

use std::{fmt, future::Future, sync::Arc};

use super::{
    Body, Credentials,
    body::{Exchange, Sending},
    crowd::{Place, Places, share},
    encoding::Encoding,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS},
};

/// What answers the requests of a route.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// Body limit of a route that does not set its own.
const MAX_BODY: usize = 1 << 20;

/// A smaller answer, in bytes, is sent as it is.
const MIN_COMPRESSED: u64 = 1024;

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
    /// How many requests may be answered at the same time; no limit of its own without it.
    pub(super) places: Option<Arc<Places>>,
    /// Whether it is answered even if the listener has no place for anything else.
    pub(super) is_vital: bool,
    /// Names of ours; who asks by another one cannot change anything.
    pub(super) hosts: Vec<String>,
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
            places: None,
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

    /// How many requests are answered at the same time; more are told to come again.
    #[must_use]
    pub fn at_most(mut self, requests: usize) -> Self {
        self.places = Some(Arc::new(Places::new(requests, requests)));
        self
    }

    /// The same, of which one client gets half.
    #[must_use]
    pub fn at_most_shared(mut self, requests: usize) -> Self {
        self.places = Some(Arc::new(Places::new(requests, share(requests))));
        self
    }

    /// Answers even if the listener has no place for anything else: for what says that we live.
    #[must_use]
    pub fn vital(mut self) -> Self {
        self.is_vital = true;
        self
    }

    /// More names of ours: a request that changes something must come by one of them, or by an
    /// address or a name without a dot.
    #[must_use]
    pub fn at_hosts(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.hosts.extend(names);
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
    /// The body.
    pub body: Body,
    /// A place that is taken as long as the answer is sent.
    place: Option<Place>,
}

impl Response {
    /// A successful answer.
    pub fn new(content_type: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: HeaderValue::from_static(content_type),
            headers: Vec::new(),
            body: body.into(),
            place: None,
        }
    }

    /// A successful answer in plain text.
    pub fn text(body: impl Into<Body>) -> Self {
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

    /// The same answer, compressed if the client takes that and it is worth it.
    pub(super) fn encoded_for(mut self, request: &HeaderMap) -> Self {
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

    /// Holds a place until the client has the answer.
    pub(super) fn holding(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// The answer as hyper sends it; `exchange` ends when the last byte is handed over.
    pub(super) fn into_hyper(self, exchange: Exchange) -> http::Response<Sending> {
        let sending = Sending::new(self.body, exchange, self.place);
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
