//! Carries the requests of the `kube` crate over our own HTTP client.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use hyper::body::{Body as HttpBody, Frame};
use kube::client::Body;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tower_service::Service;

use super::connection::Connection;
use crate::client::auth::{AuthError, AuthRequest, OriginCredentials};

/// The longest wait for the answer to a list, and for the headers of a watch.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The largest page of a list, and the largest event of a watch. An object has 1.5 MiB at most.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const EVENT_BYTES_MAX: usize = 8 << 20;

/// A watch that ends at once is begun again no sooner.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Tells that the API server has answered.
#[derive(Debug, Default)]
pub(super) struct Answered {
    is_new: AtomicBool,
    pub(super) news: Arc<Notify>,
}

impl Answered {
    pub(super) fn new(news: &Arc<Notify>) -> Self {
        Self {
            is_new: AtomicBool::new(false),
            news: Arc::clone(news),
        }
    }

    /// Whether it has answered since the last call.
    pub(super) fn take(&self) -> bool {
        self.is_new.swap(false, Ordering::Relaxed)
    }

    fn set(&self) {
        self.is_new.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }
}

/// Carries the requests of one watch.
pub(super) struct Transport {
    connection: Connection,
    answered: Arc<Answered>,
    last_watch: Option<Instant>,
}

/// What is asked.
struct Sent {
    method: Method,
    path: Uri,
    is_watch: bool,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
enum TransportError {
    #[error("the credentials cannot be used")]
    Credentials(#[from] AuthError),
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    #[error("no answer within {ANSWER_MAX:?}")]
    Timeout,
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Transport {
    pub(super) fn new(connection: &Connection, answered: Arc<Answered>) -> Self {
        Self {
            connection: connection.clone(),
            answered,
            last_watch: None,
        }
    }

    /// When a watch may begin.
    fn next_watch(&mut self) -> Instant {
        let now = Instant::now();
        let at = self
            .last_watch
            .map_or(now, |last| now.max(last + WATCH_INTERVAL));
        self.last_watch = Some(at);
        at
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<BoundedBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let is_watch = form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "watch" && (value == "true" || value == "1"));
        let begin = is_watch.then(|| self.next_watch());
        let (connection, answered) = (self.connection.clone(), Arc::clone(&self.answered));
        // Nothing is sent with a request: it only reads.
        let sent = Sent {
            method: request.method().clone(),
            path: request.uri().clone(),
            is_watch,
        };
        async move {
            if let Some(begin) = begin {
                sleep_until(begin).await;
            }
            let answer = exchange(&connection, &sent).await?;
            if answer.status().is_success() {
                answered.set();
            }
            Ok(answer)
        }
        .boxed()
    }
}

/// Sends a request, and once more if the server wants other credentials: Kubernetes renews the token
/// of a Pod.
async fn exchange(
    connection: &Connection,
    sent: &Sent,
) -> Result<Response<BoundedBody>, TransportError> {
    let answer = match &connection.auth {
        None => send(connection, sent, None).await?,
        Some(auth) => {
            let used = auth.credentials(ANSWER_MAX).await?;
            let answer = send(connection, sent, Some(&used)).await?;
            match auth.answered(&used, &answer, ANSWER_MAX).await? {
                None => answer,
                Some(other) => {
                    let answer = send(connection, sent, Some(&other)).await?;
                    auth.repeated(&other, &answer);
                    answer
                }
            }
        }
    };
    let is_stream = sent.is_watch && answer.status().is_success();
    let answer = Response::<reqwest::Body>::from(answer);
    Ok(answer.map(|body| BoundedBody {
        body,
        is_stream,
        taken: 0,
    }))
}

async fn send(
    connection: &Connection,
    sent: &Sent,
    credentials: Option<&OriginCredentials>,
) -> Result<reqwest::Response, TransportError> {
    let mut url = connection.server.get().clone();
    let prefix = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{prefix}{}", sent.path.path()));
    url.set_query(sent.path.query());
    let mut headers = HeaderMap::from_iter([
        (header::ACCEPT, HeaderValue::from_static("application/json")),
        (
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        ),
    ]);
    if let Some(credentials) = credentials {
        credentials.apply(AuthRequest {
            method: &sent.method,
            url: &url,
            headers: &mut headers,
            body: b"",
        })?;
    }
    let request = connection.client.request(sent.method.clone(), url);
    let mut request = request.headers(headers);
    if !sent.is_watch {
        request = request.timeout(ANSWER_MAX);
    }
    let failed = |error: reqwest::Error| TransportError::Request(error.without_url());
    let answer = timeout(ANSWER_MAX, request.send()).await;
    answer.map_err(|_| TransportError::Timeout)?.map_err(failed)
}

/// An answer that ends with an error where it, or a line of it, is too large.
pub(super) struct BoundedBody {
    body: reqwest::Body,
    /// Whether the bound is one of each line.
    is_stream: bool,
    taken: usize,
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                let error = TransportError::Request(error.without_url());
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(data) = frame.data_ref() {
            let (before, limit) = match self.is_stream {
                true => (
                    data.iter().rposition(|byte| *byte == b'\n'),
                    EVENT_BYTES_MAX,
                ),
                false => (None, ANSWER_BYTES_MAX),
            };
            self.taken = match before {
                Some(end) => data.len() - end,
                None => self.taken + data.len(),
            };
            if self.taken > limit {
                return Poll::Ready(Some(Err(TransportError::TooLarge(limit).into())));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}
