//! Builds what polls a target.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;

use crate::{
    client::auth::{Authenticator, OriginAuth},
    definition::{Definition, Endpoint},
    pipeline::{DocumentMapping, Target},
    receivers::contract::ReceiverContext,
    receivers::http_json::{
        build_error::BuildError,
        config::TargetConfig,
        format::reader::Reader,
        http::transport::Transport,
        poll::{
            asked::{EndpointUrl, RequestValues},
            body_mapper::BodyMapper,
            endpoint::{EndpointAddress, EndpointPoller, ReceiverParts},
            origin::Origin,
            target_poller::TargetPoller,
        },
        spec::{ReceiverSpec, TransportFactory},
    },
    resilience::{
        per_instance::PerInstance,
        target_resilience::{TargetResilience, TargetSlot},
    },
    settings::TargetUrl,
};

/// The instances of a target, each with its client.
pub(crate) type InstanceTransports<'a> = PerInstance<(&'a TargetUrl, Arc<dyn Transport>)>;

/// What the pollers of one target have in common.
pub(crate) struct PollerParts<'a> {
    pub(crate) sites: InstanceTransports<'a>,
    pub(crate) member: Arc<TargetSlot>,
    pub(crate) shared: &'a Arc<ReceiverParts>,
    pub(crate) mapping: DocumentMapping,
    /// The time between two ticks.
    pub(crate) interval: Duration,
}

/// An earlier poller of the same target. A new one shares its clients where they were made in the
/// same way, and its place among all targets.
#[derive(Clone, Copy)]
pub(crate) struct EarlierPoller<'a> {
    pub(crate) poller: &'a TargetPoller,
    pub(crate) config: &'a TargetConfig,
    pub(crate) connect: &'a TransportFactory,
}

impl ReceiverSpec {
    /// Checks that a target can be polled.
    ///
    /// # Errors
    /// If a URL is not one, or the TLS of the first `https` target cannot be set up.
    pub(crate) fn check(&self, config: &TargetConfig) -> Result<(), BuildError> {
        self.check_urls(config)?;
        self.sites(config, None).map(drop)
    }

    pub(crate) fn check_urls(&self, config: &TargetConfig) -> Result<(), BuildError> {
        let endpoints = || self.definitions.iter().flat_map(|known| &known.endpoints);
        let mut urls = config
            .urls()
            .flat_map(|url| endpoints().map(move |endpoint| site_url(url, endpoint)));
        urls.try_for_each(|url| url.map(drop))
    }

    /// The poller of a target for the definition at a position. It opens no connection yet.
    ///
    /// # Errors
    /// As of [`Self::check`].
    pub(crate) fn poller_at(
        &self,
        position: usize,
        config: &TargetConfig,
        earlier: Option<EarlierPoller<'_>>,
    ) -> Result<TargetPoller, BuildError> {
        let definition = self.definitions.get(position);
        let definition = definition.ok_or(BuildError::NoEndpoint)?;
        let member = earlier.map(|earlier| earlier.poller.host.member());
        let parts = PollerParts {
            sites: self.sites(config, earlier)?,
            member: member.unwrap_or_else(|| self.fleet.join()),
            shared: &self.shared,
            mapping: self.context.mapping,
            interval: self.resilience.interval,
        };
        self.poller(config, definition, &parts)
    }

    fn sites<'a>(
        &self,
        config: &'a TargetConfig,
        earlier: Option<EarlierPoller<'_>>,
    ) -> Result<InstanceTransports<'a>, BuildError> {
        let instances = config.instances().ok_or(BuildError::NoEndpoint)?;
        instances.try_map(|url| {
            let kept = earlier.and_then(|earlier| self.kept_transport(url, earlier));
            let transport = kept.map_or_else(|| (self.connect)(url, None), Ok);
            Ok((*url, transport?))
        })
    }

    /// The client of an earlier poller for the instance at a URL, if it was made in the same way.
    fn kept_transport(
        &self,
        url: &TargetUrl,
        earlier: EarlierPoller<'_>,
    ) -> Option<Arc<dyn Transport>> {
        if !Arc::ptr_eq(&self.connect, earlier.connect) {
            return None;
        }
        let position = earlier.config.urls().position(|old| old == url)?;
        let endpoint = earlier.poller.endpoints.first()?;
        Some(Arc::clone(&endpoint.sites.at(position).transport))
    }

    /// The poller of a target that speaks `definition`.
    pub(crate) fn poller(
        &self,
        config: &TargetConfig,
        definition: &Arc<Definition>,
        parts: &PollerParts<'_>,
    ) -> Result<TargetPoller, BuildError> {
        let ReceiverContext { id, clock, .. } = &self.context;
        let instances = parts.sites.map(|(url, _)| *url);
        let target = Arc::new(config.resolve(id, &instances, definition));
        let labels = definition.endpoints.iter().map(Endpoint::labels);
        let (names, labels) = (config.replicas().collect(), labels.collect());
        let host = TargetResilience::of_several(&parts.member, &target.name, names, labels, clock);
        let host = Arc::new(host);
        let auth = match &config.auth {
            Some(auth) => auth.build(&self.context.authenticators)?,
            None => parts.shared.auth.clone(),
        };
        Ok(TargetPoller {
            endpoints: endpoints(&target, &host, auth.as_deref(), parts)?,
            target,
            host,
            since: clock.now(),
            clock: clock.clone(),
            board: Arc::clone(&self.context.board),
            telemetry: self.shared.telemetry.clone(),
            level: self.level,
        })
    }
}

impl TargetConfig {
    fn resolve(
        &self,
        receiver: &str,
        instances: &PerInstance<&TargetUrl>,
        definition: &Arc<Definition>,
    ) -> Target {
        let first = instances.at(0);
        Target {
            name: self.display_name(),
            receiver: receiver.to_owned(),
            url: match first.socket() {
                Some(_) => first.to_string(),
                None => base(first).to_owned(),
            },
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
fn base(url: &TargetUrl) -> &str {
    url.get().as_str().trim_end_matches('/')
}

/// Where an endpoint is at an instance.
fn site_url(of: &TargetUrl, endpoint: &Endpoint) -> Result<EndpointUrl, BuildError> {
    if !of.is_base() {
        // As it is shown: a value in a query may be a token.
        return Err(BuildError::NoBase {
            url: of.to_string(),
        });
    }
    let Some(fixed) = endpoint.request.fixed() else {
        return Ok(EndpointUrl::Below(base(of).into()));
    };
    let url = Url::parse(&format!("{}{}", base(of), fixed.path));
    url.map(EndpointUrl::Fixed).map_err(|_| BuildError::Url {
        url: format!("{}{}", base(of), endpoint.path),
    })
}

fn endpoints(
    target: &Arc<Target>,
    host: &Arc<TargetResilience>,
    auth: Option<&dyn Authenticator>,
    parts: &PollerParts<'_>,
) -> Result<Vec<EndpointPoller>, BuildError> {
    let endpoints = target
        .definition
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            let site = |(of, transport): &(&TargetUrl, Arc<dyn Transport>)| {
                Ok::<_, BuildError>(EndpointAddress {
                    url: site_url(of, endpoint)?,
                    auth: auth.map(|auth| OriginAuth::new(auth, *of)),
                    transport: Arc::clone(transport),
                })
            };
            Ok(EndpointPoller {
                sites: parts.sites.try_map(site)?,
                labels: endpoint.labels(),
                values: RequestValues {
                    request: Arc::clone(&endpoint.request),
                    target: Arc::clone(target),
                    parameters: Arc::clone(&parts.shared.parameters),
                },
                every: endpoint.every(parts.interval),
                pages: endpoint.pages.clone(),
                origin: endpoint.derivation.as_ref().map(Origin::new),
                mapper: BodyMapper {
                    reader: Reader::new(endpoint, parts.shared.body_limit_bytes),
                    definition: Arc::clone(&target.definition),
                    endpoint: index,
                    mapping: parts.mapping,
                },
                shared: Arc::clone(parts.shared),
                host: Arc::clone(host),
                index,
                made: Mutex::default(),
            })
        });
    endpoints.collect()
}
