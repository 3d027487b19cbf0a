//! The configuration of the exporter, with the Collector's keys.

use std::{collections::BTreeMap, sync::Arc};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    RemoteWrite, foreign,
    metadata::Metadata,
    series::{Converted, NamingRules},
    split::split,
};
use crate::{
    client::{ClientAuthConfig, ConfigError, Tls},
    delivery::{ClientSettings, RetryOnFailure, SendOrder, SendingQueue, http::HttpDestination},
    exporters::{
        contract::{self, ExporterConfig, ExporterContext, ExporterType},
        prometheus::ResourceConversion,
        sender_config::{NetworkExporter, SenderConfig, sender_config},
    },
    pipeline::Exporter,
    settings::{BuildError, Compression, Duration, ExtensionUse, Headers, HttpUrl, ProxyUrl},
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExporterType = ExporterType {
    name: "prometheusremotewrite",
    aliases: &[],
    about: "Pushes samples with Prometheus remote write.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Pushes samples with Prometheus remote write 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Full URL of the destination.
    pub endpoint: Option<HttpUrl>,
    /// The longest time for one attempt.
    pub timeout: Duration,
    /// Headers of every request.
    pub headers: Headers,
    /// Credentials for the destination.
    pub auth: ClientAuthConfig,
    /// TLS settings of the connection to the destination.
    pub tls: Tls,
    /// The proxy to use instead of that of the environment (`HTTPS_PROXY` and similar variables).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<ProxyUrl>,
    /// When and how long the exporter retries a failed batch.
    pub retry_on_failure: RetryOnFailure,
    /// The queue between the polls and the network. `num_consumers` must be 1.
    pub sending_queue: SendingQueue,
    /// A prefix of each name, followed by `_`.
    pub namespace: String,
    /// Labels of every series that has no label of that name.
    pub external_labels: BTreeMap<String, String>,
    /// Whether names end with the unit and `_total`.
    pub add_metric_suffixes: bool,
    /// Whether all attributes of the Resource become labels of every series.
    pub resource_to_telemetry_conversion: ResourceConversion,
    /// Whether the Resource becomes a series `target_info`.
    pub target_info: Switch,
    /// Whether the type, description and unit of each metric are sent, at most once a minute and
    /// for at most 10,000 metrics.
    pub send_metadata: bool,
}

/// The server, and how the exporter connects to it.
#[derive(Debug, PartialEq)]
struct ServerSettings {
    endpoint: Option<HttpUrl>,
    headers: Headers,
    auth: ClientAuthConfig,
    tls: Tls,
    proxy_url: Option<ProxyUrl>,
}

/// The order in which the exporters with one id send to a server. It outlives reloads.
#[derive(Debug)]
pub(super) struct ServerOrder {
    server: ServerSettings,
    order: Arc<SendOrder>,
}

/// A setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Switch {
    /// Whether the setting is on.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            timeout: Duration::from_secs(5),
            headers: Headers::default(),
            auth: ClientAuthConfig::default(),
            tls: Tls::default(),
            proxy_url: None,
            retry_on_failure: RetryOnFailure::default(),
            sending_queue: SendingQueue::default(),
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            add_metric_suffixes: true,
            resource_to_telemetry_conversion: ResourceConversion::default(),
            target_info: Switch { enabled: true },
            send_metadata: false,
        }
    }
}

impl ExporterConfig for Config {
    /// A replacement shares its predecessor's memory of sent series. If it uses the same server in
    /// the same way, it starts when the predecessor has sent what it holds, because a server accepts
    /// the samples of a series only in their order. Otherwise it starts at once, because the old
    /// server may be gone.
    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        let (id, server) = (context.id, self.server());
        let order = context.states.get_if(
            id,
            |order: &ServerOrder| order.server == server,
            || {
                let server = self.server();
                let order = Arc::default();
                Arc::new(ServerOrder { server, order })
            },
        );
        let deliveries = Some(Arc::clone(&order.order));
        let encoder = RemoteWrite {
            rules: self.rules(),
            metadata: self.send_metadata.then(Metadata::default),
            memory: context.states.get(id, Arc::default),
            _order: order,
        };
        Ok(self.start(context, encoder, split, deliveries)?)
    }

    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_sender(at, diagnostics);
        if self.sending_queue.num_consumers > 1 {
            let message = "must be 1: servers accept the samples of a series only in their order";
            at.error(&["sending_queue", "num_consumers"], message, diagnostics);
        }
        if !self.namespace.is_empty() && !is_label(&self.namespace) {
            let message = "expected letters, digits and `_`, and no digit at the start";
            at.error(&["namespace"], message, diagnostics);
        }
        for name in self.external_labels.keys() {
            if !is_label(name) || name.starts_with("__") {
                let message = format!(
                    "`{name}` is not a label name: letters, digits and `_`, no digit or `__` at the start"
                );
                at.error(&["external_labels", name], message, diagnostics);
            }
        }
    }

    fn uses(&self) -> Vec<ExtensionUse<'_>> {
        self.sender().uses()
    }

    fn warn(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.sender().warn(at, diagnostics);
    }
}

impl Config {
    fn server(&self) -> ServerSettings {
        ServerSettings {
            endpoint: self.endpoint.clone(),
            headers: self.headers.clone(),
            auth: self.auth.clone(),
            tls: self.tls.clone(),
            proxy_url: self.proxy_url.clone(),
        }
    }

    fn rules(&self) -> NamingRules {
        let conversion = self.resource_to_telemetry_conversion;
        let converted = match (conversion.enabled, conversion.exclude_service_attributes) {
            (false, _) => Converted::Nothing,
            (true, false) => Converted::All,
            (true, true) => Converted::WithoutService,
        };
        NamingRules {
            namespace: self.namespace.clone(),
            has_suffixes: self.add_metric_suffixes,
            external_labels: self.external_labels.clone(),
            converted,
            has_target_info: self.target_info.enabled,
        }
    }
}

impl NetworkExporter for Config {
    type Destination = HttpDestination;

    fn sender(&self) -> SenderConfig<'_> {
        // Remote write always uses snappy.
        sender_config!(self, compression: Compression::None)
    }

    fn destination(&self, client: &ClientSettings<'_>) -> Result<HttpDestination, ConfigError> {
        let needs = "is required, such as http://localhost:9090/api/v1/write";
        let url = self
            .endpoint
            .as_ref()
            .ok_or_else(|| ConfigError::new("endpoint", needs))?;
        HttpDestination::remote_write(url.get().clone(), client)
    }
}

fn is_label(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(is_known)
        && !name.is_empty()
}
