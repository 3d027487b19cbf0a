//! How to speak with the API server.

use std::time::Duration;

use reqwest::Client;

use super::{
    config::KubernetesSdConfig,
    kubeconfig,
    place::{ConnectionError, Place, of_pod},
};
use crate::{
    client::{ProxyChoice, auth::OriginAuth, client_builder, without_decoding},
    discovery::credentials::Credentials,
    settings::HttpUrl,
};

/// A silent connection is found dead after some 30 s.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// What speaks with the API server.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) server: HttpUrl,
    pub(super) auth: Option<OriginAuth>,
}

impl Connection {
    pub(super) fn new(config: &KubernetesSdConfig) -> Result<Self, ConnectionError> {
        let place = Self::place(config)?;
        let tls = place.server.is_https().then(|| place.tls.client_config());
        let client = without_decoding(client_builder(tls.transpose()?, ProxyChoice::None))
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_RETRIES)
            .build()?;
        Ok(Self {
            client,
            auth: place.credentials.at(place.server.get()),
            server: place.server,
        })
    }

    fn place(config: &KubernetesSdConfig) -> Result<Place, ConnectionError> {
        if let Some(path) = &config.kubeconfig_file {
            return kubeconfig::place(path);
        }
        match &config.api_server {
            Some(server) => Ok(Place {
                server: server.clone(),
                credentials: Credentials::new(&config.basic_auth, &config.authorization),
                tls: config.tls_config.settings(),
            }),
            None => of_pod(&|name| std::env::var(name).ok()),
        }
    }
}
