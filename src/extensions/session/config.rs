//! The configuration of the extension.

use std::{collections::BTreeMap, fmt};

use http::{HeaderName, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{
    client::{TLS_FOREIGN, Tls, headers},
    definition::Path,
    settings::{Duration, Headers, REDACTED, Secret},
    yaml::{Cursor, Diagnostics, Foreign},
};

/// Logs in to a server, and sends its cookies or its token with each request.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The request that logs in. Without it, the server gives the token with the answer that
    /// refuses a request.
    pub login: Option<Login>,
    /// The token of the session. Without it, requests have the cookies of the login's answer.
    pub token: Option<Token>,
    /// The statuses after which the collector logs in again and repeats the request, once.
    pub renew_on: Vec<u16>,
    /// How long a session lasts, if the server does not say so. Default: until the server refuses it.
    pub lifetime: Option<Duration>,
    /// A session is renewed so long before its end, but not in the first half of its life.
    pub renew_before: Duration,
    /// The longest time for one login.
    pub timeout: Duration,
    /// TLS settings of the connection for the login.
    pub tls: Tls,
}

/// The request that logs in.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Login {
    /// The method of the request.
    #[serde(default = "post")]
    pub method: LoginMethod,
    /// The path below the URL of the target.
    pub path: String,
    /// Headers of the request.
    #[serde(default)]
    pub headers: Headers,
    /// The body of the request.
    #[serde(default)]
    pub body: Option<LoginBody>,
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LoginMethod {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

/// The body of a login. Its values are secrets.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginBody {
    /// A JSON document.
    Json(SecretJson),
    /// The fields of a form.
    Form(BTreeMap<String, Secret>),
    /// Any text.
    Text(Secret),
}

/// The token of a session: where it is in an answer, and how requests send it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Token {
    /// The JSONPath of the token in the body of the login's answer.
    #[serde(default)]
    pub path: Option<String>,
    /// The header of the answer that has the token: of the login's answer, or of the refusal if
    /// there is no login.
    #[serde(default)]
    pub header_of_answer: Option<String>,
    /// The header of requests that has the token.
    pub header: String,
    /// The value of that header. `{}` is the token.
    #[serde(default = "only_the_token")]
    pub format: String,
    /// The JSONPath of the seconds that the session lasts, in the body of the login's answer.
    #[serde(default)]
    pub expires_in: Option<String>,
}

/// A JSON document whose values are never shown.
#[derive(Clone, PartialEq)]
pub struct SecretJson(pub(super) Value);

impl fmt::Debug for SecretJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for SecretJson {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        redacted(&self.0).serialize(to)
    }
}

impl<'de> Deserialize<'de> for SecretJson {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self)
    }
}

impl JsonSchema for SecretJson {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretJson".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "A JSON document whose values are never shown."})
    }
}

/// The document with its keys and without its values.
fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            Value::Object(
                fields
                    .map(|(key, of)| (key.clone(), redacted(of)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(redacted).collect()),
        _ => REDACTED.into(),
    }
}

fn post() -> LoginMethod {
    LoginMethod::Post
}

fn only_the_token() -> String {
    "{}".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            login: None,
            token: None,
            renew_on: vec![401, 403],
            lifetime: None,
            renew_before: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            tls: Tls::default(),
        }
    }
}

/// Keys below `session` that only the Collector's clients have.
pub(super) const FOREIGN: Foreign = Foreign {
    below: &[("tls", &TLS_FOREIGN)],
    ..Foreign::NONE
};

impl Config {
    pub(super) fn check_values(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        match (&self.login, &self.token) {
            (None, None) => {
                let message = "needs `login`, or `token: {header_of_answer: …}` if the server gives \
                               the token with its refusal";
                at.error(&[], message, diagnostics);
            }
            (None, Some(token)) if token.header_of_answer.is_none() => {
                let message = "needs `header_of_answer`: without `login` there is no other answer \
                               with a token than the refusal";
                at.error(&["token"], message, diagnostics);
            }
            _ => {}
        }
        if let Some(login) = &self.login {
            login.report_mistakes(at, diagnostics);
        }
        if let Some(token) = &self.token {
            token.report_mistakes(at, diagnostics);
        }
        if self.renew_on.is_empty() {
            at.error(&["renew_on"], "must have at least one status", diagnostics);
        }
        for (index, status) in self.renew_on.iter().enumerate() {
            if !(400..500).contains(status) {
                let message = "expected a status from 400 to 499";
                at.error(&["renew_on", &index.to_string()], message, diagnostics);
            }
        }
        if self.timeout.is_zero() {
            at.error(&["timeout"], "requires positive value", diagnostics);
        }
        for mistake in self.tls.check() {
            mistake.report(at, diagnostics);
        }
    }

    pub(super) fn statuses(&self) -> Vec<StatusCode> {
        let statuses = self.renew_on.iter();
        statuses
            .filter_map(|status| StatusCode::from_u16(*status).ok())
            .collect()
    }
}

impl Login {
    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if !self.path.starts_with('/') {
            at.error(&["login", "path"], "must begin with `/`", diagnostics);
        }
        if let Err(mistake) = headers::parse(&self.headers)
            && let Some(at) = at.at(&["login"])
        {
            mistake.report(&at, diagnostics);
        }
        if self.body.is_some() && self.method == LoginMethod::Get {
            let message = "a GET has no body: use `method: POST`";
            at.error(&["login", "body"], message, diagnostics);
        }
    }
}

impl Token {
    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        if self.path.is_some() == self.header_of_answer.is_some() {
            let message = "needs either `path` or `header_of_answer`";
            at.error(&["token"], message, diagnostics);
        }
        for (key, path) in [("path", &self.path), ("expires_in", &self.expires_in)] {
            if let Some(Err(error)) = path.as_ref().map(|path| Path::parse(path)) {
                at.error(&["token", key], error.to_string(), diagnostics);
            }
        }
        let of_answer = self.header_of_answer.as_ref();
        for (key, name) in [
            ("header", Some(&self.header)),
            ("header_of_answer", of_answer),
        ] {
            if name.is_some_and(|name| name.parse::<HeaderName>().is_err()) {
                let message = "is not a header name: letters, digits and `-`";
                at.error(&["token", key], message, diagnostics);
            }
        }
        if self.format.matches("{}").count() != 1 {
            let message = "must have `{}` once, in the place of the token";
            at.error(&["token", "format"], message, diagnostics);
        }
    }
}
