//! What a source of targets authenticates with, and its TLS settings.

use std::path::PathBuf;

use reqwest::Url;
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls;

use crate::{
    client::{
        Tls,
        auth::{HeaderAuth, OriginAuth},
    },
    http::{SecretHeader, SecretText},
    settings::Secret,
    yaml::{Cursor, Diagnostics},
};

/// User name and password.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password.
    #[serde(default)]
    pub password: Secret,
    /// A file that holds the password; read at each request.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// The `Authorization` header.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Authorization {
    /// The word before the credentials.
    pub r#type: String,
    /// The credentials.
    pub credentials: Secret,
    /// A file that holds the credentials; read at each request.
    pub credentials_file: Option<PathBuf>,
}

/// How to speak TLS.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TlsConfig {
    /// PEM file with certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our own certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    pub key_file: Option<PathBuf>,
    /// The name to expect in the server's certificate instead of the URL's.
    pub server_name: Option<String>,
    /// Trust any certificate. For tests only.
    pub insecure_skip_verify: bool,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            r#type: "Bearer".to_owned(),
            credentials: Secret::default(),
            credentials_file: None,
        }
    }
}

/// The settings of a client of a source.
pub(super) struct ClientSettings<'c> {
    pub(super) basic_auth: Option<&'c BasicAuth>,
    pub(super) authorization: Option<&'c Authorization>,
    pub(super) tls_config: &'c TlsConfig,
}

impl ClientSettings<'_> {
    /// Checks what a type cannot say; `at` is the source. Mistakes go to `diagnostics`.
    pub(super) fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.basic_auth.is_some() && self.authorization.is_some() {
            let message = "has both `basic_auth` and `authorization`; choose one";
            at.error(&[], message, diagnostics);
        }
        if let Some(basic) = self.basic_auth
            && basic.password_file.is_some()
            && !basic.password.is_empty()
        {
            let message = "has both `password` and `password_file`; choose one";
            at.error(&["basic_auth"], message, diagnostics);
        }
        if let Some(header) = self.authorization {
            if header.credentials_file.is_some() != header.credentials.is_empty() {
                let message = "needs either `credentials` or `credentials_file`";
                at.error(&["authorization"], message, diagnostics);
            }
            if header.r#type.eq_ignore_ascii_case("basic") {
                let message = "cannot be `Basic`: use `basic_auth`";
                at.error(&["authorization", "type"], message, diagnostics);
            }
        }
        if self.tls_config.cert_file.is_some() != self.tls_config.key_file.is_some() {
            let message = "needs both `cert_file` and `key_file`, or neither";
            at.error(&["tls_config"], message, diagnostics);
        }
        let name = self.tls_config.server_name.clone();
        if name.is_some_and(|name| ServerName::try_from(name).is_err()) {
            let message = "expected a host name or an IP address";
            at.error(&["tls_config", "server_name"], message, diagnostics);
        }
    }
}

/// What a source authenticates with.
#[derive(Debug, Clone, Default)]
pub(super) struct Credentials {
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
}

impl Credentials {
    pub(super) fn new(
        basic_auth: &Option<BasicAuth>,
        authorization: &Option<Authorization>,
    ) -> Self {
        Self {
            basic_auth: basic_auth.clone(),
            authorization: authorization.clone(),
        }
    }

    /// What authenticates requests to the server at `url`, if anything does. Files are read again
    /// after a rotation.
    pub(super) fn at(&self, url: &Url) -> Option<OriginAuth> {
        let secret = if let Some(basic) = &self.basic_auth {
            let username = SecretText::fixed(&basic.username);
            let password = SecretText::new(&basic.password, basic.password_file.as_ref());
            SecretHeader::basic(username, password)
        } else if let Some(header) = &self.authorization {
            let file = header.credentials_file.as_ref();
            SecretHeader::token(&header.r#type, SecretText::new(&header.credentials, file))
        } else {
            return None;
        };
        Some(OriginAuth::new(&HeaderAuth::authorization(secret), url))
    }
}

impl TlsConfig {
    /// The same in the words of the clients: the system's certificates are trusted too.
    pub(super) fn settings(&self) -> Tls {
        Tls {
            insecure_skip_verify: self.insecure_skip_verify,
            ca_file: self.ca_file.clone(),
            include_system_ca_certs_pool: true,
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            server_name_override: self.server_name.clone(),
            ..Tls::default()
        }
    }
}
