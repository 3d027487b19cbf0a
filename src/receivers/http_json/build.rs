//! From what the configuration says to pollers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::metrics::Meter;
use reqwest::{Certificate, ClientBuilder, Identity, Proxy, Url, redirect::Policy};
use tokio::sync::Semaphore;

use super::{
    HttpJson,
    client::HttpClient,
    config::{Config, TargetConfig, TlsConfig},
    credentials::Credentials,
    dialect::Candidates,
    endpoint::{EndpointPoller, Shared},
    poller::{TargetPoller, Timing},
    telemetry::Telemetry,
    transport::Transport,
};
use crate::{
    definition::{self, Definition, LoadError},
    pipeline::{StatusBoard, Target},
    resilience::{
        self,
        host::{Fleet, Host},
        outcome::Statuses,
    },
    runtime::Clock,
    settings::Duration,
};

/// What a receiver is built with beside its configuration.
#[derive(Debug, Clone)]
pub struct Context {
    /// The receiver's id, for example `betanet/eu`.
    pub id: String,
    /// The time of day.
    pub clock: Clock,
    /// For what the receiver says of itself.
    pub meter: Meter,
    /// Where it notes the state of its targets.
    pub board: Arc<StatusBoard>,
}

/// Why a receiver cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of the TLS settings cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A definition is gone or broken since the configuration was checked.
    #[error(transparent)]
    Definition(#[from] LoadError),
    /// The settings of the HTTP client contradict each other or a file holds no PEM.
    #[error("failed to set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A header cannot be sent.
    #[error("the header `{name}` cannot be sent")]
    Header {
        /// Its name; its value may be a secret.
        name: String,
    },
    /// The URL of an endpoint is none.
    #[error("`{url}` is not a URL")]
    Url {
        /// Endpoint and path.
        url: String,
    },
}

impl Config {
    /// Builds the receiver. Opens no connection yet.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work.
    pub fn build(&self, context: &Context) -> Result<HttpJson, BuildError> {
        let definitions = self.definition.iter().map(|name| definition::load(name));
        let definitions = definitions.collect::<Result<Vec<_>, _>>()?;
        let tls = Pem::read(&self.tls)?;
        let client = HttpClient::new(|| self.client(&tls)).map_err(BuildError::Client)?;
        let telemetry = Telemetry::new(&context.meter, &context.id);
        let shared = Arc::new(Shared {
            headers: self.header_map()?,
            credentials: Credentials::new(self.auth.clone()),
            body_limit_bytes: self.body_limit.get(),
            limiter: Semaphore::new(self.concurrency),
            clock: context.clock.clone(),
            telemetry: telemetry.clone(),
        });
        let fleet = Fleet::new(self.resilience(), self.targets.len());
        telemetry.observe_budget(&context.meter, &fleet);
        let targets = self.targets.iter().enumerate().map(|(position, target)| {
            let transport = Arc::new(client.for_target());
            let pollers = definitions.iter().map(|definition| {
                let target = Arc::new(target.resolve(&context.id, definition));
                let paths = definition
                    .endpoints
                    .iter()
                    .map(|endpoint| endpoint.path.clone());
                let clock = &context.clock;
                let host = Host::new(&fleet, position, &target.name, paths.collect(), clock);
                let host = Arc::new(host);
                Ok(TargetPoller {
                    endpoints: endpoints(&target, &host, &transport, &shared)?,
                    target,
                    host,
                    clock: clock.clone(),
                    board: Arc::clone(&context.board),
                    telemetry: telemetry.clone(),
                })
            });
            Ok(Candidates::new(pollers.collect::<Result<_, BuildError>>()?))
        });
        let timing = Timing {
            interval: self.collection_interval.get(),
            initial_delay: self.initial_delay.get(),
            targets: self.targets.len(),
            leave_unknown: false,
        };
        Ok(HttpJson {
            targets: targets.collect::<Result<_, BuildError>>()?,
            timing,
        })
    }

    /// What the resilience layer makes of the configuration.
    fn resilience(&self) -> resilience::host::Settings {
        resilience::host::Settings {
            interval: self.collection_interval.get(),
            deadline: resilience::config::deadline(self.deadline, self.collection_interval),
            statuses: Statuses::new(&self.retry, &self.circuit_breaker),
            retry: self.retry.policy(),
            timeout: self.timeout,
            circuit_breaker: self.circuit_breaker.clone(),
            cache: self.cache.policy(),
            freshness_objective: self.freshness_objective.map(Duration::get),
        }
    }

    fn client(&self, tls: &Pem) -> reqwest::Result<ClientBuilder> {
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
        if self
            .targets
            .iter()
            .all(|target| !target.endpoint.is_https())
            && self.max_redirects == 0
        {
            // A machine without certificates can still speak clear text.
            builder = builder.tls_certs_only([]);
        }
        if let Some(pem) = &tls.ca {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
        }
        if let Some(pem) = &tls.identity {
            builder = builder.identity(Identity::from_pem(pem)?);
        }
        Ok(builder.tls_danger_accept_invalid_certs(self.tls.insecure_skip_verify))
    }

    fn header_map(&self) -> Result<HeaderMap, BuildError> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter() {
            let refused = || BuildError::Header {
                name: name.to_owned(),
            };
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| refused())?;
            value.set_sensitive(true);
            headers.append(header, value);
        }
        Ok(headers)
    }
}

impl TargetConfig {
    /// The name in labels: as configured, or `host:port`.
    pub fn display_name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("{}:{}", self.host(), self.port()))
    }

    fn host(&self) -> String {
        self.endpoint
            .get()
            .host_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn port(&self) -> u16 {
        self.endpoint
            .get()
            .port_or_known_default()
            .unwrap_or_default()
    }

    fn resolve(&self, receiver: &str, definition: &Arc<Definition>) -> Target {
        Target {
            name: self.display_name(),
            receiver: receiver.to_owned(),
            url: self
                .endpoint
                .get()
                .as_str()
                .trim_end_matches('/')
                .to_owned(),
            server_address: self.host(),
            server_port: self.port(),
            url_scheme: self.endpoint.get().scheme().to_owned(),
            labels: self.labels.clone(),
            definition: Arc::clone(definition),
        }
    }
}

fn endpoints<T: Transport + 'static>(
    target: &Target,
    host: &Arc<Host>,
    transport: &Arc<T>,
    shared: &Arc<Shared>,
) -> Result<Vec<EndpointPoller>, BuildError> {
    let endpoints = target
        .definition
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            let url = format!("{}{}", target.url, endpoint.path);
            Ok(EndpointPoller {
                url: Url::parse(&url).map_err(|_| BuildError::Url { url })?,
                format: endpoint.format,
                transport: Arc::clone(transport) as Arc<dyn Transport>,
                shared: Arc::clone(shared),
                host: Arc::clone(host),
                index,
            })
        });
    endpoints.collect()
}

/// The contents of the TLS files.
#[derive(Debug, Default)]
struct Pem {
    ca: Option<Vec<u8>>,
    identity: Option<Vec<u8>>,
}

impl Pem {
    fn read(tls: &TlsConfig) -> Result<Self, BuildError> {
        let ca = tls.ca_file.as_deref().map(read).transpose()?;
        let identity = match (&tls.cert_file, &tls.key_file) {
            (Some(cert), Some(key)) => {
                let mut pem = read(cert)?;
                pem.push(b'\n');
                pem.extend(read(key)?);
                Some(pem)
            }
            _ => None,
        };
        Ok(Self { ca, identity })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|source| BuildError::Read {
        path: path.to_owned(),
        source,
    })
}
