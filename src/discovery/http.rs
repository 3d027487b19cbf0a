//! `http_sd_configs`: a server that answers with a JSON list of target groups.
//!
//! Whoever speaks this format can hand out the targets: an inventory, or the Target Allocator of
//! the OpenTelemetry Operator at `/jobs/JOB/targets?collector_id=NAME`.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::{Client, Response};

use super::{
    config::{Check, HttpSdConfig, check_interval},
    credentials::{ClientSettings, Credentials, TlsConfig},
    group::{Parsed, parse_json},
    source::{BODY_BYTES_MAX, Provider, RefreshError, SourcePart},
};
use crate::{
    client::{
        ConfigError, ProxyChoice,
        auth::{AuthRequest, Authenticators, OriginAuth, OriginCredentials},
        client_builder,
        content_encoding::{ACCEPTED, Codings},
        without_decoding,
    },
    runtime::heavy,
    yaml::{Cursor, Diagnostics},
};

/// Label: the URL that named a target.
const URL: &str = "__meta_url";

/// Header: how often we ask, in seconds.
const INTERVAL_HEADER: &str = "x-prometheus-refresh-interval-seconds";

/// One `http_sd_configs` entry.
pub(super) struct HttpSd {
    config: HttpSdConfig,
    client: Client,
    auth: Option<OriginAuth>,
}

/// Why the client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpSdError {
    /// What `tls_config` names cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] ConfigError),
    /// The extension that it names does not authenticate requests.
    #[error("failed to set up authentication")]
    Auth(#[source] ConfigError),
    /// The settings contradict each other.
    #[error("failed to set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Check for HttpSdConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        check_interval(self.refresh_interval, at, diagnostics);
        ClientSettings {
            basic_auth: self.basic_auth.as_ref(),
            authorization: self.authorization.as_ref(),
            tls_config: &self.tls_config,
        }
        .check(at, diagnostics);
        if let Some(auth) = &self.auth {
            auth.check(at, diagnostics);
            if self.basic_auth.is_some() || self.authorization.is_some() {
                let message = "cannot stand beside `basic_auth` or `authorization`; choose one";
                at.error(&["auth"], message, diagnostics);
            }
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
    pub(super) fn new(
        config: &HttpSdConfig,
        authenticators: &Authenticators,
    ) -> Result<Self, HttpSdError> {
        let is_https = config.url.is_https();
        // Also for clear text, so that a file that cannot be used shows at once.
        let is_read = is_https || config.tls_config != TlsConfig::default();
        let tls = is_read.then(|| config.tls_config.settings().client_config());
        let tls = tls.transpose()?.filter(|_| is_https);
        let builder = without_decoding(client_builder(tls, ProxyChoice::None))
            // Asked once a minute: a kept connection would be closed by then.
            .pool_max_idle_per_host(0);
        Ok(Self {
            config: config.clone(),
            client: builder.build()?,
            auth: auth(config, authenticators).map_err(HttpSdError::Auth)?,
        })
    }

    /// Asks, and once more if the server wants other credentials.
    async fn exchange(&self) -> Result<Response, RefreshError> {
        let Some(auth) = &self.auth else {
            return self.send(None).await;
        };
        let patience = self.config.refresh_interval.get();
        let used = auth.credentials(patience).await?;
        let answer = self.send(Some(&used)).await?;
        let Some(other) = auth.answered(&used, &answer, patience).await? else {
            return Ok(answer);
        };
        let answer = self.send(Some(&other)).await?;
        auth.repeated(&other, &answer);
        Ok(answer)
    }

    async fn send(
        &self,
        credentials: Option<&OriginCredentials>,
    ) -> Result<Response, RefreshError> {
        let url = self.config.url.get();
        let interval: Duration = self.config.refresh_interval.get();
        let mut headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("application/json")),
            (header::ACCEPT_ENCODING, ACCEPTED),
        ]);
        if let Some(credentials) = credentials {
            credentials.apply(AuthRequest {
                method: &Method::GET,
                url,
                headers: &mut headers,
                body: b"",
            })?;
        }
        let request = self.client.get(url.clone()).headers(headers);
        let request = request.header(INTERVAL_HEADER, interval.as_secs_f64().to_string());
        request.send().await.map_err(lost)
    }

    async fn ask(&self) -> Result<Parsed, RefreshError> {
        let mut answer = self.exchange().await?;
        if answer.status() != StatusCode::OK {
            return Err(RefreshError::Status(answer.status()));
        }
        if !is_json(answer.headers().get(header::CONTENT_TYPE)) {
            return Err(RefreshError::ContentType);
        }
        let codings = Codings::of(answer.headers())?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
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

/// The authentication of a source.
fn auth(
    config: &HttpSdConfig,
    authenticators: &Authenticators,
) -> Result<Option<OriginAuth>, ConfigError> {
    let url = config.url.get();
    let Some(auth) = &config.auth else {
        return Ok(Credentials::new(&config.basic_auth, &config.authorization).at(url));
    };
    let auth = auth.build(authenticators)?;
    Ok(auth.map(|auth| OriginAuth::new(&*auth, url)))
}

/// An error without the URL, which may hold a token.
fn lost(error: reqwest::Error) -> RefreshError {
    RefreshError::Request(error.without_url())
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
