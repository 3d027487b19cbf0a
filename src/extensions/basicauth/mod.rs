//! `basicauth`: authenticates requests with a user name and a password.
//!
//! ```yaml
//! extensions:
//!   basicauth:
//!     client_auth:
//!       username: fleet
//!       password_file: /etc/collector/password
//! receivers:
//!   http_json:
//!     auth: { authenticator: basicauth }
//! service:
//!   extensions: [basicauth]
//! ```

mod config;

use std::sync::Arc;

use schemars::SchemaGenerator;

pub use self::config::{ClientAuth, Config};
use super::{
    authenticator::AuthenticatorConfig,
    contract::{self, AuthenticatorContext, ExtensionType},
};
use crate::{
    client::auth::{Authenticator, HeaderAuth},
    http::{SecretHeader, SecretText},
    settings::{BuildError, Capability},
    yaml::{Cursor, Diagnostics},
};

/// The entry of the register.
pub const TYPE: ExtensionType = ExtensionType {
    name: "basicauth",
    aliases: &[],
    about: "Authenticates requests with a user name and a password.",
    schema: SchemaGenerator::subschema_for::<Config>,
    foreign: &config::FOREIGN,
    decode: contract::decode::<Config>,
};

impl AuthenticatorConfig for Config {
    const OFFERS: &'static [Capability] =
        &[Capability::Authenticator, Capability::GrpcAuthenticator];

    fn report_mistakes(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.check_values(at, diagnostics);
    }

    fn build(
        &self,
        _context: &AuthenticatorContext<'_>,
    ) -> Result<Arc<dyn Authenticator>, BuildError> {
        let ClientAuth {
            username,
            username_file,
            password,
            password_file,
        } = &self.client_auth;
        let username = SecretText::new(&username.as_str().into(), username_file.as_ref());
        let password = SecretText::new(password, password_file.as_ref());
        let secret = SecretHeader::basic(username, password);
        Ok(Arc::new(HeaderAuth::authorization(secret)))
    }
}
