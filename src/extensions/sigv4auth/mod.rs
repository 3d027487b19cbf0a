//! `sigv4auth`: signs requests as AWS services want them (Signature Version 4).
//!
//! ```yaml
//! extensions:
//!   sigv4auth:
//!     region: eu-central-1
//!     service: aps
//! exporters:
//!   prometheusremotewrite:
//!     endpoint: https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write
//!     auth: { authenticator: sigv4auth }
//! service:
//!   extensions: [sigv4auth]
//! ```
//! The keys come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
//! `AWS_SESSION_TOKEN`), from the shared credentials file of the AWS tools, or from the container
//! credentials endpoint that ECS and EKS name in the environment.
//!
//! The signature is computed here: the crate `aws-sigv4` would bring some twenty crates, most of
//! which know requests and errors of an AWS client.

mod config;
mod keys;
mod signature;

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use schemars::SchemaGenerator;

pub use self::config::Config;
use self::{
    keys::{AwsKeys, Environment, KeySource},
    signature::{Scope, sign},
};
use super::{
    authenticator::AuthenticatorConfig,
    contract::{self, AuthenticatorContext, ExtensionType},
};
use crate::{
    client::auth::{
        AuthError, AuthRequest, Authenticator, Credentials, Fetch, Fetched, RenewingAuth,
        ServerAddress, ServerAuthenticator, SharedCredentials,
    },
    runtime::Clock,
    settings::BuildError,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "sigv4auth",
    aliases: &[],
    about: "Signs requests to AWS services.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &config::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Keys of AWS, which all servers share.
#[derive(Debug)]
struct SigV4(Arc<SharedCredentials>);

/// Finds keys, and makes signing credentials of them.
#[derive(Debug)]
struct KeyFetch {
    source: KeySource,
    region: Option<String>,
    service: Option<String>,
    clock: Clock,
}

/// Signs requests with keys.
#[derive(Debug)]
struct SigningCredentials {
    keys: AwsKeys,
    region: Option<String>,
    service: Option<String>,
    clock: Clock,
}

/// Nothing says which service a request is for.
#[derive(Debug, thiserror::Error)]
#[error("the host `{0}` does not tell the region and the service: set `region` and `service`")]
struct NoScope(String);

impl Authenticator for SigV4 {
    /// AWS answers 403 to keys that have expired.
    fn at(&self, _server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator> {
        let keys = Arc::clone(&self.0);
        let renew_on = vec![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        Arc::new(RenewingAuth::new(keys, renew_on))
    }
}

#[async_trait]
impl Fetch for KeyFetch {
    async fn fetch(&self) -> Result<Fetched, AuthError> {
        let found = self.source.find(self.clock.now()).await;
        let found = found.map_err(AuthError::new)?;
        Ok(Fetched {
            credentials: Arc::new(SigningCredentials {
                keys: found.keys,
                region: self.region.clone(),
                service: self.service.clone(),
                clock: self.clock.clone(),
            }),
            lifetime: Some(found.lifetime),
            renew_before: keys::RENEW_BEFORE,
        })
    }
}

impl Credentials for SigningCredentials {
    fn apply(&self, request: AuthRequest<'_>) -> Result<(), AuthError> {
        let host = request.url.host_str().unwrap_or_default();
        let named = Scope::of_host(host);
        let (service, region) = match (&self.service, &self.region) {
            (Some(service), Some(region)) => (service.clone(), region.clone()),
            (service, region) => {
                let named = named.ok_or_else(|| AuthError::new(NoScope(host.to_owned())))?;
                (
                    service.clone().unwrap_or(named.service),
                    region.clone().unwrap_or(named.region),
                )
            }
        };
        let scope = Scope { service, region };
        sign(request, &self.keys, &scope, self.clock.now());
        Ok(())
    }
}

impl AuthenticatorConfig for Config {
    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_values(at, diagnostics);
    }

    fn build(
        &self,
        context: &AuthenticatorContext<'_>,
    ) -> Result<Arc<dyn Authenticator>, BuildError> {
        let environment = Environment::of_process();
        let fetch = KeyFetch {
            source: KeySource::new(&environment)?,
            region: self.region.clone().or(environment.region),
            service: self.service.clone(),
            clock: context.clock.clone(),
        };
        let (tasks, status) = (context.tasks.clone(), context.status.clone());
        let keys = SharedCredentials::new(fetch, tasks, status);
        Ok(Arc::new(SigV4(keys)))
    }
}
