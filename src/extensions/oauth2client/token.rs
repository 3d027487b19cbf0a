//! The request for a token, and the answer to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use form_urlencoded::{Serializer, byte_serialize};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::Config;
use crate::{
    client::{
        ConfigError, Secrets,
        auth::{AuthError, Fetch, Fetched, HeaderCredentials},
        read_body, server_client,
    },
    http::{CredentialsError, SecretText},
    runtime::seconds,
    settings::{HttpUrl, Secret},
};

/// The largest answer with a token.
const BODY_BYTES_MAX: usize = 1024 * 1024;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request for a token.
#[derive(Debug)]
pub(super) struct TokenRequest {
    client: Client,
    url: HttpUrl,
    client_id: SecretText,
    client_secret: SecretText,
    /// The fields besides those of the client.
    fields: Vec<(String, Secret)>,
    timeout: Duration,
    renew_before: Duration,
    /// Whether the server wants the client's id and secret in the body. Servers must accept them in
    /// the header `Authorization`, and some do not.
    is_in_body: AtomicBool,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("no token within {}", seconds(*.0))]
    Timeout(Duration),
    #[error("the request for a token failed")]
    Request(#[source] reqwest::Error),
    #[error("the token server answered {0}{1}")]
    Refusal(StatusCode, String),
    #[error("the token server's answer {0}")]
    Answer(&'static str),
}

/// An answer with a token, or the reason why there is none.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    token_type: String,
    /// In seconds. A number, and a text in the answers of some servers.
    #[serde(default)]
    expires_in: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorAnswer {
    error: String,
    error_description: String,
}

/// The client's id and secret as they are now.
struct ClientSecret {
    id: Arc<str>,
    secret: Arc<str>,
}

impl TokenRequest {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let missing = || ConfigError::new("token_url", "is required");
        let url = config.token_url.clone().ok_or_else(missing)?;
        let mut fields = vec![("grant_type".to_owned(), "client_credentials".into())];
        if !config.scopes.is_empty() {
            fields.push(("scope".to_owned(), config.scopes.join(" ").into()));
        }
        for (name, values) in &config.endpoint_params {
            fields.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
        Ok(Self {
            client: server_client(&config.tls, url.get())?,
            client_id: SecretText::new(
                &config.client_id.as_str().into(),
                config.client_id_file.as_ref(),
            ),
            client_secret: SecretText::new(
                &config.client_secret,
                config.client_secret_file.as_ref(),
            ),
            fields,
            timeout: config.timeout.get(),
            renew_before: config.expiry_buffer.get(),
            is_in_body: AtomicBool::new(false),
            url,
        })
    }

    /// Asks, and a second time in the other way if the server refuses the client.
    async fn ask(&self, client: &ClientSecret) -> Result<TokenAnswer, TokenError> {
        let is_in_body = self.is_in_body.load(Ordering::Relaxed);
        let first = self.ask_in(client, is_in_body).await;
        let may_be_the_way = matches!(
            &first,
            Err(TokenError::Refusal(
                StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED,
                _
            ))
        );
        if !may_be_the_way {
            return first;
        }
        let second = self.ask_in(client, !is_in_body).await;
        if second.is_ok() {
            self.is_in_body.store(!is_in_body, Ordering::Relaxed);
            return second;
        }
        first
    }

    async fn ask_in(
        &self,
        client: &ClientSecret,
        is_in_body: bool,
    ) -> Result<TokenAnswer, TokenError> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, FORM), (ACCEPT, JSON)]);
        if !is_in_body {
            headers.insert(AUTHORIZATION, client.header());
        }
        let form = self.form(is_in_body.then_some(client));
        let request = self.client.post(self.url.get().clone()).headers(headers);
        let lost = |error: reqwest::Error| TokenError::Request(error.without_url());
        let mut answer = request.body(form).send().await.map_err(lost)?;
        let status = answer.status();
        let text = read_body(&mut answer, BODY_BYTES_MAX).await;
        let text = text
            .map_err(lost)?
            .ok_or(TokenError::Answer("is too long"))?;
        if !status.is_success() {
            return Err(TokenError::Refusal(status, self.reason(client, &text)));
        }
        let answer = serde_json::from_slice::<TokenAnswer>(&text);
        // The error of the parser could quote the token.
        let answer = answer.map_err(|_quoting| TokenError::Answer("is not JSON"))?;
        match answer.access_token.is_empty() {
            true => Err(TokenError::Answer("has no `access_token`")),
            false => Ok(answer),
        }
    }

    /// The fields, with those of the client if it is given.
    fn form(&self, client: Option<&ClientSecret>) -> String {
        let mut form = Serializer::new(String::new());
        let fields = self.fields.iter();
        form.extend_pairs(fields.map(|(name, value)| (name, value.expose())));
        if let Some(client) = client {
            form.append_pair("client_id", &client.id);
            form.append_pair("client_secret", &client.secret);
        }
        form.finish()
    }

    /// What the server says about a refusal, without what is secret.
    fn reason(&self, client: &ClientSecret, text: &[u8]) -> String {
        let said: ErrorAnswer = serde_json::from_slice(text).unwrap_or_default();
        let words = [said.error, said.error_description];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return String::new();
        }
        let fields = self.fields.iter().skip(1);
        let fields = fields.map(|(_, value)| value.expose().to_owned());
        let mut secrets: Vec<String> = fields.collect();
        secrets.push(client.secret.to_string());
        let secrets = Secrets::of_texts(secrets);
        format!(": {}", secrets.quote(words.join(": ").as_bytes()))
    }
}

impl ClientSecret {
    /// RFC 6749 §2.3.1: both are encoded as in a form.
    fn header(&self) -> HeaderValue {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.id), encoded(&self.secret));
        let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
        // Base64 is always a header.
        let value = HeaderValue::from_str(&text);
        let mut value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

impl TokenAnswer {
    fn lifetime(&self) -> Option<Duration> {
        let seconds = match &self.expires_in {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// The scheme of the token. Servers write `bearer` in all ways.
    fn scheme(&self) -> &str {
        match self.token_type.as_str() {
            "" => "Bearer",
            of if of.eq_ignore_ascii_case("bearer") => "Bearer",
            of => of,
        }
    }
}

#[async_trait]
impl Fetch for TokenRequest {
    async fn fetch(&self) -> Result<Fetched, AuthError> {
        let id = self.client_id.newer_text().await;
        let secret = self.client_secret.newer_text().await;
        let client = ClientSecret {
            id: id.map_err(CredentialsError::File)?,
            secret: secret.map_err(CredentialsError::File)?,
        };
        let answer = timeout(self.timeout, self.ask(&client)).await;
        let answer = answer.unwrap_or(Err(TokenError::Timeout(self.timeout)));
        let answer = answer.map_err(AuthError::new)?;
        let value = format!("{} {}", answer.scheme(), answer.access_token);
        let value = HeaderValue::from_str(&value).map_err(|_| CredentialsError::Unprintable)?;
        Ok(Fetched {
            credentials: Arc::new(HeaderCredentials::new(AUTHORIZATION, value)),
            lifetime: answer.lifetime(),
            renew_before: self.renew_before,
        })
    }
}
