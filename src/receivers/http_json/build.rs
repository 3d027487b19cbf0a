//! From what the configuration says to a receiver.

use std::sync::Arc;

use super::{
    HttpJsonReceiver,
    build_error::BuildError,
    config::Config,
    http::{
        clients::{ClientFactory, ClientSettings, TransportFactory},
        network,
    },
    poll::{body_mapper::BodyMappers, endpoint::ReceiverParts, grid::Timing, places::Places},
    spec::{PollSettings, ReceiverSpec},
    targets::discovery::{DiscoveredBy, NewDiscovery, TargetDiscovery},
    telemetry::ReceiverTelemetry,
};
use crate::{
    client::headers,
    definition::{self, Definition},
    discovery::{self, Discovery},
    pipeline::Allowance,
    receivers::contract::ReceiverContext,
    resilience::{
        self,
        outcome::Statuses,
        receiver_resilience::{ReceiverResilience, ResilienceSettings},
    },
    settings::Duration,
};

impl Config {
    /// Builds the receiver, and opens no connection yet. What it has in common with one that runs is
    /// that one's, also the discovery if it is `discovered_by` the same settings.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work. The one that runs notices nothing.
    pub(super) fn receiver(
        &self,
        discovered_by: Option<&DiscoveredBy>,
        context: &ReceiverContext,
    ) -> Result<HttpJsonReceiver, BuildError> {
        let definitions = self.definition.iter().map(|name| {
            let new = definition::load(name)?;
            let is_same = |known: &Definition| known.digest == new.digest;
            let definition = context
                .states
                .get_if(&new.name, is_same, || Arc::clone(&new));
            Ok::<_, BuildError>(definition)
        });
        self.assemble(
            definitions.collect::<Result<_, _>>()?,
            discovered_by,
            context,
        )
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
        running: Option<&DiscoveredBy>,
        context: &ReceiverContext,
    ) -> Result<HttpJsonReceiver, BuildError> {
        let settings = self.poll_settings(&definitions, context);
        let is_same = |spec: &ReceiverSpec| spec.settings == settings;
        let spec = context.states.try_get_if(&context.id, is_same, || {
            let spec = self.spec(settings.clone(), definitions, context)?;
            Ok::<_, BuildError>(Arc::new(spec))
        })?;
        let targets: Vec<_> = self.own_targets().cloned().map(Arc::new).collect();
        targets.iter().try_for_each(|target| spec.check(target))?;
        let discovered_by = DiscoveredBy::new(self, context);
        Ok(HttpJsonReceiver {
            discovery: match running == Some(&discovered_by) {
                true => TargetDiscovery::Unchanged,
                false => self.new_discovery(context)?,
            },
            discovered_by: Arc::new(discovered_by),
            timing: Timing {
                interval: self.collection_interval.get(),
                initial_delay: self.initial_delay.get(),
                targets: targets.len(),
                all_targets: targets.len(),
            },
            shard: self.shard,
            spec,
            targets,
        })
    }

    pub(super) fn poll_settings(
        &self,
        definitions: &[Arc<Definition>],
        context: &ReceiverContext,
    ) -> PollSettings {
        let used = self.auths().filter_map(|auth| auth.authenticator.as_ref());
        PollSettings {
            config: self.of_any_target(),
            digests: definitions.iter().map(|known| known.digest).collect(),
            authenticators: context.authenticators.used(used),
        }
    }

    fn spec(
        &self,
        settings: PollSettings,
        definitions: Vec<Arc<Definition>>,
        context: &ReceiverContext,
    ) -> Result<ReceiverSpec, BuildError> {
        let shared = Arc::new(self.shared(context)?);
        let fleet = context.states.get(&context.id, || {
            let fleet = ReceiverResilience::new(self.resilience());
            shared.telemetry.observe_budget(&context.meter, &fleet);
            fleet.observe(&context.meter, &context.id);
            fleet
        });
        Ok(ReceiverSpec {
            settings,
            context: context.clone(),
            level: self.target_metrics,
            clients: self.clients(&definitions, context)?,
            definitions,
            shared_by_probes: Arc::new(shared.for_probes(self.concurrency)),
            shared,
            fleet,
            resilience: self.resilience(),
        })
    }

    fn shared(&self, context: &ReceiverContext) -> Result<ReceiverParts, BuildError> {
        let ReceiverContext { id, states, .. } = context;
        let [memory, kept] = self.document_memory();
        let allowance = |of: &str, bytes| {
            let is_same = |known: &Allowance| known.bytes() == bytes;
            states.get_if(&format!("{id} {of}"), is_same, || Allowance::new(bytes))
        };
        let has_same_limit = |places: &Places| places.count() == self.concurrency;
        let places = || Arc::new(Places::new(self.concurrency));
        let telemetry = || Arc::new(ReceiverTelemetry::new(&context.meter, id));
        Ok(ReceiverParts {
            headers: headers::parse(&self.headers)?,
            parameters: Arc::new(self.parameters.clone()),
            auth: self.auth.build(&context.authenticators)?,
            body_limit_bytes: self.body_limit.get(),
            memory: allowance("documents", memory),
            kept: allowance("cache", kept),
            places: states.get_if(id, has_same_limit, places),
            clock: context.clock.clone(),
            telemetry: states.get(id, telemetry),
            mappers: BodyMappers::default(),
            keeps_text: context.keeps_text,
        })
    }

    fn clients(
        &self,
        definitions: &[Arc<Definition>],
        context: &ReceiverContext,
    ) -> Result<Arc<dyn TransportFactory>, BuildError> {
        if let Some(memory) = network::in_memory(&context.network) {
            return Ok(Arc::new(memory));
        }
        let endpoints = definitions.iter().map(|known| known.endpoints.len());
        let settings = ClientSettings::new(self, endpoints.max().unwrap_or_default());
        let is_same = |clients: &ClientFactory| clients.settings == settings;
        let clients = context.states.try_get_if(&context.id, is_same, || {
            let clients = ClientFactory::new(settings.clone())?;
            Ok::<_, BuildError>(Arc::new(clients))
        })?;
        Ok(clients)
    }

    fn new_discovery(&self, context: &ReceiverContext) -> Result<TargetDiscovery, BuildError> {
        let settings = self.discovery();
        let of_discovery = discovery::Context {
            receiver: &context.id,
            taken: self.names(),
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
    fn resilience(&self) -> ResilienceSettings {
        ResilienceSettings {
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
