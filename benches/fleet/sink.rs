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
use hyper::{Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
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
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::task::spawn_local(serving);
            }
        });
        Ok((sink, address))
    }

    /// The data points that have arrived.
    pub(crate) fn points(&self) -> u64 {
        self.points.load(Ordering::Relaxed)
    }

    async fn receive(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let gzip = request.headers().get(header::CONTENT_ENCODING).is_some();
        let points = match request.into_body().collect().await {
            Ok(body) => count(&body.to_bytes(), gzip).ok(),
            Err(_) => None,
        };
        self.points
            .fetch_add(points.unwrap_or_default(), Ordering::Relaxed);
        let mut response = Response::new(Full::default());
        if points.is_none() {
            *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
        }
        response
    }
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
