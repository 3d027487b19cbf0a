//! `bearertokenauth`: authenticates requests with a token.
//!
//! ```yaml
//! extensions:
//!   bearertokenauth:
//!     filename: /var/run/secrets/token
//! receivers:
//!   http_json:
//!     auth: { authenticator: bearertokenauth }
//! service:
//!   extensions: [bearertokenauth]
//! ```
//! `header: X-Api-Key` with `scheme: ""` sends an API key from a file that is rotated.

mod config;

use std::sync::Arc;

use http::HeaderName;
use schemars::SchemaGenerator;

pub use self::config::Config;
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
    name: "bearertokenauth",
    aliases: &[],
    about: "Authenticates requests with a token.",
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
        let name: HeaderName = self.header.parse()?;
        let token = SecretText::new(&self.token, self.filename.as_ref());
        let secret = SecretHeader::token(&self.scheme, token);
        Ok(Arc::new(HeaderAuth::new(name, secret)))
    }
}
