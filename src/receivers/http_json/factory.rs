//! Makes the pollers of a target, at any moment; what all targets share is made once.

use std::sync::Arc;

use reqwest::Url;

use super::{
    build::{BuildError, Context},
    config::TargetConfig,
    dialect::Candidates,
    endpoint::{EndpointPoller, Shared},
    poller::TargetPoller,
    transport::Transport,
};
use crate::{
    definition::Definition,
    pipeline::Target,
    resilience::host::{Fleet, Host},
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
        let transport = (self.connect)(&config.endpoint)?;
        let member = self.fleet.join();
        let Context { id, clock, .. } = &self.context;
        let pollers = self.definitions.iter().map(|definition| {
            let target = Arc::new(config.resolve(id, definition));
            let paths = definition.endpoints.iter().map(|e| Arc::clone(&e.path));
            let host = Arc::new(Host::new(&member, &target.name, paths.collect(), clock));
            Ok(TargetPoller {
                endpoints: endpoints(&target, &host, &transport, &self.shared)?,
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
    /// The name in labels: as configured, or `host:port`.
    pub fn display_name(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("{}:{}", self.endpoint.host(), self.endpoint.port()))
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
            server_address: self.endpoint.host().to_owned(),
            server_port: self.endpoint.port(),
            url_scheme: self.endpoint.get().scheme().to_owned(),
            labels: self.labels.clone(),
            definition: Arc::clone(definition),
        }
    }
}

fn endpoints(
    target: &Target,
    host: &Arc<Host>,
    transport: &Arc<dyn Transport>,
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
                transport: Arc::clone(transport),
                shared: Arc::clone(shared),
                host: Arc::clone(host),
                index,
            })
        });
    endpoints.collect()
}
