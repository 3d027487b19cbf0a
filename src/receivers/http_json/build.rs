//! From what the configuration says to a receiver.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    HttpJsonReceiver, TargetConfig, TargetManager,
    build_error::BuildError,
    config::Config,
    http::{clients::ClientFactory, network},
    poll::{endpoint::ReceiverParts, places::Places, schedule::Timing},
    spec::{ReceiverSpec, TransportFactory},
    targets::discovery::{NewDiscovery, TargetDiscovery},
    telemetry::ReceiverTelemetry,
};
use crate::{
    client::headers,
    definition::{self, Definition},
    discovery::{self, Discovery},
    pipeline::Allowance,
    receivers::contract::ReceiverContext,
    resilience::{self, outcome::Statuses, receiver_resilience::ReceiverResilience},
    settings::Duration,
};

/// The receiver that runs, from which a new one takes what both have in common.
#[derive(Clone, Copy)]
struct Running<'r> {
    config: &'r Config,
    spec: &'r Arc<ReceiverSpec>,
}

impl Config {
    /// Builds the receiver, and opens no connection yet. If it takes the place of one that runs, it
    /// shares what both have in common.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work. The one that runs notices nothing.
    pub(super) fn receiver(
        &self,
        before: Option<&TargetManager>,
        context: &ReceiverContext,
    ) -> Result<HttpJsonReceiver, BuildError> {
        let before = before.map(|manager| (manager.config(), manager.spec()));
        let running = before
            .as_ref()
            .map(|(config, spec)| Running { config, spec });
        self.assemble(self.definitions(running)?, running, context)
    }

    /// Builds the receiver with this definition, and not with those that it names.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work.
    pub(super) fn receiver_as(
        &self,
        definition: &Arc<Definition>,
        context: &ReceiverContext,
    ) -> Result<HttpJsonReceiver, BuildError> {
        self.assemble(vec![Arc::clone(definition)], None, context)
    }

    fn assemble(
        &self,
        definitions: Vec<Arc<Definition>>,
        running: Option<Running<'_>>,
        context: &ReceiverContext,
    ) -> Result<HttpJsonReceiver, BuildError> {
        let kept = running.filter(|running| {
            let known = running.spec.definitions.iter().map(Arc::as_ptr);
            running.config.treats_targets_like(self)
                && context.authenticators.are_those_of(
                    &running.spec.context.authenticators,
                    self.auths().filter_map(|auth| auth.authenticator.as_ref()),
                )
                && known.eq(definitions.iter().map(Arc::as_ptr))
        });
        let spec = match kept {
            Some(running) => Arc::clone(running.spec),
            None => Arc::new(self.spec(definitions, running, context)?),
        };
        let targets: Vec<_> = self.own_targets().cloned().map(Arc::new).collect();
        targets.iter().try_for_each(|target| spec.check(target))?;
        let discovers_like = running.is_some_and(|running| {
            running.config.discovers_like(self)
                && context.authenticators.are_those_of(
                    &running.spec.context.authenticators,
                    self.discovery().uses().map(|used| used.id),
                )
        });
        Ok(HttpJsonReceiver {
            discovery: match discovers_like {
                true => TargetDiscovery::Unchanged,
                false => self.new_discovery(context)?,
            },
            timing: Timing {
                interval: self.collection_interval.get(),
                initial_delay: self.initial_delay.get(),
                targets: targets.len(),
            },
            shard: self.shard,
            config: Arc::new(self.clone()),
            spec,
            targets,
        })
    }

    /// The definitions. One that did not change is the one of the receiver that runs.
    fn definitions(
        &self,
        running: Option<Running<'_>>,
    ) -> Result<Vec<Arc<Definition>>, BuildError> {
        let known = running.map(|running| running.spec.definitions.as_slice());
        let known = known.unwrap_or_default();
        let definitions = self.definition.iter().map(|name| {
            let new = definition::load(name)?;
            let mut known = known.iter();
            let same = known.find(|old| old.digest == new.digest && old.name == new.name);
            Ok(same.cloned().unwrap_or(new))
        });
        definitions.collect()
    }

    fn spec(
        &self,
        definitions: Vec<Arc<Definition>>,
        running: Option<Running<'_>>,
        context: &ReceiverContext,
    ) -> Result<ReceiverSpec, BuildError> {
        let telemetry = match running {
            Some(running) => running.spec.shared.telemetry.clone(),
            None => ReceiverTelemetry::new(&context.meter, &context.id),
        };
        let fleet = match running {
            Some(running) => Arc::clone(&running.spec.fleet),
            None => {
                let fleet = ReceiverResilience::new(self.resilience());
                telemetry.observe_budget(&context.meter, &fleet);
                fleet.observe(&context.meter, &context.id);
                fleet
            }
        };
        let same_limit = running.filter(|running| running.config.concurrency == self.concurrency);
        let places = match same_limit {
            Some(running) => Arc::clone(&running.spec.shared.places),
            None => Arc::new(Places::new(self.concurrency)),
        };
        let same_memory =
            running.filter(|running| running.config.document_memory() == self.document_memory());
        let [memory, kept] = match same_memory.map(|running| &running.spec.shared) {
            Some(shared) => [&shared.memory, &shared.kept].map(Arc::clone),
            None => self.document_memory().map(Allowance::new),
        };
        let same_auth = running.filter(|running| {
            // That of an extension is the same as long as the extension is.
            running.config.auth == self.auth && self.auth.authenticator.is_none()
        });
        let auth = match same_auth {
            Some(running) => running.spec.shared.auth.clone(),
            None => self.auth.build(&context.authenticators)?,
        };
        let parameters = Arc::new(self.parameters.clone());
        let shared = |headers, auth, places| ReceiverParts {
            headers,
            parameters: Arc::clone(&parameters),
            auth,
            body_limit_bytes: self.body_limit.get(),
            memory: Arc::clone(&memory),
            kept: Arc::clone(&kept),
            places,
            clock: context.clock.clone(),
            telemetry: telemetry.clone(),
            keeps_text: context.keeps_text,
        };
        let probing = Arc::new(Places::new(self.concurrency));
        let for_probes = shared(HeaderMap::new(), None, probing);
        let headers = headers::parse(&self.headers)?;
        Ok(ReceiverSpec {
            context: context.clone(),
            level: self.target_metrics,
            connect: match network::in_memory(&context.network) {
                Some(memory) => Arc::new(move |_, _| Ok(Arc::clone(&memory))),
                None => self.connect(&definitions, running)?,
            },
            definitions,
            shared: Arc::new(shared(headers, auth, places)),
            shared_by_probes: Arc::new(for_probes),
            fleet,
            resilience: self.resilience(),
        })
    }

    fn connect(
        &self,
        definitions: &[Arc<Definition>],
        running: Option<Running<'_>>,
    ) -> Result<TransportFactory, BuildError> {
        let endpoints = |definitions: &[Arc<Definition>]| {
            let counts = definitions.iter().map(|known| known.endpoints.len());
            counts.max().unwrap_or_default()
        };
        let connections = endpoints(definitions);
        let kept = running.filter(|running| {
            running.config.connects_like(self)
                && endpoints(&running.spec.definitions) == connections
        });
        if let Some(running) = kept {
            return Ok(Arc::clone(&running.spec.connect));
        }
        let clients = ClientFactory::new(self, connections)?;
        Ok(Arc::new(move |endpoint, pinned| {
            Ok(Arc::new(match pinned {
                None => clients.for_target(endpoint)?,
                Some(pinned) => clients.for_probe(endpoint, pinned)?,
            }))
        }))
    }

    fn new_discovery(&self, context: &ReceiverContext) -> Result<TargetDiscovery, BuildError> {
        let settings = self.discovery();
        let names = self.targets.iter().map(TargetConfig::display_name);
        let of_discovery = discovery::Context {
            receiver: &context.id,
            taken: names.collect(),
            authenticators: &context.authenticators,
            clock: &context.clock,
            meter: &context.meter,
        };
        if settings.is_empty() {
            return Ok(TargetDiscovery::None);
        }
        let discovery = Discovery::new(&settings, of_discovery)?;
        Ok(TargetDiscovery::New(NewDiscovery::new(discovery, context)))
    }

    /// The settings of the resilience layer.
    fn resilience(&self) -> resilience::receiver_resilience::ResilienceSettings {
        resilience::receiver_resilience::ResilienceSettings {
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
}
