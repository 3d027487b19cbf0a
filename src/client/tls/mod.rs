//! TLS of outgoing connections: one configuration of rustls for HTTP and gRPC.

mod material;

mod reloading;
mod settings;
mod trust;

use std::sync::Arc;

use rustls::{ClientConfig, client::Resumption};
pub use settings::Tls;
use tokio_rustls::rustls;

use self::{reloading::Reloading, settings::invalid_choice};
use super::ConfigError;

impl Tls {
    /// Creates the TLS configuration of a client. It reads the files now, and again while it is
    /// used.
    ///
    /// # Errors
    /// If a value cannot be used. The error names its key.
    pub fn client_config(&self) -> Result<ClientConfig, ConfigError> {
        if let Some(mistake) = self.check().into_iter().next() {
            return Err(mistake);
        }
        let choice = self.choice();
        let provider = Arc::new(choice.provider().map_err(invalid_choice)?);
        let versions = choice.versions().map_err(invalid_choice)?;
        let reloading = Arc::new(Reloading::new(self.clone(), Arc::clone(&provider))?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| ConfigError::new("tls.min_version", error))?;
        let verifier = Arc::clone(&reloading);
        let mut config = builder
            .dangerous() // the name in rustls for every other verifier
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(reloading);
        if self.names_files() {
            // A resumed session requests no certificate, so it would live longer than its
            // certificates.
            config.resumption = Resumption::disabled();
        }
        Ok(config)
    }
}
