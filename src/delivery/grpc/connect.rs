//! Connections for tonic, with the TLS that HTTP has: tonic's own can neither read its files again
//! nor accept any certificate.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};
use tower_service::Service;

use crate::client::{BoxError, Invalid, Tls};

type Connection = TokioIo<TlsStream<TcpStream>>;

/// Opens TLS connections to one host.
#[derive(Clone)]
pub(super) struct Connect {
    tcp: HttpConnector,
    tls: TlsConnector,
    name: ServerName<'static>,
}

impl Connect {
    /// For `host`, unless the settings say that it goes by another name.
    pub(super) fn new(tls: &Tls, host: &str) -> Result<Self, Invalid> {
        let mut config: ClientConfig = tls.client_config()?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = tls.server_name_override.as_deref().unwrap_or(host);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| Invalid::new("endpoint", error))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Self {
            tcp,
            tls: TlsConnector::from(Arc::new(config)),
            name,
        })
    }
}

impl Service<Uri> for Connect {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tcp = self.tcp.call(uri);
        let (tls, name) = (self.tls.clone(), self.name.clone());
        Box::pin(async move {
            let stream = tcp.await?.into_inner();
            Ok(TokioIo::new(tls.connect(name, stream).await?))
        })
    }
}
