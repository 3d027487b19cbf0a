//! The configuration of the extension, with the Collector's keys.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::ParameterValues;
use crate::{
    client::{TLS_FOREIGN, Tls},
    settings::{Duration, HttpUrl, Secret},
    yaml::{Cursor, Diagnostics, Foreign, ForeignKey},
};

/// Authenticates requests with a token of an OAuth 2.0 server.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The id of this client.
    pub client_id: String,
    /// A file with the id, in place of `client_id`. It is read again for each new token.
    pub client_id_file: Option<PathBuf>,
    /// The secret of this client.
    pub client_secret: Secret,
    /// A file with the secret, in place of `client_secret`. It is read again for each new token.
    pub client_secret_file: Option<PathBuf>,
    /// The URL at which the server gives out tokens.
    pub token_url: Option<HttpUrl>,
    /// The rights that the token should have.
    pub scopes: Vec<String>,
    /// More parameters of the request for a token, such as `audience`: a text, which is one value
    /// with all its commas, or a list.
    pub endpoint_params: BTreeMap<String, ParameterValues>,
    /// TLS settings of the connection to the server.
    pub tls: Tls,
    /// The longest time for one request for a token. The Collector has no limit by default.
    pub timeout: Duration,
    /// A token is renewed so long before it expires, but not in the first half of its life.
    pub expiry_buffer: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_id_file: None,
            client_secret: Secret::default(),
            client_secret_file: None,
            token_url: None,
            scopes: Vec::new(),
            endpoint_params: BTreeMap::new(),
            tls: Tls::default(),
            timeout: Duration::from_secs(10),
            expiry_buffer: Duration::from_secs(5 * 60),
        }
    }
}

/// Keys of `oauth2client` that only the Collector has.
pub(super) const FOREIGN: Foreign = Foreign {
    keys: &[
        ForeignKey::only(
            &["grant_type"],
            &["client_credentials"],
            "this collector proves who it is with `client_secret`",
        ),
        ForeignKey::refused(
            &[
                "audience",
                "claims",
                "client_certificate_key",
                "client_certificate_key_file",
                "client_certificate_key_id",
                "iss",
                "signature_algorithm",
            ],
            "it belongs to the grant type `jwt-bearer`; use `client_secret`, and `endpoint_params` \
             for an audience",
        ),
    ],
    below: &[("tls", &TLS_FOREIGN)],
    ..Foreign::NONE
};

impl Config {
    pub(super) fn check_values(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let needs = [
            (
                self.client_id.is_empty() && self.client_id_file.is_none(),
                "needs `client_id` or `client_id_file`",
            ),
            (
                self.client_secret.is_empty() && self.client_secret_file.is_none(),
                "needs `client_secret` or `client_secret_file`",
            ),
            (self.token_url.is_none(), "missing key `token_url`"),
        ];
        for (_, message) in needs.into_iter().filter(|(is_missing, _)| *is_missing) {
            at.error(&[], message, diagnostics);
        }
        if self.timeout.is_zero() {
            at.error(&["timeout"], "requires positive value", diagnostics);
        }
        let is_encrypted = self.token_url.as_ref().is_some_and(HttpUrl::is_https);
        for mistake in self.tls.check_for_urls(is_encrypted) {
            mistake.report(at, diagnostics);
        }
    }
}
