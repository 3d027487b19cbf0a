//! Opens connections for tonic, with the same TLS and proxies as for HTTP. tonic's own connections
//! cannot read files again, cannot accept any certificate, and have no proxies.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::http::Uri;
use hyper_util::{
    client::legacy::connect::{HttpConnector, proxy::Tunnel},
    rt::TokioIo,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls};
use tower_service::Service;

use crate::client::{BoxError, ConfigError, Proxy, Tls};

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Connection = TokioIo<Box<dyn Stream>>;

/// Opens connections to one host.
#[derive(Clone)]
pub(super) struct Connect {
    tcp: HttpConnector,
    proxy: Option<Proxy>,
    /// The address to connect to, if it is not that of the URI.
    address: Option<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

#[derive(Debug, thiserror::Error)]
#[error("the proxy {proxy} does not connect to it")]
struct NotThrough {
    proxy: String,
    source: BoxError,
}

impl Connect {
    /// Opens plain-text connections, through a proxy if there is one.
    ///
    /// # Errors
    /// If the proxy cannot be used.
    pub(super) fn new(proxy: Option<Proxy>) -> Result<Self, ConfigError> {
        let is_secure = |proxy: &Proxy| proxy.uri.scheme_str() == Some("https");
        if proxy.as_ref().is_some_and(is_secure) {
            let message = "gRPC supports only http:// proxies";
            return Err(ConfigError::new("proxy_url", message));
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Self {
            tcp,
            proxy,
            address: None,
            tls: None,
        })
    }

    /// Opens TLS connections to `host`, unless the settings have another server name.
    ///
    /// # Errors
    /// If a value cannot be used. The error names its key.
    pub(super) fn encrypted(self, tls: &Tls, host: &str) -> Result<Self, ConfigError> {
        let mut config: ClientConfig = tls.client_config()?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = tls.server_name_override.as_deref().unwrap_or(host);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| ConfigError::new("endpoint", error))?;
        let tls = Some((TlsConnector::from(Arc::new(config)), name));
        Ok(Self { tls, ..self })
    }

    /// Opens connections to one of the addresses of the host.
    pub(super) fn to(self, address: SocketAddr) -> Self {
        let address = Some(address);
        Self { address, ..self }
    }

    /// Whether connections use a proxy, which looks names up itself.
    pub(super) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    async fn tcp(mut self, uri: Uri) -> Result<TcpStream, BoxError> {
        let uri = match self.address {
            Some(address) => format!("http://{address}").parse()?,
            None => uri,
        };
        let Some(proxy) = self.proxy else {
            return Ok(self.tcp.call(uri).await?.into_inner());
        };
        let address = proxy.address().to_owned();
        let tunnel = Tunnel::new(proxy.uri, self.tcp);
        let mut tunnel = match proxy.auth {
            Some(auth) => tunnel.with_auth(auth),
            None => tunnel,
        };
        let through = tunnel.call(uri).await.map_err(|source| NotThrough {
            proxy: address,
            source: source.into(),
        });
        Ok(through?.into_inner())
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
        let tls = self.tls.clone();
        let tcp = self.clone().tcp(uri);
        Box::pin(async move {
            let stream = tcp.await?;
            let stream: Box<dyn Stream> = match tls {
                Some((tls, name)) => Box::new(tls.connect(name, stream).await?),
                None => Box::new(stream),
            };
            Ok(TokioIo::new(stream))
        })
    }
}
