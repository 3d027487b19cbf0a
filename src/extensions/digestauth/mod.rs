//! `digestauth`: authenticates requests by HTTP digest access authentication (RFC 7616).
//!
//! ```yaml
//! extensions:
//!   digestauth:
//!     username: fleet
//!     password_file: /etc/collector/password
//! receivers:
//!   http_json:
//!     auth: { authenticator: digestauth }
//! service:
//!   extensions: [digestauth]
//! ```
//! The password itself is never sent. The first request to a server gets its challenge; later ones
//! answer it at once, until the server gives another nonce.

mod challenge;
mod config;
mod response;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use schemars::SchemaGenerator;
use url::Position;

pub use self::config::Config;
use self::{
    challenge::{Challenge, next_nonce},
    response::{Answered, Who, random_cnonce},
};
use super::{
    authenticator::AuthenticatorConfig,
    contract::{self, AuthenticatorContext, ExtensionType},
};
use crate::{
    client::auth::{
        Acceptance, AuthError, AuthRequest, Authenticator, Credentials, Refusal, ServerAddress,
        ServerAuthenticator, is_same,
    },
    http::{CredentialsError, SecretText},
    settings::BuildError,
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "digestauth",
    aliases: &[],
    about: "Authenticates requests by HTTP digest authentication.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &crate::yaml::Foreign::NONE,
    decode: contract::decode::<Config>,
};

/// The user. Each server has its own challenge.
#[derive(Debug)]
struct Digest {
    username: String,
    password: Arc<SecretText>,
    servers: Mutex<BTreeMap<String, Weak<DigestServer>>>,
}

/// A server and its last challenge.
#[derive(Debug)]
struct DigestServer {
    username: String,
    password: Arc<SecretText>,
    current: Mutex<Option<Arc<DigestCredentials>>>,
}

/// Answers to one challenge, or nothing before there is one.
#[derive(Debug)]
struct DigestCredentials {
    who: Who,
    challenge: Option<Challenge>,
    /// How many requests have had the nonce.
    count: AtomicU32,
}

impl Authenticator for Digest {
    fn at(&self, server: ServerAddress<'_>) -> Arc<dyn ServerAuthenticator> {
        let origin = server.key(&server.url[..Position::BeforePath]);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(&origin).and_then(Weak::upgrade) {
            return server;
        }
        servers.retain(|_, server| server.strong_count() > 0);
        let server = Arc::new(DigestServer {
            username: self.username.clone(),
            password: Arc::clone(&self.password),
            current: Mutex::new(None),
        });
        servers.insert(origin, Arc::downgrade(&server));
        server
    }
}

impl DigestServer {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<DigestCredentials>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn who(&self, is_refused: bool) -> Result<Who, CredentialsError> {
        let password = match is_refused {
            true => self.password.newer_text().await?,
            false => self.password.text().await?,
        };
        Ok(Who {
            username: self.username.clone(),
            password,
        })
    }

    fn answers_to(&self, who: Who, challenge: Challenge) -> Arc<dyn Credentials> {
        let next = Arc::new(DigestCredentials {
            who,
            challenge: Some(challenge),
            count: AtomicU32::new(0),
        });
        *self.lock() = Some(Arc::clone(&next));
        next
    }
}

#[async_trait]
impl ServerAuthenticator for DigestServer {
    async fn credentials(&self) -> Result<Arc<dyn Credentials>, AuthError> {
        let who = self.who(false).await?;
        let mut current = self.lock();
        if let Some(current) = current.as_ref().filter(|current| current.who == who) {
            return Ok(Arc::clone(current) as Arc<dyn Credentials>);
        }
        let next = Arc::new(DigestCredentials {
            who,
            challenge: current.as_ref().and_then(|of| of.challenge.clone()),
            count: AtomicU32::new(0),
        });
        *current = Some(Arc::clone(&next));
        Ok(next)
    }

    /// Answers the challenge of the refusal. A challenge that was answered and is not stale means
    /// that the password is wrong.
    async fn refused(
        &self,
        used: &Arc<dyn Credentials>,
        refusal: Refusal<'_>,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError> {
        if refusal.status != StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let challenge = match Challenge::of(refusal.headers) {
            Ok(Some(challenge)) => challenge,
            Ok(None) => return Ok(None),
            Err(error) => return Err(AuthError::new(error)),
        };
        let who = self.who(true).await?;
        let answered = {
            let current = self.lock();
            let current = current.clone();
            current.filter(|of| is_same(&(Arc::clone(of) as Arc<dyn Credentials>), used))
        };
        let was_right = answered.as_ref().is_none_or(|answered| {
            answered.challenge.is_none() || challenge.is_stale || answered.who != who
        });
        Ok(was_right.then(|| self.answers_to(who, challenge)))
    }

    /// The server may give the next nonce with its answer (RFC 7616 §3.5).
    fn accepted(&self, used: &Arc<dyn Credentials>, acceptance: Acceptance<'_>) {
        let Some(nonce) = next_nonce(acceptance.headers) else {
            return;
        };
        let current = self.lock().clone();
        let current = current.filter(|of| is_same(&(Arc::clone(of) as Arc<dyn Credentials>), used));
        if let Some(current) = current
            && let Some(challenge) = &current.challenge
        {
            let challenge = challenge.with_nonce(nonce);
            self.answers_to(current.who.clone(), challenge);
        }
    }
}

impl Credentials for DigestCredentials {
    fn apply(&self, request: AuthRequest<'_>) -> Result<(), AuthError> {
        let Some(challenge) = &self.challenge else {
            request.headers.remove(AUTHORIZATION);
            return Ok(());
        };
        let count = self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let value = Answered {
            who: &self.who,
            challenge,
            method: request.method.as_str(),
            uri: &request.url[Position::BeforePath..Position::AfterQuery],
            cnonce: &random_cnonce(),
            count,
        };
        let value = HeaderValue::from_str(&value.header());
        let mut value = value.map_err(|_| CredentialsError::Unprintable)?;
        value.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

impl AuthenticatorConfig for Config {
    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_values(at, diagnostics);
    }

    fn build(
        &self,
        _context: &AuthenticatorContext<'_>,
    ) -> Result<Arc<dyn Authenticator>, BuildError> {
        let password = SecretText::new(&self.password, self.password_file.as_ref());
        Ok(Arc::new(Digest {
            username: self.username.clone(),
            password: Arc::new(password),
            servers: Mutex::default(),
        }))
    }
}

#[cfg(test)]
mod tests;
