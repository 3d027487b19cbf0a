//! The HTTP clients of a receiver: one for clear text, one for TLS.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use reqwest::{Certificate, ClientBuilder, Identity, Proxy, redirect::Policy};

use super::{
    build::BuildError,
    client::{HttpClient, TargetClient},
    config::{Config, TlsConfig},
};
use crate::settings::HttpUrl;

/// Makes the client of each target.
#[derive(Debug)]
pub(super) struct Clients {
    settings: Settings,
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
    ca: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
    insecure_skip_verify: bool,
}

impl Clients {
    pub(super) fn new(config: &Config) -> Result<Self, BuildError> {
        let settings = Settings::read(config)?;
        let clear = HttpClient::new(|| settings.builder(false)).map_err(BuildError::Client)?;
        Ok(Self {
            settings,
            clear,
            secure: Mutex::default(),
        })
    }

    /// A client for the target at `endpoint`.
    pub(super) fn for_target(&self, endpoint: &HttpUrl) -> Result<TargetClient, BuildError> {
        // A redirect may lead from one to the other.
        if !endpoint.is_https() && self.settings.max_redirects == 0 {
            return Ok(self.clear.for_target());
        }
        let mut secure = self.secure.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match &*secure {
            Some(client) => client,
            None => {
                let client = HttpClient::new(|| self.settings.builder(true));
                secure.insert(client.map_err(BuildError::Client)?)
            }
        };
        Ok(client.for_target())
    }
}

impl Settings {
    fn read(config: &Config) -> Result<Self, BuildError> {
        let TlsConfig {
            ca_file,
            cert_file,
            key_file,
            insecure_skip_verify,
        } = &config.tls;
        let identity = match (cert_file, key_file) {
            (Some(cert), Some(key)) => {
                let mut pem = read(cert)?;
                pem.push(b'\n');
                pem.extend(read(key)?);
                Some(pem)
            }
            _ => None,
        };
        Ok(Self {
            max_redirects: config.max_redirects,
            proxy: config.proxy.clone(),
            ca: ca_file.as_deref().map(read).transpose()?,
            identity,
            insecure_skip_verify: *insecure_skip_verify,
        })
    }

    fn builder(&self, is_secure: bool) -> reqwest::Result<ClientBuilder> {
        let mut builder = ClientBuilder::new()
            .user_agent(concat!("betanet-collector/", env!("CARGO_PKG_VERSION")))
            .redirect(match self.max_redirects {
                0 => Policy::none(),
                redirects => Policy::limited(redirects),
            });
        builder = match self.proxy.as_deref() {
            None => builder.no_proxy(),
            Some("environment") => builder,
            Some(proxy) => builder.no_proxy().proxy(Proxy::all(proxy)?),
        };
        if !is_secure {
            builder = builder.tls_certs_only([]);
        }
        if let Some(pem) = &self.ca {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
        }
        if let Some(pem) = &self.identity {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
        Ok(builder.tls_danger_accept_invalid_certs(self.insecure_skip_verify))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::Read {
        path: PathBuf::from(path),
        source,
    })
}
