//! The configuration of the exporter.

use std::{collections::BTreeMap, sync::Arc};

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{
    Prometheus, foreign,
    rules::{RenderingRules, Selection, TranslationStrategy},
};
use crate::{
    exporters::contract::{self, ExporterConfig, ExporterContext, ExporterType},
    http::{ClientLimits, RouteError, ServerAuthConfig, ServerConfig, TlsConfig},
    pipeline::Exporter,
    settings::{AllowList, BuildError, Duration, Endpoint},
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExporterType = ExporterType {
    name: "prometheus",
    aliases: &[],
    about: "Serves all series to a Prometheus scrape.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &foreign::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Serves the last values of all targets to Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each one is a configuration key"
)]
pub struct Config {
    /// Address to listen on. Components with the same address share it.
    pub endpoint: Endpoint,
    /// TLS for scrapers. All components of a listener must have the same settings.
    pub tls: Option<TlsConfig>,
    /// Credentials that clients must send.
    pub auth: ServerAuthConfig,
    /// The longest time for a handshake and the header of a request, and for an idle connection.
    pub read_header_timeout: Duration,
    /// The longest time for one scrape, to the last byte.
    pub write_timeout: Duration,
    /// The most simultaneous requests on the listener. It is also the most connections, except a
    /// few that are reserved for `/livez` and `/readyz`. One client gets at most half of them; if
    /// it has more, its connection that was idle for the longest time is closed.
    pub max_connections: usize,
    /// Path of the scrape.
    pub path: String,
    /// The most simultaneous scrapes, and half as many for one client. Other requests get 503 with
    /// `Retry-After`.
    pub max_concurrent_scrapes: usize,
    /// Whether a scraper that asks for OpenMetrics gets it.
    pub enable_open_metrics: bool,
    /// Whether totals in OpenMetrics have their start time, as an additional sample of each series.
    pub enable_open_metrics_text_created_samples: bool,
    /// Whether each value has the time of its poll. Prometheus then shows a series that disappeared
    /// for five more minutes.
    pub send_timestamps: bool,
    /// How long the last values of an endpoint without a body are shown.
    #[serde(alias = "metric_expiration")]
    pub max_stale: Duration,
    /// How names of metrics and attributes are translated. Default:
    /// `UnderscoreEscapingWithSuffixes`.
    pub translation_strategy: Option<TranslationStrategy>,
    /// The older key for the same setting: whether names end with the unit and `_total`.
    pub add_metric_suffixes: Option<bool>,
    /// A prefix of each name, followed by `_`.
    pub namespace: String,
    /// Labels of every series.
    pub const_labels: BTreeMap<String, String>,
    /// Whether series have no label `otel_scope_name`, which names the endpoint of a target from
    /// which they come. The OpenTelemetry Collector's default is false.
    pub without_scope_info: bool,
    /// The attributes of the Resource that become labels of every series.
    pub resource_constant_labels: ResourceLabels,
    /// The older key for the same setting. It applies only without the newer key.
    pub resource_to_telemetry_conversion: ResourceConversion,
    /// How a scraper can read a single target.
    pub probe: ProbeConfig,
}

/// Selects attributes by their keys, with `*` for any text and `?` for any character.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResourceLabels {
    /// The attributes that become labels. If this list is empty and `excluded` is not, all do.
    pub included: Vec<String>,
    /// The attributes that do not become labels, even if `included` has them.
    pub excluded: Vec<String>,
}

/// Whether all attributes of the Resource become labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ResourceConversion {
    /// Whether the attributes become labels.
    pub enabled: bool,
    /// Whether `service.name`, `service.namespace` and `service.instance.id` are left out.
    pub exclude_service_attributes: bool,
}

/// Requests to `/probe?target=…&definition=…`, Prometheus' multi-target exporter pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ProbeConfig {
    /// Whether such requests are answered.
    pub enabled: bool,
    /// Path of the requests.
    pub path: String,
    /// Hosts and networks that may be polled although no receiver has them as targets. A loopback
    /// or link-local address must be in a network that names it.
    pub allow: AllowList,
    /// The most simultaneous probes. Other requests get 503 with `Retry-After`.
    pub max_concurrent_probes: usize,
    /// The part of `X-Prometheus-Scrape-Timeout-Seconds` that a probe leaves unused.
    pub timeout_offset: Duration,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/probe".to_owned(),
            allow: AllowList::default(),
            max_concurrent_probes: 16,
            // The value of Prometheus' own exporters.
            timeout_offset: Duration::from_millis(500),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::localhost(9200),
            tls: None,
            auth: ServerAuthConfig::default(),
            read_header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_connections: 256,
            path: "/metrics".to_owned(),
            max_concurrent_scrapes: 64,
            enable_open_metrics: true,
            enable_open_metrics_text_created_samples: false,
            send_timestamps: false,
            // The lookback of PromQL.
            max_stale: Duration::from_secs(300),
            translation_strategy: None,
            add_metric_suffixes: None,
            namespace: String::new(),
            const_labels: BTreeMap::new(),
            // With scope labels, `a / b` would match nothing if the metrics are of two endpoints.
            without_scope_info: true,
            resource_constant_labels: ResourceLabels::default(),
            resource_to_telemetry_conversion: ResourceConversion::default(),
            probe: ProbeConfig::default(),
        }
    }
}

impl ResourceLabels {
    fn selection(&self) -> Option<Selection> {
        match (self.included.is_empty(), self.excluded.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Selection::new(&["*".to_owned()], &self.excluded)),
            (false, _) => Some(Selection::new(&self.included, &self.excluded)),
        }
    }
}

impl ExporterConfig for Config {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.server().check(at, diagnostics);
        let positive: [(&[&str], bool); 5] = [
            (
                &["read_header_timeout"],
                !self.read_header_timeout.get().is_zero(),
            ),
            (&["write_timeout"], !self.write_timeout.get().is_zero()),
            (&["max_connections"], self.max_connections > 0),
            (&["max_concurrent_scrapes"], self.max_concurrent_scrapes > 0),
            (
                &["probe", "max_concurrent_probes"],
                self.probe.max_concurrent_probes > 0,
            ),
        ];
        for (keys, _) in positive.iter().filter(|(_, is_positive)| !is_positive) {
            at.error(keys, "requires positive value", diagnostics);
        }
        let paths: [(&[&str], &str); 2] = [
            (&["path"], &self.path),
            (&["probe", "path"], &self.probe.path),
        ];
        for (keys, _) in paths.iter().filter(|(_, path)| !path.starts_with('/')) {
            at.error(keys, "expected a path that begins with `/`", diagnostics);
        }
        if self.probe.enabled && self.probe.path == self.path {
            let message = format!("`{}` is the path of the scrape", self.path);
            at.error(&["probe", "path"], message, diagnostics);
        }
        self.check_rules(at, diagnostics);
    }

    fn build(&self, context: &mut ExporterContext<'_>) -> Result<Arc<dyn Exporter>, BuildError> {
        Ok(self.exporter(context)?)
    }

    fn listens_on(&self) -> Option<ServerConfig> {
        Some(self.server())
    }
}

impl Config {
    /// The rules for names and labels.
    pub(super) fn rules(&self) -> RenderingRules {
        let conversion = self.resource_to_telemetry_conversion;
        let all = || Selection::all(conversion.exclude_service_attributes);
        let resource = self.resource_constant_labels.selection();
        let resource = resource.or_else(|| conversion.enabled.then(all));
        let without = TranslationStrategy::UnderscoreEscapingWithoutSuffixes;
        let older = (self.add_metric_suffixes == Some(false)).then_some(without);
        RenderingRules {
            strategy: self.translation_strategy.or(older).unwrap_or_default(),
            namespace: self.namespace.clone(),
            const_labels: self.const_labels.clone(),
            resource: resource.unwrap_or_default(),
            has_scope: !self.without_scope_info,
            has_time: self.send_timestamps,
            has_created: self.enable_open_metrics && self.enable_open_metrics_text_created_samples,
        }
    }

    /// The listener of the exporter.
    fn server(&self) -> ServerConfig {
        ServerConfig {
            endpoint: self.endpoint.to_string(),
            tls: self.tls.clone(),
            auth: self.auth.clone(),
            limits: Some(ClientLimits {
                header_timeout: self.read_header_timeout.get(),
                exchange_timeout: self.write_timeout.get(),
                connections: self.max_connections,
            }),
        }
    }

    fn check_rules(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for name in self.const_labels.keys() {
            if ["target", "le"].contains(&name.as_str()) {
                let message = format!("`{name}` cannot be a label: the collector sets it");
                at.error(&["const_labels", name], message, diagnostics);
            }
        }
        if self.translation_strategy.is_some() && self.add_metric_suffixes.is_some() {
            let message = "means the same as `translation_strategy`; remove it";
            at.error(&["add_metric_suffixes"], message, diagnostics);
        }
        let labels = &self.resource_constant_labels;
        if labels.selection().is_some() && self.resource_to_telemetry_conversion.enabled {
            let message = "has no effect together with `resource_constant_labels`";
            at.warning(&["resource_to_telemetry_conversion"], message, diagnostics);
        }
    }

    /// Builds the exporter and registers its routes.
    ///
    /// # Errors
    /// If another component has one of the paths.
    pub(super) fn exporter(
        &self,
        context: &mut ExporterContext<'_>,
    ) -> Result<Arc<Prometheus>, RouteError> {
        let exporter = Prometheus::new(context.id, self, context.meter, context.states);
        let exporter = Arc::new(exporter);
        let route = exporter.route(&self.path);
        let server = self.server();
        let route = route.at_most_shared(self.max_concurrent_scrapes);
        context.listeners.route(&server, route)?;
        if self.probe.enabled {
            let route = exporter.probe_route(self, Arc::clone(&context.probe));
            context.listeners.route(&server, route)?;
        }
        Ok(exporter)
    }
}
