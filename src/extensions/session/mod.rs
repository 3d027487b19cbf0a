//! `session`: logs in to a server, and sends its cookies or its token with each request.
//!
//! ```yaml
//! extensions:
//!   session/qbittorrent: # the cookies of the login's answer
//!     login:
//!       path: /api/v2/auth/login
//!       body: { form: { username: admin, password: "${env:QBITTORRENT_PASSWORD}" } }
//!   session/router: # a token in the body of the login's answer
//!     login:
//!       path: /api/login
//!       body: { json: { user: fleet, password: "${file:/etc/collector/password}" } }
//!     token: { path: $.token, header: Authorization, format: "Bearer {}" }
//!   session/transmission: # a token in a header of the refusal
//!     token: { header_of_answer: X-Transmission-Session-Id, header: X-Transmission-Session-Id }
//!     renew_on: [409]
//! ```
//! All requests to a server share a session. It is renewed before its end, and once when the server
//! refuses it.

mod config;
mod login;
mod token_of_refusal;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use schemars::SchemaGenerator;

pub use self::config::{Config, Login, LoginBody, LoginMethod, SecretJson, Token};
use self::{login::LoginRequest, token_of_refusal::TokenOfRefusal};
use super::{
    authenticator::AuthenticatorConfig,
    contract::{self, AuthenticatorContext, ExtensionType},
};
use crate::{
    client::auth::{
        Authenticator, RenewingAuth, ServerAddress, ServerAuthenticator, SharedCredentials,
    },
    pipeline::Reporter,
    runtime::Tasks,
    settings::BuildError,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "session",
    aliases: &[],
    about: "Logs in to servers, and sends their cookies or tokens.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &config::FOREIGN,
    decode: contract::decode::<Config>,
};

/// Sessions, one for each server.
#[derive(Debug)]
struct Sessions {
    config: Config,
    tasks: Tasks,
    status: Reporter,
    /// By URL or socket. A session without a target is forgotten.
    servers: Mutex<BTreeMap<String, Weak<dyn ServerAuthenticator>>>,
}

impl Sessions {
    fn session(&self, server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator> {
        let statuses = self.config.statuses();
        match LoginRequest::new(&self.config, server) {
            Some(login) => {
                let (tasks, status) = (self.tasks.clone(), self.status.clone());
                let session = SharedCredentials::new(login, tasks, status);
                Arc::new(RenewingAuth::new(session, statuses))
            }
            None => Arc::new(TokenOfRefusal::new(self.config.token.clone(), statuses)),
        }
    }
}

impl Authenticator for Sessions {
    fn at(&self, server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator> {
        let mut url = server.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let key = server.key(url.as_str());
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = servers.get(&key).and_then(Weak::upgrade) {
            return session;
        }
        servers.retain(|_, session| session.strong_count() > 0);
        let session = self.session(ServerAddress {
            url: &url,
            ..server
        });
        servers.insert(key, Arc::downgrade(&session));
        session
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
        Ok(Arc::new(Sessions {
            config: self.clone(),
            tasks: context.tasks.clone(),
            status: context.status.clone(),
            servers: Mutex::default(),
        }))
    }
}
