//! The TLS settings of outgoing connections.

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls;

use crate::{
    client::ConfigError,
    http::{TlsChoice, TlsChoiceError, TlsVersion},
    settings::{Duration, Secret},
};

/// TLS settings with the keys of the OpenTelemetry Collector. A certificate or key is a PEM file or
/// the PEM text itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Tls {
    /// Use plain text for a gRPC endpoint that has no scheme. A scheme decides by itself.
    pub insecure: bool,
    /// Accept any certificate. Use this only for tests.
    pub insecure_skip_verify: bool,
    /// The name to expect in the certificate of the server instead of that of the endpoint.
    pub server_name_override: Option<String>,
    /// File of the certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificates to trust in place of the system's, as PEM text.
    pub ca_pem: Option<Secret>,
    /// Trust the system's certificates in addition to those of `ca_file` or `ca_pem`.
    pub include_system_ca_certs_pool: bool,
    /// File of the client certificate, followed by its intermediate certificates.
    pub cert_file: Option<PathBuf>,
    /// The client certificate, followed by its intermediate certificates, as PEM text.
    pub cert_pem: Option<Secret>,
    /// File of the key of the client certificate.
    pub key_file: Option<PathBuf>,
    /// The key of the client certificate, as PEM text.
    pub key_pem: Option<Secret>,
    /// The oldest TLS version to use: 1.2 or 1.3.
    pub min_version: TlsVersion,
    /// The newest TLS version to use: 1.2 or 1.3. Default: the newest supported one.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2 by their IANA names. Those of TLS 1.3 are always offered.
    pub cipher_suites: Vec<String>,
    /// The groups of the key exchange in order of preference: X25519, P256, P384, X25519MLKEM768.
    pub curve_preferences: Vec<String>,
    /// How often the files are read again, at a new connection. 0 means never.
    pub reload_interval: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            insecure: false,
            insecure_skip_verify: false,
            server_name_override: None,
            ca_file: None,
            ca_pem: None,
            include_system_ca_certs_pool: false,
            cert_file: None,
            cert_pem: None,
            key_file: None,
            key_pem: None,
            min_version: TlsVersion::default(),
            max_version: None,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            reload_interval: Duration::from_secs(10),
        }
    }
}

impl Tls {
    /// Finds settings that contradict each other, below the key `tls`. It reads no file.
    pub fn check(&self) -> Vec<ConfigError> {
        let certificate = self.cert_file.is_some() || self.cert_pem.is_some();
        let key = self.key_file.is_some() || self.key_pem.is_some();
        let twice = |what: &str| format!("has both `{what}_file` and `{what}_pem`; choose one");
        let name = self.server_name_override.clone();
        let checks = [
            (
                "tls",
                self.ca_file.is_some() && self.ca_pem.is_some(),
                twice("ca"),
            ),
            (
                "tls",
                self.cert_file.is_some() && self.cert_pem.is_some(),
                twice("cert"),
            ),
            (
                "tls",
                self.key_file.is_some() && self.key_pem.is_some(),
                twice("key"),
            ),
            (
                "tls",
                certificate != key,
                "needs both `cert_file` and `key_file`, or neither".to_owned(),
            ),
            (
                "tls.server_name_override",
                name.is_some_and(|name| ServerName::try_from(name).is_err()),
                "expected a host name or an IP address".to_owned(),
            ),
        ];
        let failed = checks.into_iter().filter(|(_, failed, _)| *failed);
        let failed = failed.map(|(key, _, why)| ConfigError::new(key, why));
        let choice = [
            self.choice().versions().err(),
            self.choice().provider().err(),
        ];
        failed
            .chain(choice.into_iter().flatten().map(invalid_choice))
            .collect()
    }

    /// The chosen versions, cipher suites and groups.
    pub(super) fn choice(&self) -> TlsChoice<'_> {
        TlsChoice {
            min_version: self.min_version,
            max_version: self.max_version,
            cipher_suites: &self.cipher_suites,
            curve_preferences: &self.curve_preferences,
        }
    }

    /// Like [`Self::check`], for a client that only uses URLs. `encrypted` says whether one is
    /// `https`.
    pub fn check_for_urls(&self, encrypted: bool) -> Vec<ConfigError> {
        let mut mistakes = self.check();
        if self.insecure && encrypted {
            let message = "contradicts the https:// of the URL";
            mistakes.push(ConfigError::new("tls.insecure", message));
        }
        mistakes
    }

    /// Whether there are files, which may change while the collector runs.
    pub(super) fn names_files(&self) -> bool {
        self.ca_file.is_some() || self.cert_file.is_some() || self.key_file.is_some()
    }
}

/// An invalid choice, with its whole key.
pub(super) fn invalid_choice(error: TlsChoiceError) -> ConfigError {
    let key = match error.key {
        "max_version" => "tls.max_version",
        "cipher_suites" => "tls.cipher_suites",
        _ => "tls.curve_preferences",
    };
    ConfigError::new(key, error)
}
