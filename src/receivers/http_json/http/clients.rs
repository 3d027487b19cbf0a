//! The HTTP clients of a receiver: one for clear text, one for TLS.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    ClientBuilder, Proxy,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio_rustls::rustls::ClientConfig;

use super::{
    client::{HttpClient, TargetClient},
    connection::Connector,
    connection_budget::{ConnectionBudget, ConnectionRoom},
    transport::Transport,
};
use crate::{
    client::{ProxyChoice, Tls, client_builder, without_decoding},
    receivers::http_json::{build_error::BuildError, config::Config},
    runtime::open_files,
    settings::TargetUrl,
};

/// The connections that all targets of the process may keep: half of the files that it may open.
/// Other requests, listeners and files need room too.
static OF_PROCESS: LazyLock<Arc<ConnectionRoom>> = LazyLock::new(|| {
    let max = open_files::limit().map_or(usize::MAX, |limit| limit / 2);
    Arc::new(ConnectionRoom::new(max))
});

/// Makes the client of each target.
#[derive(Debug)]
pub(crate) struct ClientFactory {
    pub(crate) settings: ClientSettings,
    /// Opens connections in clear text; none where requests go through a proxy.
    connector: Option<Connector>,
    budget: Arc<ConnectionBudget>,
    clear: HttpClient,
    /// Made for the first target that needs it: a machine without certificates can still speak
    /// clear text.
    secure: Mutex<Option<Secure>>,
}

#[derive(Debug, Clone)]
struct Secure {
    tls: ClientConfig,
    client: HttpClient,
}

/// The addresses of a target, known before: no name is resolved behind them.
#[derive(Debug, Clone)]
pub(crate) struct Pinned(pub(crate) Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(std::future::ready(match addresses.is_empty() {
            true => Err("the name has no address".into()),
            false => Ok(Box::new(addresses.into_iter()) as Addrs),
        }))
    }
}

/// What decides how targets are connected to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClientSettings {
    max_redirects: usize,
    proxy: Option<String>,
    tls: Tls,
    max_idle_conns: usize,
    /// How long a kept connection waits for the next poll.
    idle: Duration,
    /// How many endpoints a target has, each of which is a connection.
    endpoints: usize,
}

/// Makes the clients of targets.
pub(crate) trait TransportFactory: Send + Sync {
    /// The client of the target at `endpoint`; for a probe, one that connects to known addresses
    /// only.
    ///
    /// # Errors
    /// If its TLS cannot be set up.
    fn transport(
        &self,
        endpoint: &TargetUrl,
        pinned: Option<Pinned>,
    ) -> Result<Arc<dyn Transport>, BuildError>;
}

impl TransportFactory for ClientFactory {
    fn transport(
        &self,
        endpoint: &TargetUrl,
        pinned: Option<Pinned>,
    ) -> Result<Arc<dyn Transport>, BuildError> {
        Ok(Arc::new(match pinned {
            None => self.for_target(endpoint)?,
            Some(pinned) => self.for_probe(endpoint, pinned)?,
        }))
    }
}

/// One client for all.
impl TransportFactory for Arc<dyn Transport> {
    fn transport(
        &self,
        _endpoint: &TargetUrl,
        _pinned: Option<Pinned>,
    ) -> Result<Arc<dyn Transport>, BuildError> {
        Ok(Self::clone(self))
    }
}

impl ClientSettings {
    /// For targets of so many endpoints.
    pub(crate) fn new(config: &Config, endpoints: usize) -> Self {
        Self {
            max_redirects: config.max_redirects,
            proxy: config.proxy.clone(),
            tls: config.tls.clone(),
            max_idle_conns: config.max_idle_conns,
            // The connections of a target that is gone should not stay much longer than it.
            idle: config.collection_interval.get() * 2,
            endpoints,
        }
    }

    /// Without `tls`, for clear text only.
    fn builder(&self, tls: Option<&ClientConfig>) -> reqwest::Result<ClientBuilder> {
        let proxy = match self.proxy.as_deref() {
            None => ProxyChoice::None,
            Some("environment") => ProxyChoice::Environment,
            Some(proxy) => ProxyChoice::Through(Box::new(Proxy::all(proxy)?)),
        };
        // Redirects are followed by `redirect.rs`, bodies unpacked by `network.rs`.
        Ok(without_decoding(client_builder(tls.cloned(), proxy)))
    }
}

impl ClientFactory {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// If the proxy or what `tls` names cannot be used.
    pub(crate) fn new(settings: ClientSettings) -> Result<Self, BuildError> {
        let budget = Arc::new(ConnectionBudget::new(
            settings.endpoints,
            settings.max_idle_conns,
            &OF_PROCESS,
        ));
        let clear = HttpClient::new(|| settings.builder(None), settings.idle, &budget);
        let clear = clear.map_err(BuildError::Client)?;
        let connector = settings.proxy.is_none().then(Connector::new);
        let clear = clear.connecting_by(connector.clone());
        let clear = clear.following(settings.max_redirects);
        let needs_files = settings.tls != Tls::default();
        let clients = Self {
            settings,
            connector,
            budget,
            clear,
            secure: Mutex::default(),
        };
        if needs_files {
            clients.secure()?; // what it names should be there from the start
        }
        Ok(clients)
    }

    /// A client for the target at `endpoint`.
    pub(crate) fn for_target(&self, endpoint: &TargetUrl) -> Result<TargetClient, BuildError> {
        if let Some(socket) = endpoint.socket() {
            return Ok(self.clear.for_socket(socket));
        }
        let is_clear = !endpoint.is_https();
        // A redirect may lead from one to the other.
        if is_clear && self.settings.max_redirects == 0 {
            return Ok(self.clear.for_target(true));
        }
        Ok(self.secure()?.client.for_target(is_clear))
    }

    /// A client for one probe of `endpoint`: it connects to these addresses only, follows no
    /// redirect, asks no proxy and keeps no connection.
    pub(crate) fn for_probe(
        &self,
        endpoint: &TargetUrl,
        pinned: Pinned,
    ) -> Result<TargetClient, BuildError> {
        let secure = endpoint.is_https().then(|| self.secure()).transpose()?;
        let tls = secure.as_ref().map(|secure| &secure.tls);
        let resolver = Arc::new(pinned);
        let settings = || {
            let builder = self.settings.builder(tls)?;
            Ok(builder.no_proxy().dns_resolver(Arc::clone(&resolver)))
        };
        let nothing = Arc::new(ConnectionBudget::new(
            1,
            0,
            &Arc::new(ConnectionRoom::new(0)),
        ));
        let client =
            HttpClient::new(settings, Duration::ZERO, &nothing).map_err(BuildError::Client)?;
        Ok(client.for_target(false))
    }

    fn secure(&self) -> Result<Secure, BuildError> {
        let mut secure = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secure) = &*secure {
            return Ok(secure.clone());
        }
        let tls = self.settings.tls.client_config()?;
        let builder = || self.settings.builder(Some(&tls));
        let client = HttpClient::new(builder, self.settings.idle, &self.budget);
        let client = client.map_err(BuildError::Client)?;
        let client = client.connecting_by(self.connector.clone());
        let client = client.following(self.settings.max_redirects);
        Ok(secure.insert(Secure { tls, client }).clone())
    }
}
