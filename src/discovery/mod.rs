//! Finds targets that come and go, in Prometheus' own formats, so that what hands targets to a
//! Prometheus server hands them to this collector as well.
//!
//! ```yaml
//! receivers:
//!   betanet:
//!     file_sd_configs:
//!       - files: [/etc/betanet/targets/*.json]
//!     relabel_configs:
//!       - source_labels: [env]
//!         regex: test
//!         action: drop
//!     shard: { index: "${env:POD_NAME}", count: 3 }
//! ```
//!
//! Each source runs on its own (`source`) and keeps its last good answer. After each change the
//! answers of all are merged (`merge`): labels are rewritten (`relabel`), the targets of other
//! shards left out, and the rest handed to the receiver. What a source says can name targets and
//! label them, never set headers, credentials, or anything else of a request.

mod build;
mod config;
mod credentials;
mod dns;
mod discovery_result;
mod file;
mod findings;
mod group;
mod http;
mod incumbents;
mod kubernetes;
mod merge;
mod notice;
mod replica_set;
mod relabel;
mod run;
mod shard;
mod source;
mod status;
mod target;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use self::{
    config::{
        DiscoverySettings, DnsSdConfig, FileSdConfig, HttpSdConfig, RecordKind, Scheme,
        StaticConfig,
    },
    credentials::{Authorization, BasicAuth, TlsConfig},
    discovery_result::DiscoveryResult,
    http::HttpSdError,
    kubernetes::{
        AttachMetadata, ConnectionError, KubernetesSdConfig, Namespaces, Role, SelectorConfig,
    },
    relabel::{RelabelAction, RelabelConfig},
    shard::{ShardConfig, ShardHash, ShardIndex, ShardIndexError},
    status::{ShownShard, SourceStatus},
    target::{Address, DiscoveredTarget},
};
use self::{findings::LastFindings, merge::Merge, source::DiscoverySource, status::SourceStatuses};
use crate::{
    client::auth::Authenticators,
    pipeline::{AddressFilter, AddressList, Window},
    runtime::Clock,
    telemetry::Meter,
};

/// Labels of a target, by name.
type Labels = BTreeMap<String, String>;

/// What a discovery is built with beside its configuration.
#[derive(Debug)]
pub struct Context<'c> {
    /// The receiver's id.
    pub receiver: &'c str,
    /// Names of targets that the receiver polls anyhow.
    pub taken: BTreeSet<String>,
    /// What authenticates requests for lists of targets.
    pub authenticators: &'c Authenticators,
    /// The time of day.
    pub clock: &'c Clock,
    /// For what the discovery says of itself.
    pub meter: &'c Meter,
}

/// Why a discovery cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A source cannot work.
    #[error("failed to build `{name}`")]
    Source {
        /// Its place in the configuration.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A rule has no regular expression.
    #[error("failed to build `relabel_configs`")]
    Relabel(#[from] regex::Error),
}

/// The sources of one receiver, ready to run.
pub struct Discovery {
    sources: Vec<DiscoverySource>,
    merge: Arc<Merge>,
    status: Arc<SourceStatuses>,
    findings: Arc<LastFindings>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The targets of this collector, in a lasting order, each name once.
    pub targets: Arc<[DiscoveredTarget]>,
    /// Whether every source has answered.
    pub is_complete: bool,
}

/// What is known of the sources of a receiver.
#[derive(Debug, Clone)]
pub struct Sources {
    status: Arc<SourceStatuses>,
    findings: Arc<LastFindings>,
}

impl Sources {
    /// What is known now, one a source.
    pub fn list(&self) -> Vec<SourceStatus> {
        self.status.sources()
    }

    /// The addresses that the sources name and `filter` takes, as far as they are in the window.
    pub fn addresses(&self, filter: &AddressFilter, window: Window) -> AddressList {
        let names: Vec<_> = self.list().into_iter().map(|source| source.name).collect();
        let findings = self.findings.get();
        findings.map_or_else(AddressList::default, |of| of.list(&names, filter, window))
    }

    /// Why none of the targets that the sources name is polled; none if one is, or before all of
    /// them have answered.
    pub fn notice(&self) -> Option<String> {
        self.status.notice()
    }
}

/// Reads a list of target groups as JSON and as YAML, for fuzzing.
#[doc(hidden)]
pub fn fuzz_list(text: &[u8]) {
    drop(group::parse_json(text));
    if let Ok(text) = std::str::from_utf8(text) {
        drop(group::parse_yaml("fuzz.yaml", text));
    }
}

/// Lets rules change the targets of groups, for fuzzing. Both are YAML.
#[doc(hidden)]
pub fn fuzz_relabel(rules: &str, groups: &str) {
    let mut diagnostics = crate::yaml::Diagnostics::new();
    let node = crate::yaml::parse("rules.yaml", rules, &mut diagnostics);
    let rules: Option<Vec<RelabelConfig>> =
        node.and_then(|node| crate::yaml::decode(&node, "", &mut diagnostics));
    let (Some(rules), Ok(parsed)) = (rules, group::parse_yaml("groups.yaml", groups)) else {
        return;
    };
    let settings = DiscoverySettings {
        scheme: Scheme::Http,
        static_configs: &[],
        file_sd_configs: &[],
        http_sd_configs: &[],
        dns_sd_configs: &[],
        kubernetes_sd_configs: &[],
        relabel_configs: &rules,
        target_limit: 100,
        shard: None,
    };
    if let Ok(merge) = Merge::new(&settings, BTreeSet::new()) {
        let known = source::SourceSnapshot {
            parts: vec![Arc::new(parsed)],
        };
        let named: usize = known
            .parts
            .iter()
            .flat_map(|part| &part.groups)
            .map(|of| of.addresses.len())
            .sum();
        let merged = merge.merge(std::iter::once(&known), &[]);
        assert!(
            merged.targets.len() <= named.min(100),
            "no target comes from nothing"
        );
    }
}
