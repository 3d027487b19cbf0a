//! From what the configuration says to a receiver.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::metrics::Meter;
use tokio::sync::Semaphore;

use super::{
    HttpJson, TargetConfig, clients::Clients, config::Config, discover::Finder, endpoint::Shared,
    factory::Factory, poller::Timing, telemetry::Telemetry,
};
use crate::{
    client::{Invalid, headers},
    definition::{self, LoadError},
    discovery::{self, Discovery},
    http::{AuthConfig, Credentials},
    pipeline::{StatusBoard, TargetNames},
    resilience::{self, host::Fleet, outcome::Statuses},
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
    /// Where its targets get their names.
    pub names: Arc<TargetNames>,
}

/// Why a receiver cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// TLS or a header cannot be set up.
    #[error(transparent)]
    Settings(#[from] Invalid),
    /// A definition is gone or broken since the configuration was checked.
    #[error(transparent)]
    Definition(#[from] LoadError),
    /// The settings of the HTTP client contradict each other or a file holds no PEM.
    #[error("failed to set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A source of targets cannot work.
    #[error(transparent)]
    Discovery(#[from] discovery::BuildError),
    /// A target has no URL.
    #[error("a target has no endpoint")]
    NoEndpoint,
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
        let definitions: Vec<_> = definitions.collect::<Result<_, _>>()?;
        let endpoints = definitions.iter().map(|d| d.endpoints.len()).max();
        let telemetry = Telemetry::new(&context.meter, &context.id);
        let fleet = Fleet::new(self.resilience());
        telemetry.observe_budget(&context.meter, &fleet);
        let for_probes = self.shared(context, &telemetry, HeaderMap::new(), AuthConfig::default());
        let headers = headers::parse(&self.headers)?;
        let shared = self.shared(context, &telemetry, headers, self.auth.clone());
        let clients = Clients::new(self, endpoints.unwrap_or_default())?;
        let factory = Factory {
            context: context.clone(),
            definitions,
            detail: self.target_metrics,
            connect: Box::new(move |endpoint, pinned| {
                Ok(Arc::new(match pinned {
                    None => clients.for_target(endpoint)?,
                    Some(pinned) => clients.for_probe(endpoint, pinned)?,
                }))
            }),
            shared: Arc::new(shared),
            shared_by_probes: Arc::new(for_probes),
            fleet,
        };
        let targets = self.own_targets().map(|target| {
            let pollers = factory.target(target)?;
            Ok((target.clone(), pollers))
        });
        let targets = targets.collect::<Result<Vec<_>, BuildError>>()?;
        let timing = Timing {
            interval: self.collection_interval.get(),
            initial_delay: self.initial_delay.get(),
            targets: targets.len(),
            leave_unknown: false,
        };
        Ok(HttpJson {
            finder: self.finder(context)?,
            factory,
            targets,
            timing,
        })
    }

    fn shared(
        &self,
        context: &Context,
        telemetry: &Telemetry,
        headers: HeaderMap,
        auth: AuthConfig,
    ) -> Shared {
        Shared {
            headers,
            credentials: Credentials::new(auth),
            body_limit_bytes: self.body_limit.get(),
            limiter: Semaphore::new(self.concurrency),
            clock: context.clock.clone(),
            telemetry: telemetry.clone(),
        }
    }

    fn finder(&self, context: &Context) -> Result<Option<Finder>, BuildError> {
        let settings = self.discovery();
        let names = self.targets.iter().map(TargetConfig::display_name);
        let of_discovery = discovery::Context {
            receiver: &context.id,
            taken: names.collect(),
            clock: &context.clock,
            meter: &context.meter,
        };
        discovery::observe_shard(&settings, &of_discovery);
        if settings.is_empty() {
            return Ok(None);
        }
        let discovery = Discovery::new(&settings, of_discovery)?;
        Ok(Some(Finder::new(discovery, context)))
    }

    /// What the resilience layer makes of the configuration.
    fn resilience(&self) -> resilience::host::Settings {
        resilience::host::Settings {
            interval: self.collection_interval.get(),
            deadline: resilience::config::deadline(self.deadline, self.collection_interval),
            statuses: Statuses::new(&self.retry, &self.circuit_breaker),
            retry: self.retry.policy(),
            timeout: self.timeout,
            hedge: self.hedge.enabled,
            circuit_breaker: self.circuit_breaker.clone(),
            cache: self.cache.policy(),
            freshness_objective: self.freshness_objective.map(Duration::get),
        }
    }
}
