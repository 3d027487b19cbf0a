//! Checks of the configuration that its types cannot make.

use std::sync::Arc;

use super::{
    config::{Config, TargetConfig},
    poll::exchanges::AT_ONCE,
};
use crate::{
    client::headers,
    definition::{self, Definition, LoadError},
    resilience::{
        feasibility::{self, EndpointRequests, FeasibilityFinding, FeasibilityInput, Severity},
        instances::INSTANCES_MAX,
    },
    settings::TargetUrl,
    telemetry::chain,
    yaml::{Cursor, Diagnostics, list, nearest},
};

impl Config {
    /// Checks values that depend on each other. Mistakes and warnings go to `diagnostics`.
    pub(super) fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_targets(at, diagnostics);
        self.discovery().check(at, diagnostics);
        self.check_limits(at, diagnostics);
        self.check_resilience(at, diagnostics);
        self.check_client(at, diagnostics);
        let definitions = self.check_definition(at, diagnostics);
        self.check_parameters(&definitions, at, diagnostics);
        self.check_intervals(&definitions, at, diagnostics);
    }

    fn check_targets(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.targets.is_empty() && self.discovery().is_empty() {
            at.error(&["targets"], "must have at least one target", diagnostics);
        }
        let names: Vec<_> = self
            .targets
            .iter()
            .map(TargetConfig::display_name)
            .collect();
        let cursors = at.at(&["targets"]).into_iter();
        let cursors = cursors.flat_map(|targets| targets.children().collect::<Vec<_>>());
        for (target, at) in self.targets.iter().zip(cursors) {
            target.check(&at, diagnostics);
        }
        for (index, name) in names.iter().enumerate() {
            let position = index.to_string();
            if names.iter().take(index).any(|before| before == name) {
                let message = format!("a target `{name}` stands above; give each its own `name`");
                at.error(&["targets", &position], message, diagnostics);
            }
            let labels = self.targets.get(index).map(|target| &target.labels);
            for label in labels.into_iter().flat_map(|labels| labels.keys()) {
                if label.is_empty() || label == "target" {
                    let message = format!("`{label}` cannot be a label: the collector sets it");
                    at.error(
                        &["targets", &position, "labels", label],
                        message,
                        diagnostics,
                    );
                }
            }
        }
    }

    fn check_limits(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.concurrency == 0 {
            at.error(&["concurrency"], "requires positive value", diagnostics);
        }
        if self.body_limit.get() == 0 {
            at.error(&["body_limit"], "requires positive value", diagnostics);
        }
        let [memory, _] = self.document_memory();
        if memory < self.body_limit.get() {
            let message = "must be at least one and a third of `body_limit`: three quarters of it are for the bodies that are read";
            at.error(&["max_document_memory"], message, diagnostics);
        }
    }

    /// Whether timeouts, retries and breakers fit into the interval.
    pub(super) fn findings(&self) -> Vec<FeasibilityFinding> {
        let definition = self
            .definition
            .first()
            .and_then(|name| definition::load(name).ok());
        let targets = self.targets.iter().map(TargetConfig::hosts);
        let plan = FeasibilityInput {
            interval: self.collection_interval,
            timeout: self.timeout,
            deadline: self.deadline,
            retry: &self.retry,
            circuit_breaker: &self.circuit_breaker,
            cache: self.cache,
            freshness_objective: self.freshness_objective,
            targets: &targets.collect::<Vec<_>>(),
            endpoints: &definition
                .map(|definition| self.requests(&definition))
                .unwrap_or_default(),
        };
        feasibility::check(&plan)
    }

    fn check_resilience(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for finding in self.findings() {
            match finding.severity {
                Severity::Error => at.error(finding.path, finding.message, diagnostics),
                Severity::Warning => at.warning(finding.path, finding.message, diagnostics),
                Severity::Note => {}
            }
        }
    }

    /// The requests of each endpoint of a definition.
    pub fn requests(&self, definition: &Definition) -> Vec<EndpointRequests> {
        let endpoints = definition.endpoints.iter();
        let requests = endpoints.map(|endpoint| {
            let pages = endpoint.pages.as_ref().map_or(1, |pages| pages.max);
            let elements = endpoint.derivation.as_ref().map_or(1, |of| of.max);
            EndpointRequests {
                name: endpoint.id.to_string(),
                every: endpoint.every(self.collection_interval.get()),
                in_a_row: pages.saturating_mul(elements.div_ceil(AT_ONCE)) as u64,
            }
        });
        requests.collect()
    }

    fn check_client(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.auth.check(at, diagnostics);
        let encrypted = |target: &TargetConfig| target.urls().any(TargetUrl::is_https);
        let tls = self.tls.check_for_urls(self.targets.iter().any(encrypted));
        let headers = headers::parse(&self.headers).err();
        for mistake in tls.into_iter().chain(headers) {
            mistake.report(at, diagnostics);
        }
        if let Some(proxy) = &self.proxy
            && proxy != "environment"
            && reqwest::Proxy::all(proxy.as_str()).is_err()
        {
            at.error(
                &["proxy"],
                "expected a URL such as http://proxy:3128, or `environment`",
                diagnostics,
            );
        }
    }

    /// The definitions that can be read.
    fn check_definition(
        &self,
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Arc<Definition>> {
        let mut definitions = Vec::new();
        if self.definition.is_empty() {
            at.error(&[], "missing key `definition`", diagnostics);
        }
        for name in &self.definition {
            match definition::load(name) {
                Ok(definition) => definitions.push(definition),
                Err(LoadError::Invalid(mistakes)) => diagnostics.extend(mistakes),
                Err(error) => at.error(&["definition"], chain(&error), diagnostics),
            }
        }
        definitions
    }

    /// What is said of parameters has an effect, and those without a value get one.
    fn check_parameters(
        &self,
        definitions: &[Arc<Definition>],
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        // What a definition with mistakes has is not known.
        if definitions.len() != self.definition.len() {
            return;
        }
        let known: Vec<_> = definitions
            .iter()
            .flat_map(|it| it.parameters.names())
            .collect();
        for name in self.parameters.names().filter(|name| !known.contains(name)) {
            let hint = match nearest(name, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => "it has none".to_owned(),
                None => format!("there are {}", list(&known)),
            };
            let message = format!("the definition has no parameter `{name}` ({hint})");
            at.error(&["parameters", name], message, diagnostics);
        }
        for name in self.parameters.wrong() {
            let message = "expected a text, a number or a boolean";
            at.error(&["parameters", name], message, diagnostics);
        }
        let all = definitions
            .iter()
            .map(|definition| (definition, &definition.parameters));
        for (definition, parameters) in all {
            let has = |name: &str| parameters.has(name) || self.parameters.has(name);
            for name in parameters.names().filter(|name| !has(name)) {
                let message = format!(
                    "the definition `{}` needs the parameter `{name}`: write `parameters: \
                     {{{name}: …}}`",
                    definition.name
                );
                at.error(&["parameters"], message, diagnostics);
            }
        }
    }

    /// An endpoint is asked at ticks of the receiver.
    fn check_intervals(
        &self,
        definitions: &[Arc<Definition>],
        at: &Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let tick = self.collection_interval;
        if tick.is_zero() {
            return;
        }
        for endpoint in definitions.iter().flat_map(|it| &it.endpoints) {
            let Some(interval) = endpoint.interval else {
                continue;
            };
            if interval.as_nanos() % tick.get().as_nanos() != 0 {
                let message = format!(
                    "the interval of the endpoint `{}` is no multiple of it: {} s",
                    endpoint.id,
                    interval.as_secs_f64()
                );
                at.error(&["collection_interval"], message, diagnostics);
            }
        }
    }
}

impl TargetConfig {
    /// The name of the target, and the `host:port` of each instance.
    pub(crate) fn hosts(&self) -> (String, Vec<String>) {
        let hosts = self.urls().map(TargetUrl::address);
        (self.display_name(), hosts.collect())
    }

    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let (_, hosts) = self.hosts();
        match (&self.endpoint, hosts.len()) {
            (None, 0) => at.error(&[], "missing key `endpoint`", diagnostics),
            (Some(_), 2..) => {
                let message = "give either `endpoint` or `endpoints`";
                at.error(&["endpoints"], message, diagnostics);
            }
            (_, 2..) if self.mode.is_none() => {
                let message = "what are they to each other? `mode: replicas` if each answers with \
                               the same data; instances with data of their own are a target each";
                at.error(&["endpoints"], message, diagnostics);
            }
            (_, 2..) if self.name.is_none() => {
                let message = "missing key `name`: several endpoints have no address in common";
                at.error(&[], message, diagnostics);
            }
            (_, 0 | 1) if self.mode.is_some() => {
                let message = "one endpoint has no replicas: give `endpoints`";
                at.error(&["mode"], message, diagnostics);
            }
            (_, 0..=INSTANCES_MAX) => {}
            _ => {
                let message = format!("more than {INSTANCES_MAX}: give some to another target");
                at.error(&["endpoints"], message, diagnostics);
            }
        }
        if let Some(auth) = &self.auth {
            auth.check(at, diagnostics);
        }
        self.check_ends(at, diagnostics);
        for (index, host) in hosts.iter().enumerate() {
            if hosts.iter().take(index).any(|before| before == host) {
                let message = format!("`{host}` stands above");
                at.error(&["endpoints", &index.to_string()], message, diagnostics);
            }
        }
    }

    /// Checks that paths can be appended to the URLs: not behind a query.
    fn check_ends(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        for (index, url) in self.urls().enumerate() {
            let index = index.to_string();
            let key: &[&str] = match self.endpoint {
                Some(_) => &["endpoint"],
                None => &["endpoints", &index],
            };
            if !url.is_base() {
                let message = "the paths of the definition follow it, so it can have no query and \
                               no fragment: a definition's `path` can have a query";
                at.error(key, message, diagnostics);
            }
        }
    }
}
