//! What the configuration says of discovery, in Prometheus' keys and defaults.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    KubernetesSdConfig, RelabelConfig, ShardConfig,
    credentials::{Authorization, BasicAuth, TlsConfig},
};
use crate::{
    client::ClientAuthConfig,
    settings::{Duration, Endpoint, ExtensionUse, HttpUrl, TargetUrl},
    yaml::{Cursor, Diagnostics},
};

/// All that a receiver says of where its targets come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscoverySettings<'c> {
    /// Of targets that name no `__scheme__`.
    pub scheme: Scheme,
    /// Groups in the configuration itself.
    pub static_configs: &'c [StaticConfig],
    /// Groups in files.
    pub file_sd_configs: &'c [FileSdConfig],
    /// Groups that a server hands out.
    pub http_sd_configs: &'c [HttpSdConfig],
    /// Records in the DNS.
    pub dns_sd_configs: &'c [DnsSdConfig],
    /// Objects of a Kubernetes cluster.
    pub kubernetes_sd_configs: &'c [KubernetesSdConfig],
    /// What happens to the labels of what was found.
    pub relabel_configs: &'c [RelabelConfig],
    /// The most targets that are kept.
    pub target_limit: usize,
    /// Which of them are this collector's.
    pub shard: Option<ShardConfig>,
}

/// How targets are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In clear text, unless the discovery says `__scheme__: https`.
    #[default]
    Http,
    /// With TLS; a discovery cannot take that away.
    Https,
}

/// Targets that share labels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct StaticConfig {
    /// Their addresses, `host:port`.
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Finds targets in files, which are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct FileSdConfig {
    /// Paths of JSON or YAML files; the name may hold one `*`: `targets/*.json`.
    pub files: Vec<String>,
    /// How often they are read again even if no change was seen.
    #[serde(default = "five_minutes")]
    pub refresh_interval: Duration,
}

/// Asks a server for targets; also the Target Allocator of the OpenTelemetry Operator.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HttpSdConfig {
    /// Answers with a JSON list of target groups.
    pub url: HttpUrl,
    /// How often it is asked, and the longest that an answer may take.
    #[serde(default = "one_minute")]
    pub refresh_interval: Duration,
    /// How long the list must stay empty before its targets are dropped; 0 drops them at once. The
    /// server is asked again after 1, 2, 4, 8 seconds in between. A Target Allocator that has just
    /// started, or whose API server is away, hands out empty lists.
    #[serde(default = "one_minute")]
    pub keep_on_empty: Duration,
    /// User name and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A token, or any other `Authorization` header.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// How requests authenticate, in place of `basic_auth` and `authorization`: an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ClientAuthConfig>,
    /// How to speak TLS.
    #[serde(default)]
    pub tls_config: TlsConfig,
}

/// Finds targets in the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct DnsSdConfig {
    /// The names that are looked up.
    pub names: Vec<String>,
    /// The type of record.
    #[serde(default)]
    pub r#type: RecordKind,
    /// The port of the targets; `SRV` records have their own.
    #[serde(default)]
    pub port: Option<u16>,
    /// How often they are looked up.
    #[serde(default = "thirty_seconds")]
    pub refresh_interval: Duration,
    /// How long a name must have no record before its targets are dropped; 0 drops them at once.
    /// It is looked up again after 1, 2, 4, 8 seconds in between.
    #[serde(default = "one_minute")]
    pub keep_on_empty: Duration,
    /// The servers that are asked, such as `127.0.0.1:8600`; the system's if none is given.
    #[serde(default)]
    pub nameservers: Vec<Endpoint>,
}

/// A type of DNS record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub enum RecordKind {
    /// A host and a port.
    #[default]
    #[serde(rename = "SRV")]
    Srv,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    #[serde(rename = "AAAA")]
    Aaaa,
}

fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

fn five_minutes() -> Duration {
    Duration::from_secs(5 * 60)
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl<'c> DiscoverySettings<'c> {
    /// The extensions that it uses.
    pub fn uses(&self) -> impl Iterator<Item = ExtensionUse<'c>> + use<'c> {
        let sources = self.http_sd_configs.iter().enumerate();
        sources.filter_map(|(index, source)| {
            let used = source.auth.as_ref()?.uses()?;
            Some(used.below(&["http_sd_configs", &index.to_string()]))
        })
    }

    /// Whether targets come from anywhere but `targets`.
    pub fn is_empty(&self) -> bool {
        self.static_configs.is_empty()
            && self.file_sd_configs.is_empty()
            && self.http_sd_configs.is_empty()
            && self.dns_sd_configs.is_empty()
            && self.kubernetes_sd_configs.is_empty()
    }

    /// Checks what a type cannot say; `at` is the receiver. Mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.target_limit == 0 {
            at.error(&["target_limit"], "requires positive value", diagnostics);
        }
        if self.is_empty() && !self.relabel_configs.is_empty() {
            let message = "has no effect on `targets`: give them in `static_configs`";
            at.error(&["relabel_configs"], message, diagnostics);
        }
        each(at, "static_configs", self.static_configs, diagnostics);
        each(at, "file_sd_configs", self.file_sd_configs, diagnostics);
        each(at, "http_sd_configs", self.http_sd_configs, diagnostics);
        each(at, "dns_sd_configs", self.dns_sd_configs, diagnostics);
        each(
            at,
            "kubernetes_sd_configs",
            self.kubernetes_sd_configs,
            diagnostics,
        );
        each(at, "relabel_configs", self.relabel_configs, diagnostics);
        if let (Some(shard), Some(at)) = (&self.shard, at.at(&["shard"])) {
            shard.check(&at, diagnostics);
        }
    }
}

/// What a type cannot say of a configuration. Each kind of discovery checks its own.
pub(super) trait Check {
    /// `at` is where it stands; mistakes go to `diagnostics`.
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics);
}

fn each(at: &Cursor<'_>, key: &str, configs: &[impl Check], diagnostics: &mut Diagnostics) {
    let places = at.at(&[key]);
    for (config, at) in configs.iter().zip(places.iter().flat_map(Cursor::children)) {
        config.check(&at, diagnostics);
    }
}

impl Check for RelabelConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        Self::check(self, at, diagnostics);
    }
}

impl Check for StaticConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (position, address) in self.targets.iter().enumerate() {
            let is_socket = address.starts_with("unix://") && address.parse::<TargetUrl>().is_ok();
            if address.contains('/') && !is_socket {
                let message = "expected `host:port`; the scheme is `scheme`, a path the label \
                               `__metrics_path__`";
                at.error(&["targets", &position.to_string()], message, diagnostics);
            }
        }
        if self.labels.contains_key("") {
            at.error(&["labels", ""], "a label needs a name", diagnostics);
        }
    }
}

/// Checks a `refresh_interval`.
pub(super) fn check_interval(interval: Duration, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
    if interval.is_zero() {
        at.error(
            &["refresh_interval"],
            "requires positive value",
            diagnostics,
        );
    }
}
