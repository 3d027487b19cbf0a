//! The listener settings of a component.

use super::{ClientLimits, ServerAuthConfig, TlsConfig};
use crate::yaml::{Cursor, Diagnostics};

/// The settings of a component that serves HTTP, with the keys of the OpenTelemetry Collector.
/// Components with the same endpoint share its listener and must have the same TLS and limits. Each
/// has its own credentials.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address as `host:port`.
    pub endpoint: String,
    /// The key `tls`. Without it the listener uses plain text.
    pub tls: Option<TlsConfig>,
    /// The key `auth`. Without it every client has access.
    pub auth: ServerAuthConfig,
    /// What a client may use. `None` accepts the limits of other components.
    pub limits: Option<ClientLimits>,
}

impl ServerConfig {
    /// Plain text, with access for everyone who reaches the endpoint.
    pub fn plain(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            tls: None,
            auth: ServerAuthConfig::default(),
            limits: None,
        }
    }

    /// Checks the component at `at`, as far as the types cannot check it.
    pub fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.auth.check(at, diagnostics);
        if let Some(choice) = self.tls.as_ref().map(TlsConfig::choice) {
            let mistakes = [choice.versions().err(), choice.provider().err()];
            for mistake in mistakes.into_iter().flatten() {
                at.error(&["tls", mistake.key], mistake.to_string(), diagnostics);
            }
        }
        if let Some(basic) = &self.auth.basic
            && basic.password_file.is_none()
            && basic.password.is_empty()
        {
            let message = "needs either `password` or `password_file`";
            at.error(&["auth", "basic"], message, diagnostics);
        }
        if self.tls.is_none() && !self.auth.is_none() && !is_local(&self.endpoint) {
            let message = "passwords and tokens cross the network in clear text without `tls`";
            at.warning(&["auth"], message, diagnostics);
        }
    }

    /// The setting that differs between two components that share a listener.
    pub fn differs_in(&self, other: &Self) -> Option<&'static str> {
        let both = self.limits.zip(other.limits);
        if self.tls != other.tls {
            Some("`tls`")
        } else if both.is_some_and(|(ours, theirs)| ours != theirs) {
            Some("the limits of a client")
        } else {
            None
        }
    }
}

fn is_local(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
