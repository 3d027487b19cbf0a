//! The HTTP clients of a receiver: one for clear text, one for TLS.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    ClientBuilder, Proxy,
    dns::{Addrs, Name, Resolve, Resolving},
};
use tokio_rustls::rustls::ClientConfig;

use super::{
    client::{ConnectionBudget, HttpClient, TargetClient},
    connection::Connector,
};
use crate::{
    client::{ProxyChoice, Tls, client_builder, without_decoding},
    receivers::http_json::{build_error::BuildError, config::Config},
    runtime::open_files,
    settings::TargetUrl,
};

/// Makes the client of each target.
#[derive(Debug)]
pub(crate) struct ClientFactory {
    settings: ClientOptions,
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

/// What all clients have in common.
#[derive(Debug)]
struct ClientOptions {
    max_redirects: usize,
    proxy: Option<String>,
    tls: Tls,
    /// How long a kept connection waits for the next poll.
    idle: Duration,
}

impl ClientFactory {
    /// For targets of so many endpoints, each of which is a connection.
    pub(crate) fn new(config: &Config, endpoints: usize) -> Result<Self, BuildError> {
        let settings = ClientOptions {
            max_redirects: config.max_redirects,
            proxy: config.proxy.clone(),
            tls: config.tls.clone(),
            // The connections of a target that is gone should not stay much longer than it.
            idle: config.collection_interval.get() * 2,
        };
        let budget = Arc::new(ConnectionBudget::new(
            endpoints,
            max_kept(config.max_idle_conns),
        ));
        let clear = HttpClient::new(|| settings.builder(None), settings.idle, &budget);
        let clear = clear.map_err(BuildError::Client)?;
        let connector = config.proxy.is_none().then(Connector::new);
        let clear = clear.connecting_by(connector.clone());
        let clear = clear.following(settings.max_redirects);
        let clients = Self {
            settings,
            connector,
            budget,
            clear,
            secure: Mutex::default(),
        };
        if config.tls != Tls::default() {
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
        let nothing = Arc::new(ConnectionBudget::new(1, 0));
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

/// How many connections may be kept of `wanted`: the requests in flight, listeners and files need
/// room too.
fn max_kept(wanted: usize) -> usize {
    match open_files::limit() {
        Some(limit) => wanted.min(limit / 3),
        None => wanted,
    }
}

impl ClientOptions {
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
