//! Makes the pollers of a target, at any moment; what all targets share is made once.

use std::sync::Arc;

use reqwest::Url;

use super::definition_selection::DefinitionSelector;
use crate::{
    definition::{Definition, Endpoint},
    pipeline::{DocumentMapping, Target},
    receivers::http_json::{
        config::TargetConfig,
        context::{BuildError, Context},
        format::reader::Reader,
        http::{clients::Pinned, transport::Transport},
        poll::{
            body_mapper::BodyMapper,
            endpoint::{EndpointAddress, EndpointPoller, ReceiverParts},
            poller::TargetPoller,
        },
        telemetry::TargetRefusal,
    },
    resilience::{
        per_instance::PerInstance,
        target_resilience::{ReceiverResilience, ResilienceSettings, TargetResilience, TargetSlot},
    },
    settings::HttpUrl,
    telemetry::{chain, names::MetricsDetail},
};

/// Makes the client of the target at a URL; for a probe, one that knows its addresses only.
pub(crate) type TransportFactory =
    Arc<dyn Fn(&HttpUrl, Option<Pinned>) -> Result<Arc<dyn Transport>, BuildError> + Send + Sync>;

/// The instances of a target, each with its client.
pub(crate) type InstanceTransports<'a> = PerInstance<(&'a HttpUrl, Arc<dyn Transport>)>;

/// Makes the pollers of one target after the other.
pub struct PollerFactory {
    pub(crate) context: Context,
    /// What a target may speak, in the order in which it is tried.
    pub(crate) definitions: Vec<Arc<Definition>>,
    pub(crate) connect: TransportFactory,
    /// How much is said of the resilience of each target.
    pub(crate) detail: MetricsDetail,
    pub(crate) shared: Arc<ReceiverParts>,
    /// The same for probes: no credentials, and places of their own.
    pub(crate) shared_by_probes: Arc<ReceiverParts>,
    /// The targets that are polled: their retries are counted together.
    pub(crate) fleet: Arc<ReceiverResilience>,
    /// How they are treated.
    pub(crate) resilience: ResilienceSettings,
}

/// What the pollers of one target have in common.
pub(crate) struct PollerParts<'a> {
    pub(crate) sites: InstanceTransports<'a>,
    pub(crate) member: Arc<TargetSlot>,
    pub(crate) shared: &'a Arc<ReceiverParts>,
    pub(crate) mapping: DocumentMapping,
}

impl PollerFactory {
    /// What tells the definitions apart from others of the same names.
    pub fn digests(&self) -> impl Iterator<Item = u64> {
        self.definitions.iter().map(|definition| definition.digest)
    }

    /// The pollers of a target, of which the first is made. Opens no connection yet.
    ///
    /// # Errors
    /// If a URL is none, or the TLS of the first `https` target cannot be set up.
    pub(crate) fn target(
        self: &Arc<Self>,
        config: &Arc<TargetConfig>,
    ) -> Result<DefinitionSelector, BuildError> {
        self.candidates(config, None)
    }

    /// Whether a target can be polled.
    ///
    /// # Errors
    /// Those of [`Self::target`].
    pub(crate) fn check(&self, config: &TargetConfig) -> Result<(), BuildError> {
        self.check_urls(config)?;
        self.sites(config, None).map(drop)
    }

    fn check_urls(&self, config: &TargetConfig) -> Result<(), BuildError> {
        let endpoints = || self.definitions.iter().flat_map(|known| &known.endpoints);
        let mut urls = config
            .urls()
            .flat_map(|url| endpoints().map(move |endpoint| site_url(url, endpoint)));
        urls.try_for_each(|url| url.map(drop))
    }

    /// A target that was asked for cannot be polled.
    pub(crate) fn refuse_invalid(&self, config: &TargetConfig, error: &BuildError) {
        self.refuse(
            &config.display_name(),
            TargetRefusal::Invalid,
            &chain(error),
        );
    }

    pub(crate) fn refuse(&self, target: &str, refusal: TargetRefusal, reason: &str) {
        self.shared.telemetry.refused(refusal);
        let receiver = &self.context.id;
        tracing::warn!(receiver, target, reason, "a target is not polled");
    }

    /// The pollers of a target, of which the first is made. They take the place of those in
    /// `before` with the clients that they have in common, and in the same place among all targets.
    pub(crate) fn candidates(
        self: &Arc<Self>,
        config: &Arc<TargetConfig>,
        before: Option<&DefinitionSelector>,
    ) -> Result<DefinitionSelector, BuildError> {
        self.check_urls(config)?;
        let first = self.poller_at(0, config, before)?;
        let mut pollers: Vec<_> = self.definitions.iter().map(|_| None).collect();
        if let Some(free) = pollers.first_mut() {
            *free = Some(Box::new(first));
        }
        Ok(DefinitionSelector {
            pollers,
            factory: Arc::clone(self),
            config: Arc::clone(config),
            current: 0,
        })
    }

    /// The poller at a position, beside those that were made before.
    pub(crate) fn another(
        &self,
        beside: &DefinitionSelector,
        position: usize,
    ) -> Result<TargetPoller, BuildError> {
        self.poller_at(position, &beside.config, Some(beside))
    }

    fn poller_at(
        &self,
        position: usize,
        config: &TargetConfig,
        before: Option<&DefinitionSelector>,
    ) -> Result<TargetPoller, BuildError> {
        let definition = self.definitions.get(position);
        let definition = definition.ok_or(BuildError::NoEndpoint)?;
        let member = before.and_then(|before| Some(before.current()?.host.member()));
        let behind = PollerParts {
            sites: self.sites(config, before)?,
            member: member.unwrap_or_else(|| self.fleet.join()),
            shared: &self.shared,
            mapping: self.context.mapping,
        };
        self.poller(config, definition, &behind)
    }

    fn sites<'a>(
        &self,
        config: &'a TargetConfig,
        before: Option<&DefinitionSelector>,
    ) -> Result<InstanceTransports<'a>, BuildError> {
        let instances = config.instances().ok_or(BuildError::NoEndpoint)?;
        instances.try_map(|url| {
            let kept = before.and_then(|before| self.kept_transport(url, before));
            let transport = kept.map_or_else(|| (self.connect)(url, None), Ok);
            Ok((*url, transport?))
        })
    }

    /// The poller of a target that speaks `definition`.
    pub(crate) fn poller(
        &self,
        config: &TargetConfig,
        definition: &Arc<Definition>,
        behind: &PollerParts<'_>,
    ) -> Result<TargetPoller, BuildError> {
        let Context { id, clock, .. } = &self.context;
        let instances = behind.sites.map(|(url, _)| *url);
        let target = Arc::new(config.resolve(id, &instances, definition));
        let labels = definition.endpoints.iter().map(Endpoint::labels);
        let (names, labels) = (config.replicas().collect(), labels.collect());
        let host = TargetResilience::of_several(&behind.member, &target.name, names, labels, clock);
        let host = Arc::new(host);
        Ok(TargetPoller {
            endpoints: endpoints(&target, &host, behind)?,
            target,
            host,
            since: clock.now(),
            clock: clock.clone(),
            board: Arc::clone(&self.context.board),
            telemetry: self.shared.telemetry.clone(),
            detail: self.detail,
        })
    }
}

impl TargetConfig {
    fn resolve(
        &self,
        receiver: &str,
        instances: &PerInstance<&HttpUrl>,
        definition: &Arc<Definition>,
    ) -> Target {
        let first = instances.at(0);
        Target {
            name: self.display_name(),
            receiver: receiver.to_owned(),
            url: base(first).to_owned(),
            replicas: self.is_pool().then(|| instances.count()),
            server_address: first.host().to_owned(),
            server_port: first.port(),
            url_scheme: first.get().scheme().to_owned(),
            labels: self.labels.clone(),
            definition: Arc::clone(definition),
        }
    }
}

/// A URL to which paths are appended.
fn base(url: &HttpUrl) -> &str {
    url.get().as_str().trim_end_matches('/')
}

/// Where an endpoint is at an instance.
fn site_url(of: &HttpUrl, endpoint: &Endpoint) -> Result<Url, BuildError> {
    if !of.is_base() {
        // As it is shown: a value in a query may be a token.
        return Err(BuildError::NoBase {
            url: of.to_string(),
        });
    }
    let url = format!("{}{}", base(of), endpoint.request.expose());
    Url::parse(&url).map_err(|_| BuildError::Url {
        url: format!("{}{}", base(of), endpoint.path),
    })
}

fn endpoints(
    target: &Target,
    host: &Arc<TargetResilience>,
    behind: &PollerParts<'_>,
) -> Result<Vec<EndpointPoller>, BuildError> {
    let endpoints = target
        .definition
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            let site = |(of, transport): &(&HttpUrl, Arc<dyn Transport>)| {
                Ok::<_, BuildError>(EndpointAddress {
                    url: site_url(of, endpoint)?,
                    transport: Arc::clone(transport),
                })
            };
            Ok(EndpointPoller {
                sites: behind.sites.try_map(site)?,
                labels: endpoint.labels(),
                mapper: BodyMapper {
                    reader: Reader::new(endpoint, behind.shared.body_limit_bytes),
                    definition: Arc::clone(&target.definition),
                    endpoint: index,
                    mapping: behind.mapping,
                },
                shared: Arc::clone(behind.shared),
                host: Arc::clone(host),
                index,
            })
        });
    endpoints.collect()
}
