//! The request that logs in, and what its answer gives.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, COOKIE, SET_COOKIE},
};
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::time::timeout;

use super::config::{Config, LoginBody, LoginMethod, Token};
use crate::{
    client::{
        ConfigError, Tls,
        auth::{AuthError, Fetch, Fetched, HeaderCredentials, ServerAddress},
        headers, read_body, server_client, socket_client,
    },
    definition::{Path, Steps},
    runtime::seconds,
};

/// The largest answer of a login.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The most steps of a search in an answer.
const STEPS_MAX: u64 = 1_000_000;

/// The most cookies of a session, and the longest header with them.
const COOKIES_MAX: usize = 50;
const COOKIE_BYTES_MAX: usize = 8 * 1024;

/// A request that logs in to one server.
pub(super) struct LoginRequest {
    /// The client, or why there is none.
    client: Result<Client, Arc<ConfigError>>,
    method: Method,
    url: Option<Url>,
    /// What messages show of the URL.
    path: String,
    headers: HeaderMap,
    body: Bytes,
    token: Option<Token>,
    lifetime: Option<Duration>,
    renew_before: Duration,
    timeout: Duration,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error("failed to set up the client")]
    Client(#[source] Arc<ConfigError>),
    #[error("`{0}` makes no URL")]
    Url(String),
    #[error("the login at `{path}` took longer than {}", seconds(*limit))]
    Timeout { path: String, limit: Duration },
    #[error("the login at `{path}` failed")]
    Request {
        path: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the login at `{path}` answered {status}")]
    Refused { path: String, status: StatusCode },
    #[error("the answer of the login at `{path}` has no {what}")]
    Nothing { path: String, what: &'static str },
}

/// A session.
struct Session {
    credentials: HeaderCredentials,
    lifetime: Option<Duration>,
}

impl LoginRequest {
    /// The login of `config` at a server. `None` if it has no login.
    pub(super) fn new(config: &Config, server: ServerAddress<'_>) -> Option<Self> {
        let login = config.login.as_ref()?;
        let base_text = server.url.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base_text}{}", login.path)).ok();
        let mut of_login = HeaderMap::new();
        if let Some(body) = &login.body {
            of_login.insert(CONTENT_TYPE, content_type(body));
        }
        // The configuration was checked.
        of_login.extend(headers::parse(&login.headers).unwrap_or_default());
        Some(Self {
            client: client_of(&config.tls, server).map_err(Arc::new),
            method: match login.method {
                LoginMethod::Get => Method::GET,
                LoginMethod::Post => Method::POST,
                LoginMethod::Put => Method::PUT,
            },
            url,
            path: login.path.split('?').next().unwrap_or_default().to_owned(),
            headers: of_login,
            body: login.body.as_ref().map(bytes).unwrap_or_default(),
            token: config.token.clone(),
            lifetime: config.lifetime.map(|lifetime| lifetime.get()),
            renew_before: config.renew_before.get(),
            timeout: config.timeout.get(),
        })
    }

    async fn log_in(&self) -> Result<Session, LoginError> {
        let client = self.client.as_ref();
        let client = client.map_err(|error| LoginError::Client(Arc::clone(error)))?;
        let url = self.url.clone();
        let url = url.ok_or_else(|| LoginError::Url(self.path.clone()))?;
        let request = client.request(self.method.clone(), url);
        let request = request
            .headers(self.headers.clone())
            .body(self.body.clone());
        let mut answer = request.send().await.map_err(|error| self.lost(error))?;
        let status = answer.status();
        // A page that logs in leads to another one.
        if !status.is_success() && !status.is_redirection() {
            let path = self.path.clone();
            return Err(LoginError::Refused { path, status });
        }
        let body = read_body(&mut answer, BODY_BYTES_MAX).await;
        let body = body.map_err(|error| self.lost(error))?;
        let answered = body.as_deref().unwrap_or_default();
        match &self.token {
            Some(token) => self.with_token(token, answer.headers(), answered),
            None => cookies(answer.headers()).ok_or_else(|| self.without("cookie")),
        }
    }

    fn with_token(
        &self,
        token: &Token,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Session, LoginError> {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = match &token.path {
            Some(path) => at(&document, path),
            None => token.in_headers(headers).map(str::to_owned),
        };
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| self.without("token"))?;
        let credentials = token.credentials(&text);
        let expires_in = token.expires_in.as_ref();
        let seconds = expires_in.and_then(|path| at(&document, path)?.parse().ok());
        Ok(Session {
            credentials: credentials.ok_or_else(|| self.without("token for a header"))?,
            lifetime: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        })
    }

    fn without(&self, what: &'static str) -> LoginError {
        let path = self.path.clone();
        LoginError::Nothing { path, what }
    }

    fn lost(&self, error: reqwest::Error) -> LoginError {
        LoginError::Request {
            path: self.path.clone(),
            source: error.without_url(),
        }
    }
}

/// A login goes the way of the requests that it is for.
fn client_of(tls: &Tls, server: ServerAddress<'_>) -> Result<Client, ConfigError> {
    match server.socket {
        Some(socket) => socket_client(socket),
        None => server_client(tls, server.url),
    }
}

impl fmt::Debug for LoginRequest {
    /// Prints no body, which has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Fetch for LoginRequest {
    async fn fetch(&self) -> Result<Fetched, AuthError> {
        let session = timeout(self.timeout, self.log_in()).await;
        let session = session.unwrap_or_else(|_| {
            Err(LoginError::Timeout {
                path: self.path.clone(),
                limit: self.timeout,
            })
        });
        let session = session.map_err(AuthError::new)?;
        Ok(Fetched {
            credentials: Arc::new(session.credentials),
            lifetime: session.lifetime.or(self.lifetime),
            renew_before: self.renew_before,
        })
    }
}

fn content_type(body: &LoginBody) -> HeaderValue {
    HeaderValue::from_static(match body {
        LoginBody::Json(_) => "application/json",
        LoginBody::Form(_) => "application/x-www-form-urlencoded",
        LoginBody::Text(_) => "text/plain; charset=utf-8",
    })
}

fn bytes(body: &LoginBody) -> Bytes {
    match body {
        LoginBody::Json(json) => json.0.to_string().into(),
        LoginBody::Form(fields) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(fields.iter().map(|(name, value)| (name, value.expose())));
            form.finish().into()
        }
        LoginBody::Text(text) => text.expose().to_owned().into(),
    }
}

/// The text or number at a path.
fn at(document: &Value, path: &str) -> Option<String> {
    let path = Path::parse(path).ok()?;
    match path.one(document, &Steps::new(STEPS_MAX)).ok()?? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The cookies that an answer sets, as one header of requests.
fn cookies(headers: &HeaderMap) -> Option<Session> {
    let (mut pairs, mut lifetime): (Vec<&str>, Option<Duration>) = (Vec::new(), None);
    for value in headers.get_all(SET_COOKIE) {
        let Ok(text) = value.to_str() else { continue };
        let mut parts = text.split(';').map(str::trim);
        let pair = parts.next().filter(|pair| pair.contains('='));
        let seconds = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let is_it = name.eq_ignore_ascii_case("max-age");
            is_it.then(|| value.parse::<i64>().ok()).flatten()
        });
        // A cookie that ends at once is one that is taken back.
        let Some(pair) = pair.filter(|_| seconds.is_none_or(|seconds| seconds > 0)) else {
            continue;
        };
        pairs.push(pair);
        let life = seconds.and_then(|seconds| Some(Duration::from_secs(seconds.try_into().ok()?)));
        lifetime = match (lifetime, life) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    pairs.truncate(COOKIES_MAX);
    let text = pairs.join("; ");
    if text.is_empty() || text.len() > COOKIE_BYTES_MAX {
        return None;
    }
    let name: HeaderName = COOKIE;
    let value = HeaderValue::from_str(&text).ok()?;
    Some(Session {
        credentials: HeaderCredentials::new(name, value),
        lifetime,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::auth::{AuthRequest, Credentials as _};

    fn session(set: &[&str]) -> Option<(String, Option<u64>)> {
        let set = set.iter().map(|text| (SET_COOKIE, text.parse().unwrap()));
        let session = cookies(&set.collect())?;
        let mut headers = HeaderMap::new();
        let request = AuthRequest {
            method: &Method::GET,
            url: &"http://a".parse().unwrap(),
            headers: &mut headers,
            body: b"",
        };
        session.credentials.apply(request).unwrap();
        let text = headers[COOKIE].to_str().unwrap().to_owned();
        Some((text, session.lifetime.map(|of| of.as_secs())))
    }

    #[test]
    fn cookies_are_sent_as_they_were_set_and_end_with_the_first_of_them() {
        for (set, expected) in [
            (&["SID=abc; HttpOnly; path=/"][..], Some(("SID=abc", None))),
            (
                &[
                    "a=1; Max-Age=600",
                    "b=2; max-age=60; Secure",
                    "c=; Max-Age=0",
                    "d=\"x=y\"",
                ],
                Some(("a=1; b=2; d=\"x=y\"", Some(60))),
            ),
            (&["none", "gone=1; Max-Age=-1"], None),
            (&[], None),
        ] {
            let expected = expected.map(|(text, life)| (text.to_owned(), life));
            assert_eq!(session(set), expected, "{set:?}");
        }
    }
}
