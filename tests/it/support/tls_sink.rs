//! Accepts all OTLP over TLS, with HTTP and gRPC, and returns `{}` to clients that ask for JSON.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    metrics_service_server::{MetricsService, MetricsServiceServer},
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::certificates::{Authority, Identity};

/// The transport of OTLP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// The certificate that the server has, and the one that it requires.
#[derive(Clone)]
pub(crate) struct Shows {
    pub(crate) identity: Identity,
    /// The authority that must have signed the client's certificate.
    pub(crate) client_ca: Option<String>,
    pub(crate) newest: &'static SupportedProtocolVersion,
}

/// A server on a free port, stopped on drop.
pub(crate) struct TlsSink {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    _tasks: JoinSet<()>,
}

impl Shows {
    /// A certificate, for all clients.
    pub(crate) fn identity(identity: Identity) -> Self {
        Self {
            identity,
            client_ca: None,
            newest: &TLS13,
        }
    }

    /// Accepts only clients that `authority` knows.
    pub(crate) fn asks_for(self, authority: &Authority) -> Self {
        Self {
            client_ca: Some(authority.pem().to_owned()),
            ..self
        }
    }

    /// The TLS configuration of a server.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[_] = match self.newest == &TLS12 {
            true => &[&TLS12],
            false => &[&TLS13, &TLS12],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                    .unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = CertificateDer::from_pem_slice(self.identity.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(vec![chain], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl TlsSink {
    /// Starts it.
    pub(crate) async fn start(protocol: Protocol, shows: &Shows) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(shows.config()));
        let accepted = handshakes(listener, Arc::clone(&config));
        let mut tasks = JoinSet::new();
        match protocol {
            Protocol::Http => tasks.spawn(serve_http(accepted)),
            Protocol::Grpc => tasks.spawn(serve_grpc(accepted)),
        };
        Self {
            address,
            config,
            _tasks: tasks,
        }
    }

    /// Changes the certificate for new connections.
    pub(crate) fn show(&self, shows: &Shows) {
        *self.config.lock().unwrap() = shows.config();
    }

    /// `https://localhost:12345`
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

type Accepted = Pin<Box<dyn Stream<Item = Result<TlsStream<TcpStream>, Infallible>> + Send>>;

/// The connections with a successful handshake.
fn handshakes(listener: TcpListener, config: Arc<Mutex<Arc<ServerConfig>>>) -> Accepted {
    Box::pin(stream::unfold(listener, move |listener| {
        let config = Arc::clone(&config);
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(Arc::clone(&config.lock().unwrap()));
                if let Ok(stream) = acceptor.accept(stream).await {
                    return Some((Ok(stream), listener));
                }
            }
        }
    }))
}

/// One request per connection, so that each needs a handshake.
async fn serve_http(mut accepted: Accepted) {
    use futures_util::StreamExt as _;
    while let Some(Ok(stream)) = accepted.next().await {
        let service = service_fn(async |request: Request<Incoming>| {
            request.into_body().collect().await.ok();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
        });
        http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await
            .ok();
    }
}

async fn serve_grpc(accepted: Accepted) {
    let service = MetricsServiceServer::new(Yes);
    let server = tonic::transport::Server::builder().add_service(service);
    server.serve_with_incoming(accepted).await.unwrap();
}

struct Yes;

#[tonic::async_trait]
impl MetricsService for Yes {
    async fn export(
        &self,
        _: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}
