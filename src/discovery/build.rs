//! From what the configuration says to sources.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    BuildError, Context, Discovery, DiscoverySettings, Sources, StaticConfig,
    dns::DnsSd,
    file::FileSd,
    group::{Group, Parsed},
    http::HttpSd,
    kubernetes::KubernetesSd,
    merge::Merge,
    source::{DiscoverySource, Provider, RefreshError, SourcePart, SourceTiming},
    status::SourceStatuses,
};
use crate::client::auth::Authenticators;

/// The configuration itself does not change.
const NEVER: SourceTiming = SourceTiming {
    interval: Duration::from_secs(365 * 24 * 60 * 60),
    keep_on_empty: Duration::ZERO,
};

/// How often the objects of a cluster are gone through where nothing changes, and the longest wait
/// for the first list.
const KUBERNETES_INTERVAL: Duration = Duration::from_secs(60);

/// A source of which only the name of its kind is said.
struct Unnamed {
    kind: &'static str,
    position: usize,
    timing: SourceTiming,
    provider: Box<dyn Provider>,
}

impl Discovery {
    /// Builds the sources; none of them is asked yet. Within a tokio runtime.
    ///
    /// # Errors
    /// If a file cannot be read or the settings cannot work.
    pub fn new(settings: &DiscoverySettings<'_>, context: Context<'_>) -> Result<Self, BuildError> {
        let unnamed = sources(settings, context.authenticators)?;
        let names: Vec<String> = unnamed.iter().map(Unnamed::name).collect();
        let Context {
            receiver,
            taken,
            authenticators: _,
            clock,
            meter,
        } = context;
        let status = SourceStatuses::new(receiver, names.iter().cloned(), clock, meter);
        let sources = unnamed.into_iter().zip(names).enumerate();
        let sources = sources.map(|(position, (source, name))| {
            let report = status.report(position, &name);
            DiscoverySource::new(source.provider, source.timing, report)
        });
        Ok(Self {
            sources: sources.collect(),
            merge: Arc::new(Merge::new(settings, taken)?),
            status,
            findings: Arc::default(),
        })
    }

    /// Shows how its sources are.
    pub fn sources(&self) -> Sources {
        Sources {
            status: Arc::clone(&self.status),
            findings: Arc::clone(&self.findings),
        }
    }
}

fn sources(
    settings: &DiscoverySettings<'_>,
    authenticators: &Authenticators,
) -> Result<Vec<Unnamed>, BuildError> {
    let mut sources = Vec::new();
    if !settings.static_configs.is_empty() {
        let fixed = StaticGroups::new(settings.static_configs);
        sources.push(Unnamed {
            kind: "static_configs",
            position: 0,
            timing: NEVER,
            provider: Box::new(fixed),
        });
    }
    for (position, config) in settings.file_sd_configs.iter().enumerate() {
        let timing = SourceTiming {
            interval: config.refresh_interval.get(),
            // Who empties a file means it.
            keep_on_empty: Duration::ZERO,
        };
        let built = FileSd::new(config);
        sources.push(built_as("file_sd_configs", position, timing, built)?);
    }
    for (position, config) in settings.http_sd_configs.iter().enumerate() {
        let timing = SourceTiming {
            interval: config.refresh_interval.get(),
            keep_on_empty: config.keep_on_empty.get(),
        };
        let built = HttpSd::new(config, authenticators);
        sources.push(built_as("http_sd_configs", position, timing, built)?);
    }
    for (position, config) in settings.dns_sd_configs.iter().enumerate() {
        let timing = SourceTiming {
            interval: config.refresh_interval.get(),
            keep_on_empty: config.keep_on_empty.get(),
        };
        let built = DnsSd::new(config);
        sources.push(built_as("dns_sd_configs", position, timing, built)?);
    }
    for (position, config) in settings.kubernetes_sd_configs.iter().enumerate() {
        let timing = SourceTiming {
            interval: KUBERNETES_INTERVAL,
            // The API server knows what is there.
            keep_on_empty: Duration::ZERO,
        };
        let built = KubernetesSd::new(config);
        sources.push(built_as("kubernetes_sd_configs", position, timing, built)?);
    }
    Ok(sources)
}

fn built_as<P, E>(
    kind: &'static str,
    position: usize,
    timing: SourceTiming,
    built: Result<P, E>,
) -> Result<Unnamed, BuildError>
where
    P: Provider + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    match built {
        Ok(provider) => Ok(Unnamed {
            kind,
            position,
            timing,
            provider: Box::new(provider),
        }),
        Err(error) => Err(BuildError::Source {
            name: format!("{kind}/{position}"),
            source: Box::new(error),
        }),
    }
}

impl Unnamed {
    /// Its place in the configuration.
    fn name(&self) -> String {
        format!("{}/{}", self.kind, self.position)
    }
}

/// The groups in the configuration itself.
struct StaticGroups(Vec<Group>);

impl StaticGroups {
    fn new(configs: &[StaticConfig]) -> Self {
        let groups = configs.iter().map(|config| {
            let addresses = config.targets.iter().map(|address| Box::from(&**address));
            Group::new(addresses.collect(), config.labels.clone())
        });
        Self(groups.collect())
    }
}

#[async_trait]
impl Provider for StaticGroups {
    async fn refresh(&mut self) -> Result<Vec<SourcePart>, RefreshError> {
        let parsed = Parsed {
            groups: self.0.clone(),
            ..Parsed::default()
        };
        Ok(vec![SourcePart {
            key: String::new(),
            result: Ok(parsed),
        }])
    }
}
