//! Makes the pollers of a target, at any moment; what all targets share is made once.

use std::sync::Arc;

use reqwest::Url;

use super::{
    build::{BuildError, Context},
    config::TargetConfig,
    dialect::Candidates,
    endpoint::{EndpointPoller, Shared, Site},
    poller::TargetPoller,
    transport::Transport,
};
use crate::{
    definition::Definition,
    pipeline::Target,
    resilience::{
        host::{Fleet, Host},
        per_instance::PerInstance,
    },
    settings::HttpUrl,
    telemetry::names::Detail,
};

/// Makes the client of the target at a URL.
pub(super) type Connect =
    Box<dyn Fn(&HttpUrl) -> Result<Arc<dyn Transport>, BuildError> + Send + Sync>;

/// Makes the pollers of one target after the other.
pub struct Factory {
    pub(super) context: Context,
    /// What a target may speak, in the order in which it is tried.
    pub(super) definitions: Vec<Arc<Definition>>,
    pub(super) connect: Connect,
    /// How much is said of the resilience of each target.
    pub(super) detail: Detail,
    pub(super) shared: Arc<Shared>,
    /// The targets that are polled: their retries are counted together.
    pub(super) fleet: Arc<Fleet>,
}

impl Factory {
    /// What tells the definitions apart from others of the same names.
    pub fn digests(&self) -> impl Iterator<Item = u64> {
        self.definitions.iter().map(|definition| definition.digest)
    }

    /// The pollers of a target, one a definition. Opens no connection yet.
    ///
    /// # Errors
    /// If a URL is none, or the TLS of the first `https` target cannot be set up.
    pub(super) fn target(&self, config: &TargetConfig) -> Result<Candidates, BuildError> {
        let mut urls = config.urls();
        let first = urls.next().ok_or(BuildError::NoEndpoint)?;
        let instances = PerInstance::new(first, urls.collect());
        let sites =
            instances.try_map(|url| (self.connect)(url).map(|transport| (*url, transport)))?;
        let member = self.fleet.join();
        let Context { id, clock, .. } = &self.context;
        let pollers = self.definitions.iter().map(|definition| {
            let target = Arc::new(config.resolve(id, &instances, definition));
            let paths = definition.endpoints.iter().map(|e| Arc::clone(&e.path));
            let host = Host::of_several(
                &member,
                &target.name,
                names(&instances),
                paths.collect(),
                clock,
            );
            let host = Arc::new(host);
            Ok(TargetPoller {
                endpoints: endpoints(&target, &host, &sites, &self.shared)?,
                target,
                host,
                clock: clock.clone(),
                board: Arc::clone(&self.context.board),
                telemetry: self.shared.telemetry.clone(),
                detail: self.detail,
            })
        });
        Ok(Candidates::new(pollers.collect::<Result<_, BuildError>>()?))
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
            instances: instances.count(),
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

/// What several instances are called; one needs no name.
fn names(instances: &PerInstance<&HttpUrl>) -> Vec<Arc<str>> {
    let names = instances.iter().map(|url| url.address().into());
    names.filter(|_| instances.are_several()).collect()
}

fn endpoints(
    target: &Target,
    host: &Arc<Host>,
    sites: &PerInstance<(&HttpUrl, Arc<dyn Transport>)>,
    shared: &Arc<Shared>,
) -> Result<Vec<EndpointPoller>, BuildError> {
    let endpoints = target
        .definition
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| {
            let site = |(of, transport): &(&HttpUrl, Arc<dyn Transport>)| {
                let url = format!("{}{}", base(of), endpoint.path);
                let parsed = Url::parse(&url).map_err(|_| BuildError::Url { url })?;
                Ok::<_, BuildError>(Site {
                    url: parsed,
                    transport: Arc::clone(transport),
                })
            };
            Ok(EndpointPoller {
                sites: sites.try_map(site)?,
                format: endpoint.format,
                shared: Arc::clone(shared),
                host: Arc::clone(host),
                index,
            })
        });
    endpoints.collect()
}
