//! What the configuration says of the exporter, under the Collector's keys.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RemoteWrite, series::Rules};
use crate::{
    client::{Invalid, Tls},
    delivery::{
        Context, Delivery, Remote, RetryOnFailure, SendingQueue, Settings, http::HttpDestination,
    },
    exporters::ending::Ending,
    http::AuthConfig,
    pipeline::Exporter,
    settings::{Compression, Duration, Headers, HttpUrl},
    yaml::{Cursor, Diagnostics},
};

/// Pushes samples by Prometheus' remote write 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Full URL of the destination.
    pub endpoint: Option<HttpUrl>,
    /// The longest one attempt may take, a duration.
    pub timeout: Duration,
    /// Headers of every request.
    pub headers: Headers,
    /// Who we are to the destination.
    pub auth: AuthConfig,
    /// TLS towards the destination.
    pub tls: Tls,
    /// When and how long a failed batch is tried again.
    pub retry_on_failure: RetryOnFailure,
    /// What waits between the polls and the network. `num_consumers` must be 1.
    pub sending_queue: SendingQueue,
    /// What stands before each name, with `_` between.
    pub namespace: String,
    /// Labels on every series that has none of that name itself.
    pub external_labels: BTreeMap<String, String>,
    /// Whether names end with unit and `_total`.
    pub add_metric_suffixes: bool,
    /// Whether all attributes of the Resource are labels of every series.
    pub resource_to_telemetry_conversion: Switch,
    /// Whether the Resource is a series `target_info`.
    pub target_info: Switch,
}

/// Something that is done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Switch {
    /// Whether it is done.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            timeout: Duration::from_secs(5),
            headers: Headers::default(),
            auth: AuthConfig::default(),
            tls: Tls::default(),
            retry_on_failure: RetryOnFailure::default(),
            sending_queue: SendingQueue::default(),
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            add_metric_suffixes: true,
            resource_to_telemetry_conversion: Switch { enabled: false },
            target_info: Switch { enabled: true },
        }
    }
}

impl Config {
    /// Makes the exporter that `context` tells of, within a tokio runtime. One that takes the place
    /// of another knows what that one said.
    ///
    /// # Errors
    ///
    /// Names the key whose value cannot be used.
    pub fn build(
        &self,
        context: Context<'_>,
        before: Option<&RemoteWrite>,
    ) -> Result<Arc<dyn Exporter>, Invalid> {
        let settings = Settings {
            timeout: self.timeout.get(),
            retry: self.retry_on_failure.clone(),
            queue: self.sending_queue.clone(),
        };
        let ending = Ending::new(context.clock);
        let delivery = Delivery::start(context, settings, self.destination()?)?;
        let memory = before.map(|before| Arc::clone(&before.memory));
        let rules = Rules {
            namespace: self.namespace.clone(),
            has_suffixes: self.add_metric_suffixes,
            external_labels: self.external_labels.clone(),
            converts_resource: self.resource_to_telemetry_conversion.enabled,
            has_target_info: self.target_info.enabled,
        };
        Ok(Arc::new(RemoteWrite {
            rules,
            delivery,
            memory: memory.unwrap_or_default(),
            ending,
        }))
    }

    /// Checks what a type cannot say; mistakes go to `diagnostics`.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let destination = self.destination().err().into_iter();
        let others = self.retry_on_failure.check().into_iter();
        for mistake in destination.chain(others).chain(self.sending_queue.check()) {
            mistake.report(at, diagnostics);
        }
        self.auth.check(at, diagnostics);
        if self.sending_queue.num_consumers > 1 {
            let message = "must be 1: the samples of a series are taken in their order only";
            at.error(&["sending_queue", "num_consumers"], message, diagnostics);
        }
        if !self.namespace.is_empty() && !is_label(&self.namespace) {
            let message = "expected letters, digits and `_`, and no digit at the beginning";
            at.error(&["namespace"], message, diagnostics);
        }
        for name in self.external_labels.keys() {
            if !is_label(name) || name.starts_with("__") {
                let message = format!(
                    "`{name}` is no label: letters, digits and `_`, not first a digit or `__`"
                );
                at.error(&["external_labels", name], message, diagnostics);
            }
        }
    }

    fn destination(&self) -> Result<HttpDestination, Invalid> {
        let needs = "is required, such as http://localhost:9090/api/v1/write";
        let url = self
            .endpoint
            .as_ref()
            .ok_or_else(|| Invalid::new("endpoint", needs))?;
        let remote = Remote {
            compression: Compression::None,
            headers: &self.headers,
            auth: &self.auth,
            tls: &self.tls,
        };
        HttpDestination::remote_write(url.get().clone(), &remote)
    }
}

fn is_label(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(is_known)
        && !name.is_empty()
}
