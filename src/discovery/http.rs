//! `http_sd_configs`: a server that answers with a JSON list of target groups.
//!
//! Whoever speaks this format can hand out the targets: an inventory, or the Target Allocator of
//! the OpenTelemetry Operator at `/jobs/JOB/targets?collector_id=NAME`.

use std::{io, path::Path, time::Duration};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderValue, StatusCode, header};
use reqwest::Client;
use rustls::pki_types::ServerName;
use tokio_rustls::rustls;

use super::{
    config::{Check, HttpSdConfig, TlsConfig, check_interval},
    group::{Parsed, parse_json},
    source::{BODY_BYTES_MAX, Provider, RefreshError, SourcePart},
};
use crate::{
    client::{
        ConfigError, ProxyChoice, Tls, client_builder,
        content_encoding::{ACCEPTED, Codings},
        without_decoding,
    },
    runtime::{heavy, read_file},
    yaml::{Cursor, Diagnostics},
};

/// Label: the URL that named a target.
const URL: &str = "__meta_url";

/// Header: how often we ask, in seconds.
const INTERVAL_HEADER: &str = "x-prometheus-refresh-interval-seconds";

/// A secret's file is no larger than this.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// One `http_sd_configs` entry.
pub(super) struct HttpSd {
    config: HttpSdConfig,
    client: Client,
}

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpSdError {
    /// What `tls_config` names cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] ConfigError),
    /// The settings contradict each other.
    #[error("failed to set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Check for HttpSdConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        check_interval(self.refresh_interval, at, diagnostics);
        if self.basic_auth.is_some() && self.authorization.is_some() {
            let message = "has both `basic_auth` and `authorization`; choose one";
            at.error(&[], message, diagnostics);
        }
        if let Some(basic) = &self.basic_auth
            && basic.password_file.is_some()
            && !basic.password.is_empty()
        {
            let message = "has both `password` and `password_file`; choose one";
            at.error(&["basic_auth"], message, diagnostics);
        }
        if let Some(header) = &self.authorization {
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
        for (name, value) in self.url.get().query_pairs() {
            if value.is_empty() {
                let message = format!("`{name}` has no value in the query: is a variable not set?");
                at.warning(&["url"], message, diagnostics);
            }
        }
    }
}

impl HttpSd {
    pub(super) fn new(config: &HttpSdConfig) -> Result<Self, HttpSdError> {
        let is_https = config.url.is_https();
        // Also for clear text, so that a file that cannot be used shows at once.
        let is_read = is_https || config.tls_config != TlsConfig::default();
        let tls = is_read.then(|| tls(&config.tls_config).client_config());
        let tls = tls.transpose()?.filter(|_| is_https);
        let builder = without_decoding(client_builder(tls, ProxyChoice::None))
            // Asked once a minute: a kept connection would be closed by then.
            .pool_max_idle_per_host(0);
        Ok(Self {
            config: config.clone(),
            client: builder.build()?,
        })
    }

    async fn ask(&self) -> Result<Parsed, RefreshError> {
        let interval: Duration = self.config.refresh_interval.get();
        let mut request = self
            .client
            .get(self.config.url.get().clone())
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, ACCEPTED)
            .header(INTERVAL_HEADER, interval.as_secs_f64().to_string());
        if let Some(credentials) = self.credentials().map_err(RefreshError::Credentials)? {
            request = request.header(header::AUTHORIZATION, credentials);
        }
        let failed = |error: reqwest::Error| RefreshError::Request(error.without_url());
        let mut answer = request.send().await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(RefreshError::Status(answer.status()));
        }
        if !is_json(answer.headers().get(header::CONTENT_TYPE)) {
            return Err(RefreshError::ContentType);
        }
        let codings = Codings::of(answer.headers())?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if (body.len() + chunk.len()) as u64 > BODY_BYTES_MAX {
                return Err(RefreshError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        // A long list takes long enough to delay a poll.
        let read = move || {
            let body = codings.decode(body.into(), BODY_BYTES_MAX)?;
            let mut parsed = parse_json(&body)?;
            parsed.sort();
            Ok::<_, RefreshError>(parsed)
        };
        let parsed = heavy::offload(read).await;
        let mut parsed = parsed.map_err(|_| RefreshError::Stopped)??;
        parsed.origin = Some((URL, self.config.url.get().to_string()));
        Ok(parsed)
    }

    /// The `Authorization` header; files are read each time, because secrets are rotated.
    fn credentials(&self) -> io::Result<Option<HeaderValue>> {
        let text = if let Some(basic) = &self.config.basic_auth {
            let password = match &basic.password_file {
                Some(path) => secret(path)?,
                None => basic.password.expose().to_owned(),
            };
            let pair = format!("{}:{password}", basic.username);
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        } else if let Some(header) = &self.config.authorization {
            let credentials = match &header.credentials_file {
                Some(path) => secret(path)?,
                None => header.credentials.expose().to_owned(),
            };
            format!("{} {credentials}", header.r#type)
        } else {
            return Ok(None);
        };
        let unprintable =
            || io::Error::other("the secret has characters that a header cannot have");
        let mut value = HeaderValue::from_str(&text).map_err(|_| unprintable())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

#[async_trait]
impl Provider for HttpSd {
    async fn refresh(&mut self) -> Result<Vec<SourcePart>, RefreshError> {
        // Shown in the log: without the query, which may hold a token.
        let mut shown = self.config.url.get().clone();
        shown.set_query(None);
        Ok(vec![SourcePart {
            key: shown.to_string(),
            result: self.ask().await,
        }])
    }
}

/// `application/json`, with or without `charset=utf-8`.
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok());
    let text = text.unwrap_or_default().to_ascii_lowercase();
    let (kind, parameters) = text.split_once(';').unwrap_or((&text, ""));
    let charset = parameters
        .trim()
        .trim_start_matches("charset=")
        .trim_matches('"');
    kind.trim() == "application/json" && ["", "utf-8"].contains(&charset)
}

/// The same in our own words: the system's certificates are trusted too.
fn tls(config: &TlsConfig) -> Tls {
    Tls {
        insecure_skip_verify: config.insecure_skip_verify,
        ca_file: config.ca_file.clone(),
        include_system_ca_certs_pool: true,
        cert_file: config.cert_file.clone(),
        key_file: config.key_file.clone(),
        server_name_override: config.server_name.clone(),
        ..Tls::default()
    }
}

/// A file's text without the line end that editors add.
fn secret(path: &Path) -> io::Result<String> {
    let text = read_file(path, SECRET_BYTES_MAX)?;
    let no_text = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let text = String::from_utf8(text).map_err(no_text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_those_that_prometheus_takes() {
        for (text, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON;charset=\"UTF-8\"", true),
            ("application/json; charset=latin1", false),
            ("text/html", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(is_json(Some(&value)), expected, "{text}");
        }
        assert!(!is_json(None));
    }
}
