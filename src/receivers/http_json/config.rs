//! The keys of an `http_json` or `betanet` receiver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    client::{ClientAuthConfig, Tls},
    definition::Parameters,
    discovery::{
        DiscoverySettings, DnsSdConfig, FileSdConfig, HttpSdConfig, KubernetesSdConfig,
        RelabelConfig, Scheme, ShardConfig, StaticConfig,
    },
    resilience::{
        config::{CacheConfig, CircuitBreakerConfig, RetryConfig, TimeoutConfig},
        per_instance::PerInstance,
    },
    settings::{ByteSize, Duration, ExtensionUse, Headers, REDACTED, TargetUrl},
    telemetry::target_metrics::MetricsLevel,
};

/// The smallest default of `max_document_memory`, in bytes.
const MIN_DOCUMENT_MEMORY: u64 = 128 * 1024 * 1024;

/// Polls JSON APIs over HTTP.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The targets to poll.
    pub targets: Vec<TargetConfig>,
    /// More targets to poll, as groups of addresses with the same labels.
    pub static_configs: Vec<StaticConfig>,
    /// Files that list targets.
    pub file_sd_configs: Vec<FileSdConfig>,
    /// HTTP servers that list targets.
    pub http_sd_configs: Vec<HttpSdConfig>,
    /// DNS names whose records are targets.
    pub dns_sd_configs: Vec<DnsSdConfig>,
    /// Objects of a Kubernetes cluster that are targets.
    pub kubernetes_sd_configs: Vec<KubernetesSdConfig>,
    /// Rules that change the labels of discovered targets, or drop targets.
    pub relabel_configs: Vec<RelabelConfig>,
    /// The scheme of discovered targets without the label `__scheme__`.
    pub scheme: Scheme,
    /// The maximum number of discovered targets. Targets beyond it are not polled.
    pub target_limit: usize,
    /// The shard of this collector: it polls only its share of all targets.
    pub shard: Option<ShardConfig>,
    /// The definition of the API: the name of a definition in `pipelines/`, the name of a built-in
    /// one, or the path of a file. Of several definitions, the collector uses the first one to
    /// which the target does not answer 404 for every endpoint. The default of the `betanet`
    /// receiver is both dialects.
    #[schemars(schema_with = "one_or_more")]
    pub definition: Vec<String>,
    /// The time between two polls of a target.
    pub collection_interval: Duration,
    /// The time before the first poll.
    pub initial_delay: Duration,
    /// The maximum duration of one request: waiting for a place, connecting, headers, body.
    /// `5s` is always 5 s. `{max: 5s, adaptive: true}` learns a shorter timeout from the answers.
    pub timeout: TimeoutConfig,
    /// The maximum duration of a poll, including retries. Default: 0.9 of the interval.
    pub deadline: Option<Duration>,
    /// How the collector retries a failed request within its poll.
    pub retry: RetryConfig,
    /// When the collector stops sending requests to a node that does not answer.
    pub circuit_breaker: CircuitBreakerConfig,
    /// How long a cached answer can be used.
    pub cache: CacheConfig,
    /// The maximum age of data that you promise. The collector counts the time within it and beyond
    /// it.
    pub freshness_objective: Option<Duration>,
    /// The maximum number of concurrent requests to all targets together. Targets that gave no answer
    /// to their last request share half of them, so that others are polled in time while many hang.
    pub concurrency: usize,
    /// The most connections that stay open between polls, of all targets together. Each target
    /// keeps one for each endpoint where there is room for those of all targets, else one in all,
    /// else none. Requests of a poll share a connection if they answer within 50 ms. Half of the
    /// process' limit of open files bounds those of all receivers together.
    pub max_idle_conns: usize,
    /// The largest body that is read, compressed or not. The document that is read from it takes at
    /// most seven times as much memory: a larger one is refused, for example one of many small
    /// objects. A document exists only while it is mapped, and the collector maps as many large
    /// bodies at a time as it has processors.
    pub body_limit: ByteSize,
    /// The memory for the texts of large bodies (more than 64 KiB), of all targets together; a
    /// quarter of it is for the bodies in the cache. A text is given up when it is mapped. A body
    /// for which there is no room is not read. 128MiB if not given, or four times `body_limit` if
    /// that is more.
    pub max_document_memory: Option<ByteSize>,
    /// The maximum number of redirects to follow.
    pub max_redirects: usize,
    /// A proxy for all requests. `environment` uses `HTTP_PROXY` and similar variables.
    #[serde(serialize_with = "without_credentials")]
    pub proxy: Option<String>,
    /// What requests of the definition refer to as `${param:NAME}`; what is not said here is what
    /// the definition says.
    pub parameters: Parameters,
    /// Headers that each request has.
    pub headers: Headers,
    /// Authentication of requests to targets.
    pub auth: ClientAuthConfig,
    /// How many metrics of its own the collector adds to each target: with three endpoints, `basic`
    /// has 11 series of a healthy target, `normal` 90, `detailed` 126.
    pub target_metrics: MetricsLevel,
    /// TLS settings for `https` targets.
    pub tls: Tls,
}

/// One running instance of the API, or several with the same data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("anyOf" = [
    {"required": ["endpoint"]},
    {"required": ["endpoints", "mode", "name"]},
]))]
pub struct TargetConfig {
    /// The base URL, to which the paths of the definition are appended; or a Unix socket, such as
    /// `unix:///run/podman/podman.sock`, which is asked as `localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<TargetUrl>,
    /// The base URLs of several instances, in place of `endpoint`. `mode` says how they are
    /// related.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<TargetUrl>,
    /// How several `endpoints` are related.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The name of the target in labels. Default: `host:port` of the endpoint, or the path of the
    /// Unix socket.
    #[serde(default)]
    pub name: Option<String>,
    /// Labels of all series of the target. They are also attributes of its Resource.
    #[serde(default)]
    pub labels: Arc<BTreeMap<String, String>>,
    /// Authentication of requests to this target, in place of that of the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Box<ClientAuthConfig>>,
}

/// How several instances are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They have the same data. A poll sends its requests to the best one, and to another one if
    /// that fails.
    Replicas,
}

/// Hides the user and the password in the URL of a proxy.
fn without_credentials<S: Serializer>(proxy: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    let shown = proxy.as_deref().map(|url| match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://{REDACTED}@{host}")
        }
        None => url.to_owned(),
    });
    shown.serialize(to)
}

impl Config {
    /// The memory for the texts of large bodies in use, and in the cache, in bytes.
    pub(super) fn document_memory(&self) -> [u64; 2] {
        let default = || MIN_DOCUMENT_MEMORY.max(self.body_limit.get().saturating_mul(4));
        let all = self.max_document_memory.map_or_else(default, ByteSize::get);
        [all - all / 4, all / 4]
    }

    /// The settings of the discovery.
    pub(super) fn discovery(&self) -> DiscoverySettings<'_> {
        DiscoverySettings {
            scheme: self.scheme,
            static_configs: &self.static_configs,
            file_sd_configs: &self.file_sd_configs,
            http_sd_configs: &self.http_sd_configs,
            dns_sd_configs: &self.dns_sd_configs,
            kubernetes_sd_configs: &self.kubernetes_sd_configs,
            relabel_configs: &self.relabel_configs,
            target_limit: self.target_limit,
            shard: self.shard,
        }
    }

    /// How a target is polled, without which targets there are and when the first poll is.
    pub(super) fn of_any_target(&self) -> Self {
        Self {
            targets: Vec::new(),
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            http_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            kubernetes_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            shard: None,
            initial_delay: Duration::default(),
            ..self.clone()
        }
    }

    /// The names of `targets`, which no discovered target may have.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let targets = self.targets.iter();
        targets.map(TargetConfig::display_name).collect()
    }

    /// The extensions that it uses.
    pub(super) fn extension_uses(&self) -> Vec<ExtensionUse<'_>> {
        let of_targets = self
            .targets
            .iter()
            .enumerate()
            .filter_map(|(index, target)| {
                let used = target.auth.as_ref()?.uses()?;
                Some(used.below(&["targets", &index.to_string()]))
            });
        let own = self.auth.uses().into_iter();
        own.chain(of_targets)
            .chain(self.discovery().uses())
            .collect()
    }

    /// What authenticates requests to targets: of the receiver, and of single targets.
    pub(super) fn auths(&self) -> impl Iterator<Item = &ClientAuthConfig> {
        let of_targets = self
            .targets
            .iter()
            .filter_map(|target| target.auth.as_deref());
        std::iter::once(&self.auth).chain(of_targets)
    }

    /// Those of `targets` that this collector polls: all of them without shards.
    pub fn own_targets(&self) -> impl Iterator<Item = &TargetConfig> {
        self.targets.iter().filter(|target| {
            let key = target.shard_key();
            self.shard.is_none_or(|shard| shard.owns(&key))
        })
    }
}

impl TargetConfig {
    /// A target with one instance, without a configured name or labels.
    pub fn at(endpoint: TargetUrl) -> Self {
        Self {
            endpoint: Some(endpoint),
            endpoints: Vec::new(),
            mode: None,
            name: None,
            labels: Arc::default(),
            auth: None,
        }
    }

    /// A pool of these instances, without a configured name or labels.
    pub fn pool(endpoints: Vec<TargetUrl>) -> Self {
        Self {
            endpoint: None,
            endpoints,
            mode: Some(Mode::Replicas),
            name: None,
            labels: Arc::default(),
            auth: None,
        }
    }

    /// Each of several instances as a separate target with the name `NAME@HOST:PORT`.
    pub fn instances_apart(&self) -> Vec<Self> {
        if self.endpoints.is_empty() {
            return vec![self.clone()];
        }
        let alone = |url: &TargetUrl| Self {
            name: Some(format!("{}@{}", self.display_name(), url.address())),
            labels: Arc::clone(&self.labels),
            auth: self.auth.clone(),
            ..Self::at(url.clone())
        };
        self.urls().map(alone).collect()
    }

    /// The base URL of each instance.
    pub fn urls(&self) -> impl Iterator<Item = &TargetUrl> {
        self.endpoint.iter().chain(&self.endpoints)
    }

    /// Whether it is a pool of instances with the same data. A discovered pool may have a single
    /// instance.
    pub fn is_pool(&self) -> bool {
        self.mode.is_some()
    }

    /// The names of the instances of a pool.
    pub(super) fn replicas(&self) -> impl Iterator<Item = Arc<str>> {
        let urls = self.urls().filter(|_| self.is_pool());
        urls.map(|url| url.address().into())
    }

    /// The base URLs, of which there is at least one.
    pub(super) fn instances(&self) -> Option<PerInstance<&TargetUrl>> {
        let mut urls = self.urls();
        let first = urls.next()?;
        Some(PerInstance::new(first, urls))
    }

    /// The key that assigns it to a shard: its address, or the name of a pool, whose instances
    /// change.
    fn shard_key(&self) -> String {
        let address = || self.urls().next().map(TargetUrl::address);
        match self.is_pool() {
            true => self.display_name(),
            false => address().unwrap_or_default(),
        }
    }

    /// The name in labels: as configured, or `host:port`.
    pub fn display_name(&self) -> String {
        let address = || self.urls().next().map(TargetUrl::address);
        self.name.clone().or_else(address).unwrap_or_default()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            http_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            kubernetes_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            scheme: Scheme::Http,
            target_limit: 100_000,
            shard: None,
            definition: Vec::new(),
            collection_interval: Duration::from_secs(15),
            initial_delay: Duration::from_secs(0),
            timeout: TimeoutConfig::default(),
            deadline: None,
            retry: RetryConfig::default(),
            circuit_breaker: CircuitBreakerConfig::default(),
            cache: CacheConfig::default(),
            freshness_objective: None,
            concurrency: 1024,
            max_idle_conns: 10_000,
            body_limit: ByteSize::from_bytes(4 * 1024 * 1024),
            max_document_memory: None,
            max_redirects: 0,
            proxy: None,
            parameters: Parameters::default(),
            headers: Headers::default(),
            target_metrics: MetricsLevel::default(),
            auth: ClientAuthConfig::default(),
            tls: Tls::default(),
        }
    }
}

/// `a`, `a, b` or `[a, b]`.
fn one_or_more(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    })
}
