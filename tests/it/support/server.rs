//! A small HTTP server inside a test.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

use super::{PATIENCE, eventually, get};

/// A server on a free port, stopped on drop.
pub(crate) struct Server {
    address: SocketAddr,
    /// Each connection has a clone.
    connected: Arc<()>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request with the result of `handler`.
    pub(crate) async fn start<H>(handler: H) -> Self
    where
        H: Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connected, mut tasks) = (Arc::new(()), JoinSet::new());
        tasks.spawn(accept(
            listener,
            Arc::new(handler),
            Arc::downgrade(&connected),
        ));
        Self {
            address,
            connected,
            _tasks: tasks,
        }
    }

    /// Waits until all clients have disconnected, whatever they had requested.
    pub(crate) async fn left(&self) {
        // Earlier connections have been accepted when this one is answered.
        get(&self.url()).await.unwrap();
        eventually("nobody is connected", PATIENCE, async || {
            (Arc::strong_count(&self.connected) == 1).then_some(())
        })
        .await;
    }

    /// Its address: `127.0.0.1:12345`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept<H>(listener: TcpListener, handler: Arc<H>, connected: Weak<()>)
where
    H: Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (handler, connected) = (Arc::clone(&handler), connected.upgrade());
        let service = service_fn(move |request| answer(request, Arc::clone(&handler)));
        connections.spawn(async move {
            // A client may disconnect at any time. The test notices that by what it waits for.
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
            drop(connected);
        });
    }
}

async fn answer<H>(
    request: Request<Incoming>,
    handler: Arc<H>,
) -> Result<Response<Full<Bytes>>, Infallible>
where
    H: Fn(&Request<Bytes>) -> Response<Bytes>,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let request = Request::from_parts(head, body.unwrap_or_default());
    Ok(handler(&request).map(Full::new))
}
