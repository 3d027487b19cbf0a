//! `oauth2client`: authenticates requests with a token of an OAuth 2.0 authorization server, by the
//! client credentials grant (RFC 6749 §4.4).
//!
//! ```yaml
//! extensions:
//!   oauth2client:
//!     client_id: collector
//!     client_secret_file: /etc/collector/client-secret
//!     token_url: https://login.example.com/oauth2/token
//!     scopes: [metrics.read]
//! receivers:
//!   http_json:
//!     auth: { authenticator: oauth2client }
//! service:
//!   extensions: [oauth2client]
//! ```
//! All targets share one token. It is renewed in the background before it expires, and once when a
//! target answers 401.

mod config;
mod parameter;
mod token;

use std::sync::Arc;

use http::StatusCode;
use schemars::SchemaGenerator;

use self::token::TokenRequest;
pub use self::{config::Config, parameter::ParameterValues};
use super::{
    authenticator::AuthenticatorConfig,
    contract::{self, AuthenticatorContext, ExtensionType},
};
use crate::{
    client::auth::{
        Authenticator, RenewingAuth, ServerAddress, ServerAuthenticator, SharedCredentials,
    },
    settings::{BuildError, Capability},
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "oauth2client",
    aliases: &[],
    about: "Authenticates requests with a token of an OAuth 2.0 server.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &config::FOREIGN,
    decode: contract::decode::<Config>,
};

/// One token for all servers.
#[derive(Debug)]
struct OAuth2(Arc<SharedCredentials>);

impl Authenticator for OAuth2 {
    fn at(&self, _server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator> {
        let token = Arc::clone(&self.0);
        Arc::new(RenewingAuth::new(token, vec![StatusCode::UNAUTHORIZED]))
    }
}

impl AuthenticatorConfig for Config {
    const OFFERS: &'static [Capability] =
        &[Capability::Authenticator, Capability::GrpcAuthenticator];

    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_values(at, diagnostics);
    }

    fn build(
        &self,
        context: &AuthenticatorContext<'_>,
    ) -> Result<Arc<dyn Authenticator>, BuildError> {
        let request = TokenRequest::new(self)?;
        let (tasks, status) = (context.tasks.clone(), context.status.clone());
        let token = SharedCredentials::new(request, tasks, status);
        Ok(Arc::new(OAuth2(token)))
    }
}
