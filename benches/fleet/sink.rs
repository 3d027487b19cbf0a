//! The destination of the collector: counts what arrives.

use std::{
    convert::Infallible,
    io::Read as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response, body::Incoming, header, http::HeaderValue, service::service_fn,
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{Metric, metric::Data},
};
use prost::Message as _;
use tokio::net::TcpListener;

use crate::Error;

/// An OTLP receiver.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    points: AtomicU64,
    bytes: AtomicU64,
}

/// Runs the tasks of a connection on this thread.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for ThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl Sink {
    /// Starts to receive. Returns its address.
    pub(crate) async fn start() -> Result<(Arc<Self>, SocketAddr), Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sink = Arc::<Self>::default();
        let receiving = Arc::clone(&sink);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = Arc::clone(&receiving);
                let answer = service_fn(move |request| {
                    let sink = Arc::clone(&sink);
                    async move { Ok::<_, Infallible>(sink.receive(request).await) }
                });
                tokio::task::spawn_local(async move {
                    let server = auto::Builder::new(ThisThread);
                    // A client that disconnects is not an error.
                    drop(server.serve_connection(TokioIo::new(stream), answer).await);
                });
            }
        });
        Ok((sink, address))
    }

    /// The data points that have arrived.
    pub(crate) fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    /// The bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    async fn receive(&self, request: Request<Incoming>) -> Response<WithTrailers> {
        let has = |name, value: &str| {
            let found = request.headers().get(name).map(HeaderValue::as_bytes);
            found.is_some_and(|found| found.starts_with(value.as_bytes()))
        };
        let is_grpc = has(header::CONTENT_TYPE, "application/grpc");
        let is_gzip = has(header::CONTENT_ENCODING, "gzip");
        let body = request.into_body().collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        let points = match is_grpc {
            // One message: whether it is compressed, and its length in four bytes.
            true => count(body.get(5..).unwrap_or_default(), body.first() == Some(&1)),
            false => count(&body, is_gzip),
        };
        let received = points.as_ref().copied().unwrap_or_default();
        self.points.fetch_add(received, Ordering::Relaxed);
        let (answer, trailers) = match is_grpc {
            true => (Bytes::from_static(&[0; 5]), Some(status())),
            false => (Bytes::new(), None),
        };
        let trailers = std::future::ready(trailers.map(Ok));
        let mut response = Response::new(Full::new(answer).with_trailers(trailers));
        if is_grpc {
            let kind = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        if points.is_err() {
            *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
        }
        response
    }
}

type WithTrailers = http_body_util::combinators::WithTrailers<
    Full<Bytes>,
    std::future::Ready<Option<Result<HeaderMap, Infallible>>>,
>;

/// Success, as gRPC says it.
fn status() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

/// The data points of a message.
fn count(body: &[u8], gzip: bool) -> Result<u64, Error> {
    let mut plain = Vec::new();
    if gzip {
        flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain)?;
    }
    let message = ExportMetricsServiceRequest::decode(if gzip { &plain } else { body })?;
    let resources = message.resource_metrics.iter();
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics);
    Ok(metrics.map(|metric| points(metric) as u64).sum())
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    }
}
