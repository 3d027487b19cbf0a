//! From what the configuration says to a receiver.

use std::sync::Arc;

use http::HeaderMap;
use tokio::sync::Semaphore;

use super::{
    HttpJsonReceiver, TargetConfig, TargetManager,
    config::Config,
    context::{BuildError, Context},
    http::clients::ClientFactory,
    poll::{endpoint::ReceiverParts, schedule::Timing},
    targets::{
        discovery::{NewDiscovery, TargetDiscovery},
        factory::{PollerFactory, TransportFactory},
    },
    telemetry::ReceiverTelemetry,
};
use crate::{
    client::headers,
    definition::{self, Definition},
    discovery::{self, Discovery},
    http::{AuthConfig, Credentials},
    pipeline::Allowance,
    resilience::{self, outcome::Statuses, target_resilience::ReceiverResilience},
    settings::Duration,
};

impl Config {
    /// Builds the receiver. Opens no connection yet.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work.
    pub fn build(&self, context: &Context) -> Result<HttpJsonReceiver, BuildError> {
        self.build_after(None, context)
    }

    /// The same, to take the place of the receiver that runs as another configuration says, with
    /// all that both have in common.
    ///
    /// # Errors
    /// As of [`Self::build`]; the one that runs notices nothing.
    pub fn build_after(
        &self,
        before: Option<(&Self, &TargetManager)>,
        context: &Context,
    ) -> Result<HttpJsonReceiver, BuildError> {
        let old = before.map(|(config, running)| (config, running.factory()));
        let old = old.as_ref().map(|(config, factory)| (*config, factory));
        let definitions = self.definitions(old)?;
        let kept = old.filter(|(config, factory)| {
            let known = factory.definitions.iter().map(Arc::as_ptr);
            config.treats_targets_like(self) && known.eq(definitions.iter().map(Arc::as_ptr))
        });
        let factory = match kept {
            Some((_, factory)) => Arc::clone(factory),
            None => Arc::new(self.factory(definitions, old, context)?),
        };
        let targets: Vec<_> = self.own_targets().cloned().map(Arc::new).collect();
        targets
            .iter()
            .try_for_each(|target| factory.check(target))?;
        let discovers_like = old.is_some_and(|(config, _)| config.discovers_like(self));
        Ok(HttpJsonReceiver {
            finding: match discovers_like {
                true => TargetDiscovery::Unchanged,
                false => self.finding(context)?,
            },
            timing: Timing {
                interval: self.collection_interval.get(),
                initial_delay: self.initial_delay.get(),
                targets: targets.len(),
            },
            shard: self.shard,
            factory,
            targets,
        })
    }

    /// One that did not change is the one that is known.
    fn definitions(
        &self,
        old: Option<(&Self, &Arc<PollerFactory>)>,
    ) -> Result<Vec<Arc<Definition>>, BuildError> {
        let known = old.map(|(_, factory)| factory.definitions.as_slice());
        let known = known.unwrap_or_default();
        let definitions = self.definition.iter().map(|name| {
            let new = definition::load(name)?;
            let mut known = known.iter();
            let same = known.find(|old| old.digest == new.digest && old.name == new.name);
            Ok(same.cloned().unwrap_or(new))
        });
        definitions.collect()
    }

    fn factory(
        &self,
        definitions: Vec<Arc<Definition>>,
        old: Option<(&Self, &Arc<PollerFactory>)>,
        context: &Context,
    ) -> Result<PollerFactory, BuildError> {
        let telemetry = match old {
            Some((_, factory)) => factory.shared.telemetry.clone(),
            None => ReceiverTelemetry::new(&context.meter, &context.id),
        };
        let fleet = match old {
            Some((_, factory)) => Arc::clone(&factory.fleet),
            None => {
                let fleet = ReceiverResilience::new(self.resilience());
                telemetry.observe_budget(&context.meter, &fleet);
                fleet
            }
        };
        let old_shared = old.filter(|(config, _)| config.concurrency == self.concurrency);
        let limiter = match old_shared {
            Some((_, factory)) => Arc::clone(&factory.shared.limiter),
            None => Arc::new(Semaphore::new(self.concurrency)),
        };
        let old_memory = old.filter(|(c, _)| c.document_memory() == self.document_memory());
        let [memory, kept] = match old_memory.map(|(_, factory)| &factory.shared) {
            Some(shared) => [&shared.memory, &shared.kept].map(Arc::clone),
            None => self.document_memory().map(Allowance::new),
        };
        let shared = |headers, auth, limiter| ReceiverParts {
            headers,
            credentials: Credentials::new(auth),
            body_limit_bytes: self.body_limit.get(),
            memory: Arc::clone(&memory),
            kept: Arc::clone(&kept),
            limiter,
            clock: context.clock.clone(),
            telemetry: telemetry.clone(),
            keeps_text: context.keeps_text,
        };
        let probing = Arc::new(Semaphore::new(self.concurrency));
        let for_probes = shared(HeaderMap::new(), AuthConfig::default(), probing);
        let headers = headers::parse(&self.headers)?;
        Ok(PollerFactory {
            context: context.clone(),
            detail: self.target_metrics,
            connect: match context.network.transport() {
                Some(memory) => Arc::new(move |_, _| Ok(Arc::clone(&memory))),
                None => self.connect(&definitions, old)?,
            },
            definitions,
            shared: Arc::new(shared(headers, self.auth.clone(), limiter)),
            shared_by_probes: Arc::new(for_probes),
            fleet,
            resilience: self.resilience(),
        })
    }

    fn connect(
        &self,
        definitions: &[Arc<Definition>],
        old: Option<(&Self, &Arc<PollerFactory>)>,
    ) -> Result<TransportFactory, BuildError> {
        let endpoints = |definitions: &[Arc<Definition>]| {
            let counts = definitions.iter().map(|known| known.endpoints.len());
            counts.max().unwrap_or_default()
        };
        let connections = endpoints(definitions);
        let kept = old.filter(|(config, factory)| {
            config.connects_like(self) && endpoints(&factory.definitions) == connections
        });
        if let Some((_, factory)) = kept {
            return Ok(Arc::clone(&factory.connect));
        }
        let clients = ClientFactory::new(self, connections)?;
        Ok(Arc::new(move |endpoint, pinned| {
            Ok(Arc::new(match pinned {
                None => clients.for_target(endpoint)?,
                Some(pinned) => clients.for_probe(endpoint, pinned)?,
            }))
        }))
    }

    fn finding(&self, context: &Context) -> Result<TargetDiscovery, BuildError> {
        let settings = self.discovery();
        let names = self.targets.iter().map(TargetConfig::display_name);
        let of_discovery = discovery::Context {
            receiver: &context.id,
            taken: names.collect(),
            clock: &context.clock,
            meter: &context.meter,
        };
        if settings.is_empty() {
            return Ok(TargetDiscovery::None);
        }
        let discovery = Discovery::new(&settings, of_discovery)?;
        Ok(TargetDiscovery::New(NewDiscovery::new(discovery, context)))
    }

    /// What the resilience layer makes of the configuration.
    fn resilience(&self) -> resilience::target_resilience::ResilienceSettings {
        resilience::target_resilience::ResilienceSettings {
            interval: self.collection_interval.get(),
            deadline: resilience::config::deadline(self.deadline, self.collection_interval),
            statuses: Statuses::new(&self.retry, &self.circuit_breaker),
            retry: self.retry.policy(),
            timeout: self.timeout,
            hedge: self.hedge.policy(),
            circuit_breaker: self.circuit_breaker.clone(),
            cache: self.cache.policy(),
            freshness_objective: self.freshness_objective.map(Duration::get),
        }
    }
}
