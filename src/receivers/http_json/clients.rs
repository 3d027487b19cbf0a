//! The HTTP clients of a receiver: one for clear text, one for TLS.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{ClientBuilder, Proxy, redirect::Policy};
use tokio_rustls::rustls::ClientConfig;

use super::{
    build::BuildError,
    client::{Budget, HttpClient, TargetClient},
    config::Config,
};
use crate::{
    client::{Tls, headers},
    settings::HttpUrl,
};

/// Makes the client of each target.
#[derive(Debug)]
pub(super) struct Clients {
    settings: Settings,
    budget: Arc<Budget>,
    clear: HttpClient,
    /// Made for the first target that needs it: a machine without certificates can still speak
    /// clear text.
    secure: Mutex<Option<HttpClient>>,
}

/// What all clients have in common.
#[derive(Debug)]
struct Settings {
    max_redirects: usize,
    proxy: Option<String>,
    tls: Tls,
}

impl Clients {
    /// For targets of so many endpoints, each of which is a connection.
    pub(super) fn new(config: &Config, endpoints: usize) -> Result<Self, BuildError> {
        let settings = Settings {
            max_redirects: config.max_redirects,
            proxy: config.proxy.clone(),
            tls: config.tls.clone(),
        };
        let budget = Arc::new(Budget::new(endpoints, config.max_idle_conns));
        let clear = HttpClient::new(|| settings.builder(None), &budget);
        let clear = clear.map_err(BuildError::Client)?;
        let clients = Self {
            settings,
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
    pub(super) fn for_target(&self, endpoint: &HttpUrl) -> Result<TargetClient, BuildError> {
        // A redirect may lead from one to the other.
        if !endpoint.is_https() && self.settings.max_redirects == 0 {
            return Ok(self.clear.for_target());
        }
        Ok(self.secure()?.for_target())
    }

    fn secure(&self) -> Result<HttpClient, BuildError> {
        let mut secure = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*secure {
            return Ok(client.clone());
        }
        let tls = self.settings.tls.client_config()?;
        let client = HttpClient::new(|| self.settings.builder(Some(&tls)), &self.budget);
        Ok(secure.insert(client.map_err(BuildError::Client)?).clone())
    }
}

impl Settings {
    /// Without `tls`, for clear text only.
    fn builder(&self, tls: Option<&ClientConfig>) -> reqwest::Result<ClientBuilder> {
        let builder = ClientBuilder::new()
            .user_agent(headers::USER_AGENT)
            .redirect(match self.max_redirects {
                0 => Policy::none(),
                redirects => Policy::limited(redirects),
            });
        let builder = match self.proxy.as_deref() {
            None => builder.no_proxy(),
            Some("environment") => builder,
            Some(proxy) => builder.no_proxy().proxy(Proxy::all(proxy)?),
        };
        Ok(match tls {
            Some(tls) => builder.tls_backend_preconfigured(tls.clone()),
            None => builder.tls_certs_only([]),
        })
    }
}
