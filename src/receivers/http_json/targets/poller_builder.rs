//! Builds what polls a target.

use std::sync::{Arc, Mutex};

use reqwest::Url;

use crate::{
    client::auth::{Authenticator, OriginAuth},
    definition::{Definition, Endpoint},
    pipeline::Target,
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
        spec::{ReceiverSpec, TargetSpec},
    },
    resilience::{
        per_instance::PerInstance, receiver_resilience::TargetSlot, target_keys::TargetKeys,
        target_resilience::TargetResilience,
    },
    settings::TargetUrl,
};

/// What the pollers of one target have in common, one for each definition.
pub(crate) struct TargetParts {
    /// The client of each instance.
    pub(crate) transports: PerInstance<Arc<dyn Transport>>,
    /// The place among all targets of the receiver.
    pub(crate) slot: Arc<TargetSlot>,
    pub(crate) auth: Option<Arc<dyn Authenticator>>,
    pub(crate) shared: Arc<ReceiverParts>,
}

impl ReceiverSpec {
    /// Checks that a target can be polled.
    ///
    /// # Errors
    /// If a URL is not one, or the TLS of the first `https` target cannot be set up.
    pub(crate) fn check(&self, config: &TargetConfig) -> Result<(), BuildError> {
        self.check_urls(config)?;
        self.transports(config, None).map(drop)
    }

    pub(crate) fn check_urls(&self, config: &TargetConfig) -> Result<(), BuildError> {
        let endpoints = || self.definitions.iter().flat_map(|known| &known.endpoints);
        let mut urls = config
            .urls()
            .flat_map(|url| endpoints().map(move |endpoint| site_url(url, endpoint)));
        urls.try_for_each(|url| url.map(drop))
    }

    /// What the pollers of a target have in common. It opens no connection yet. Clients that were
    /// made in the same way, and the place among all targets, are those of an `earlier` spec.
    ///
    /// # Errors
    /// As of [`Self::check`].
    pub(crate) fn parts(
        &self,
        config: &TargetConfig,
        earlier: Option<(&TargetSpec, &TargetParts)>,
    ) -> Result<TargetParts, BuildError> {
        Ok(TargetParts {
            transports: self.transports(config, earlier)?,
            slot: match earlier {
                Some((_, parts)) => Arc::clone(&parts.slot),
                None => self.fleet.join(),
            },
            auth: match &config.auth {
                Some(auth) => auth.build(&self.context.authenticators)?,
                None => self.shared.auth.clone(),
            },
            shared: Arc::clone(&self.shared),
        })
    }

    fn transports(
        &self,
        config: &TargetConfig,
        earlier: Option<(&TargetSpec, &TargetParts)>,
    ) -> Result<PerInstance<Arc<dyn Transport>>, BuildError> {
        let kept = earlier.filter(|(spec, _)| Arc::ptr_eq(&self.clients, &spec.receiver.clients));
        let kept = |url: &TargetUrl| {
            let (spec, parts) = kept?;
            let position = spec.config.urls().position(|old| old == url)?;
            Some(Arc::clone(parts.transports.at(position)))
        };
        let instances = config.instances().ok_or(BuildError::NoEndpoint)?;
        instances.try_map(|url| kept(url).map_or_else(|| self.clients.transport(url, None), Ok))
    }

    /// The poller of a target that speaks `definition`. It is in force after
    /// [`TargetResilience::arrange`] if there is an `earlier` one, whose state it goes on with.
    ///
    /// # Errors
    /// As of [`Self::check`].
    pub(crate) fn poller(
        &self,
        config: &TargetConfig,
        definition: &Arc<Definition>,
        parts: &TargetParts,
        earlier: Option<&TargetPoller>,
    ) -> Result<TargetPoller, BuildError> {
        let ReceiverContext { id, clock, .. } = &self.context;
        let instances = config.instances().ok_or(BuildError::NoEndpoint)?;
        let target = config.resolve(id, &instances, definition);
        let target = match earlier {
            Some(earlier) if *earlier.target == target => Arc::clone(&earlier.target),
            _ => Arc::new(target),
        };
        let keys = config.keys(definition);
        let host = Arc::new(match earlier {
            Some(earlier) => earlier.host.renewed(&target.name, keys),
            None => TargetResilience::new(&parts.slot, &target.name, keys, clock),
        });
        Ok(TargetPoller {
            endpoints: self.endpoints(&target, &host, &instances, parts)?,
            target,
            host,
            clock: clock.clone(),
            board: Arc::clone(&self.context.board),
            telemetry: Arc::clone(&self.shared.telemetry),
            level: self.level,
        })
    }

    fn endpoints(
        &self,
        target: &Arc<Target>,
        host: &Arc<TargetResilience>,
        instances: &PerInstance<&TargetUrl>,
        parts: &TargetParts,
    ) -> Result<Box<[EndpointPoller]>, BuildError> {
        let endpoints = target.definition.endpoints.iter().enumerate();
        let endpoints = endpoints.map(|(index, endpoint)| {
            let labels = endpoint.labels();
            let telemetry = &parts.shared.telemetry;
            Ok(EndpointPoller {
                sites: sites(instances, endpoint, parts)?,
                telemetry: telemetry.endpoint(endpoint.request.method, &labels),
                labels,
                values: RequestValues {
                    request: Arc::clone(&endpoint.request),
                    target: Arc::clone(target),
                    parameters: Arc::clone(&parts.shared.parameters),
                },
                every: endpoint.every(self.resilience.interval),
                pages: endpoint.pages.clone(),
                origin: endpoint
                    .derivation
                    .as_ref()
                    .map(|of| Box::new(Origin::new(of))),
                mapper: self.mapper(&target.definition, (index, endpoint), parts),
                shared: Arc::clone(&parts.shared),
                host: Arc::clone(host),
                index,
                made: Mutex::default(),
            })
        });
        endpoints.collect()
    }

    /// What reads and maps the bodies of an endpoint. All targets share it.
    fn mapper(
        &self,
        definition: &Arc<Definition>,
        (index, endpoint): (usize, &Endpoint),
        parts: &TargetParts,
    ) -> Arc<BodyMapper> {
        let shared = &parts.shared;
        shared.mappers.of(definition, index, || BodyMapper {
            reader: Arc::new(Reader::new(endpoint, shared.body_limit_bytes)),
            definition: Arc::clone(definition),
            endpoint: index,
            mapping: self.context.mapping,
        })
    }
}

impl TargetConfig {
    fn keys(&self, definition: &Arc<Definition>) -> Arc<TargetKeys> {
        let (urls, names) = (self.urls().cloned(), self.replicas());
        TargetKeys::new(definition, urls.collect(), names.collect())
    }

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
            labels: Arc::clone(&self.labels),
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

/// An endpoint at each instance.
fn sites(
    instances: &PerInstance<&TargetUrl>,
    endpoint: &Endpoint,
    parts: &TargetParts,
) -> Result<PerInstance<EndpointAddress>, BuildError> {
    let auth = parts.auth.as_deref();
    instances.zip(&parts.transports).try_map(|(of, transport)| {
        Ok(EndpointAddress {
            url: site_url(of, endpoint)?,
            auth: auth.map(|auth| OriginAuth::new(auth, **of)),
            transport: Arc::clone(transport),
        })
    })
}
