//! Where the keys of AWS come from. The order is that of the AWS tools: the environment, the shared
//! credentials file, the endpoint that ECS and EKS name in the environment.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;
use reqwest::{Client, Url};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    client::{ConfigError, ProxyChoice, client_builder, read_body},
    runtime::{RotatedText, RotatedTextError},
    settings::Secret,
};

/// Keys are looked up again so long before their end.
pub(super) const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);

/// Keys of a file are read again after half of this time.
const FILE_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Keys without an end are looked up again after half of this time.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

const FILE_BYTES_MAX: u64 = 256 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// The address that ECS gives to a container, for relative URIs.
const ECS: &str = "http://169.254.170.2";

/// Hosts that may give out keys in clear text: this machine, ECS, and EKS.
const CLEAR_HOSTS: [&str; 7] = [
    "localhost",
    "127.0.0.1",
    "[::1]",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
    "host.containers.internal",
];

/// Keys of an account or a role.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AwsKeys {
    pub(super) access_key_id: Secret,
    pub(super) secret: Secret,
    pub(super) session_token: Option<Secret>,
}

/// Keys, and how long they are good.
#[derive(Debug, PartialEq)]
pub(super) struct FoundKeys {
    pub(super) keys: AwsKeys,
    pub(super) lifetime: Duration,
}

/// What of the environment says where keys are.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) region: Option<String>,
    keys: Option<AwsKeys>,
    file: Option<PathBuf>,
    profile: String,
    container: Option<String>,
    container_token: Option<Secret>,
    container_token_file: Option<PathBuf>,
}

/// Where keys come from.
#[derive(Debug)]
pub(super) enum KeySource {
    Environment(AwsKeys),
    File { file: RotatedText, profile: String },
    Container(Box<ContainerEndpoint>),
}

/// A server that gives out the keys of a role.
#[derive(Debug)]
pub(super) struct ContainerEndpoint {
    client: Client,
    url: Url,
    token: Option<Secret>,
    token_file: Option<RotatedText>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeysError {
    #[error(
        "there are no keys for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write a \
         shared credentials file"
    )]
    None,
    #[error(transparent)]
    File(#[from] RotatedTextError),
    #[error("the shared credentials file has no keys for the profile `{0}`")]
    Profile(String),
    #[error("AWS_CONTAINER_CREDENTIALS_FULL_URI is no https:// URL and no address of a container")]
    Endpoint,
    #[error("the credentials endpoint does not answer")]
    Request(#[source] reqwest::Error),
    #[error("no keys from the credentials endpoint within {} s", PATIENCE.as_secs())]
    Timeout,
    #[error("the credentials endpoint answered {0}")]
    Status(http::StatusCode),
    #[error("the answer of the credentials endpoint has no keys")]
    Answer,
    #[error("the keys have characters that a header cannot have")]
    Unprintable,
    #[error("failed to set up the client")]
    Client(#[from] ConfigError),
}

/// The answer of a credentials endpoint.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerAnswer {
    access_key_id: Secret,
    secret_access_key: Secret,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    expiration: Option<String>,
}

impl Environment {
    /// That of the process.
    pub(super) fn of_process() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let secret = |name: &str| set(name).map(Secret::from);
        let keys = secret("AWS_ACCESS_KEY_ID").zip(secret("AWS_SECRET_ACCESS_KEY"));
        let home = || Some(PathBuf::from(set("HOME")?).join(".aws/credentials"));
        let full = || set("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let relative = set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        Self {
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            keys: keys.map(|(access_key_id, secret_key)| AwsKeys {
                access_key_id,
                secret: secret_key,
                session_token: secret("AWS_SESSION_TOKEN"),
            }),
            file: set("AWS_SHARED_CREDENTIALS_FILE")
                .map(PathBuf::from)
                .or_else(|| home().filter(|file| file.exists())),
            profile: set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()),
            container: relative.map(|path| format!("{ECS}{path}")).or_else(full),
            container_token: secret("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            container_token_file: set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
        }
    }
}

impl KeySource {
    /// The first source that the environment names.
    pub(super) fn new(environment: &Environment) -> Result<Self, KeysError> {
        if let Some(keys) = &environment.keys {
            return Ok(Self::Environment(keys.printable()?));
        }
        if let Some(file) = &environment.file {
            return Ok(Self::File {
                file: RotatedText::new(file.clone(), FILE_BYTES_MAX),
                profile: environment.profile.clone(),
            });
        }
        let url = environment.container.as_ref().ok_or(KeysError::None)?;
        let url: Url = url.parse().map_err(|_| KeysError::Endpoint)?;
        let may_be_clear = CLEAR_HOSTS.contains(&url.host_str().unwrap_or_default());
        if url.scheme() != "https" && !may_be_clear {
            return Err(KeysError::Endpoint);
        }
        let tls = match url.scheme() {
            "https" => Some(crate::client::Tls::default().client_config()?),
            _ => None,
        };
        let client = client_builder(tls, ProxyChoice::None).build();
        let token_file = environment.container_token_file.clone();
        Ok(Self::Container(Box::new(ContainerEndpoint {
            client: client.map_err(KeysError::Request)?,
            url,
            token: environment.container_token.clone(),
            token_file: token_file.map(|file| RotatedText::new(file, FILE_BYTES_MAX)),
        })))
    }

    /// The keys as they are now.
    pub(super) async fn find(&self, now: SystemTime) -> Result<FoundKeys, KeysError> {
        match self {
            Self::Environment(keys) => Ok(FoundKeys {
                keys: keys.clone(),
                lifetime: LONG,
            }),
            Self::File { file, profile } => {
                let text = file.newer_text().await?;
                let keys = of_profile(&text, profile);
                let keys = keys.ok_or_else(|| KeysError::Profile(profile.clone()))?;
                Ok(FoundKeys {
                    keys: keys.printable()?,
                    lifetime: FILE_LIFETIME,
                })
            }
            Self::Container(endpoint) => {
                let found = timeout(PATIENCE, endpoint.find(now)).await;
                found.map_err(|_| KeysError::Timeout)?
            }
        }
    }
}

impl ContainerEndpoint {
    async fn find(&self, now: SystemTime) -> Result<FoundKeys, KeysError> {
        let token = match &self.token_file {
            Some(file) => Some(file.newer_text().await?.as_ref().into()),
            None => self.token.clone(),
        };
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::from_str(token.expose());
            let mut value = value.map_err(|_| KeysError::Unprintable)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let lost = |error: reqwest::Error| KeysError::Request(error.without_url());
        let request = self.client.get(self.url.clone()).headers(headers);
        let mut answer = request.send().await.map_err(lost)?;
        if !answer.status().is_success() {
            return Err(KeysError::Status(answer.status()));
        }
        let body = read_body(&mut answer, BODY_BYTES_MAX).await.map_err(lost)?;
        let body = body.ok_or(KeysError::Answer)?;
        // The error of the parser could quote the keys.
        let answer: ContainerAnswer =
            serde_json::from_slice(&body).map_err(|_quoting| KeysError::Answer)?;
        let end = answer.expiration;
        let end = end.and_then(|end| end.parse::<Timestamp>().ok());
        let end = end.and_then(|end| u64::try_from(end.as_second()).ok());
        let end = end.and_then(|end| UNIX_EPOCH.checked_add(Duration::from_secs(end)));
        let lifetime = end.map(|end| end.duration_since(now).unwrap_or_default());
        let keys = AwsKeys {
            access_key_id: answer.access_key_id,
            secret: answer.secret_access_key,
            session_token: answer.token,
        };
        Ok(FoundKeys {
            keys: keys.printable()?,
            lifetime: lifetime.unwrap_or(LONG),
        })
    }
}

impl AwsKeys {
    /// The keys, if headers can have them.
    fn printable(&self) -> Result<Self, KeysError> {
        let all = [Some(&self.access_key_id), self.session_token.as_ref()];
        let mut all = all.into_iter().flatten();
        match all.all(|text| HeaderValue::from_str(text.expose()).is_ok()) {
            true => Ok(self.clone()),
            false => Err(KeysError::Unprintable),
        }
    }
}

/// The keys of a profile in a shared credentials file.
fn of_profile(text: &str, profile: &str) -> Option<AwsKeys> {
    let is_header = |line: &&str| line.starts_with('[');
    let header = |line: &str| {
        let name = line.trim_start_matches('[').split(']').next();
        name.is_some_and(|name| name.trim() == profile)
    };
    let lines = text.lines().map(str::trim);
    let section = lines.skip_while(|line| !(is_header(line) && header(line)));
    let section: Vec<_> = section
        .skip(1)
        .take_while(|line| !is_header(line))
        .collect();
    let value = |key: &str| {
        let mut pairs = section.iter().filter_map(|line| line.split_once('='));
        let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
        let value = value.trim();
        (!value.is_empty()).then(|| Secret::from(value))
    };
    Some(AwsKeys {
        access_key_id: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?,
        session_token: value("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::of(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const KEYS: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];

    #[tokio::test]
    async fn keys_come_from_the_environment_first() {
        let file = ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
        let environment = environment(&[&KEYS[..], &[file, ("AWS_REGION", "eu-x-1")]].concat());
        assert_eq!(environment.region.as_deref(), Some("eu-x-1"));
        let source = KeySource::new(&environment).unwrap();
        let found = source.find(SystemTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(found.keys.access_key_id.expose(), "AKIDEXAMPLE");
        assert_eq!(found.keys.session_token, None);
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_profile_of_the_shared_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n[ other ]\n\
                    aws_access_key_id=C\n# a comment\naws_secret_access_key = D=\n\
                    aws_session_token = E\n[broken]\naws_access_key_id=F\n";
        std::fs::write(&file, text).unwrap();
        let at = file.to_str().unwrap();
        let find = async |profile| {
            let variables = [
                ("AWS_SHARED_CREDENTIALS_FILE", at),
                ("AWS_PROFILE", profile),
            ];
            let source = KeySource::new(&environment(&variables)).unwrap();
            source.find(SystemTime::UNIX_EPOCH).await
        };
        let found = find("other").await.unwrap().keys;
        let shown = [&found.access_key_id, &found.secret].map(Secret::expose);
        assert_eq!(shown, ["C", "D="]);
        assert_eq!(found.session_token, Some("E".into()));
        assert_eq!(find("").await.unwrap().keys.access_key_id.expose(), "A");
        for profile in ["broken", "none"] {
            let error = find(profile).await.unwrap_err().to_string();
            assert!(error.ends_with(&format!("`{profile}`")), "{error}");
        }
    }

    #[test]
    fn keys_are_not_fetched_in_clear_text_from_anywhere() {
        let named = |url| {
            let environment = environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]);
            KeySource::new(&environment).is_ok()
        };
        assert!(named("http://127.0.0.1:1/keys"));
        assert!(named("http://169.254.170.23/v1/credentials"));
        assert!(!named("http://example.com/keys"));
        assert!(!named("keys"));
        assert!(matches!(
            KeySource::new(&environment(&[])),
            Err(KeysError::None)
        ));
    }
}
