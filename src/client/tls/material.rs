//! Parses PEM into what rustls needs to verify and to sign.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    RootCertStore,
    client::WebPkiServerVerifier,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};
use tokio_rustls::rustls;

use super::{
    Tls,
    trust::{KnownServers, ServerTrust},
};
use crate::{
    client::{ConfigError, files},
    settings::Secret,
};

/// The largest file. The certificates of a whole system need a quarter of this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The contents of the files in the settings.
#[derive(PartialEq, Eq)]
pub(super) struct Pems {
    ca: Option<Pem>,
    identity: Option<(Pem, Pem)>,
}

/// PEM text, and the configuration key that it comes from.
#[derive(PartialEq, Eq)]
struct Pem {
    key: &'static str,
    bytes: Vec<u8>,
}

/// What a handshake needs.
#[derive(Debug, Clone)]
pub(super) struct Material {
    /// Which servers are trusted.
    pub(super) trust: Arc<ServerTrust>,
    /// The client certificate and its key.
    pub(super) identity: Option<Arc<CertifiedKey>>,
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("holds no certificate in PEM")]
    Certificate,
    #[error("holds no private key in PEM")]
    Key(#[source] pem::Error),
    #[error("the system has no trusted certificates; set `ca_file`")]
    System,
}

impl Pems {
    /// Reads the files that `tls` names.
    pub(super) fn read(tls: &Tls) -> Result<Self, ConfigError> {
        let ca = one(["tls.ca_file", "tls.ca_pem"], &tls.ca_file, &tls.ca_pem)?;
        let certificate = one(
            ["tls.cert_file", "tls.cert_pem"],
            &tls.cert_file,
            &tls.cert_pem,
        )?;
        let key = one(["tls.key_file", "tls.key_pem"], &tls.key_file, &tls.key_pem)?;
        Ok(Self {
            ca,
            identity: certificate.zip(key),
        })
    }

    /// Parses the contents of the files.
    pub(super) fn parse(
        &self,
        tls: &Tls,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Material, ConfigError> {
        let trust = match tls.insecure_skip_verify {
            true => ServerTrust::Any,
            false => ServerTrust::Known(self.known_servers(tls, provider)?),
        };
        let identity = self
            .identity
            .as_ref()
            .map(|(certificate, key)| identity(certificate, key, provider));
        Ok(Material {
            trust: Arc::new(trust),
            identity: identity.transpose()?.map(Arc::new),
        })
    }

    fn known_servers(
        &self,
        tls: &Tls,
        provider: &Arc<CryptoProvider>,
    ) -> Result<KnownServers, ConfigError> {
        let (mut roots, mut trusted) = (RootCertStore::empty(), Vec::new());
        if let Some(pem) = &self.ca {
            trusted = pem.certificates()?;
            for certificate in &trusted {
                let added = roots.add(certificate.clone());
                added.map_err(|error| ConfigError::new(pem.key, error))?;
            }
        }
        if self.ca.is_none() || tls.include_system_ca_certs_pool {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .build()
            .map_err(|_empty| ConfigError::new("tls", Unusable::System))?;
        let name = tls.server_name_override.clone().map(ServerName::try_from);
        let name = name.transpose();
        let name = name.map_err(|error| ConfigError::new("tls.server_name_override", error))?;
        Ok(KnownServers {
            trusted,
            verifier,
            name,
        })
    }
}

/// Reads a file, or takes the text that is configured instead.
fn one(
    [file_key, text_key]: [&'static str; 2],
    file: &Option<PathBuf>,
    text: &Option<Secret>,
) -> Result<Option<Pem>, ConfigError> {
    if let Some(file) = file {
        let bytes = files::read(file, FILE_BYTES_MAX);
        let bytes = bytes.map_err(|error| ConfigError::new(file_key, error))?;
        return Ok(Some(Pem {
            key: file_key,
            bytes,
        }));
    }
    Ok(text.as_ref().map(|text| Pem {
        key: text_key,
        bytes: text.expose().as_bytes().to_vec(),
    }))
}

impl Pem {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let found = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|error| ConfigError::new(self.key, error))?;
        if found.is_empty() {
            return Err(ConfigError::new(self.key, Unusable::Certificate));
        }
        Ok(found)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, ConfigError> {
        PrivateKeyDer::from_pem_slice(&self.bytes)
            .map_err(|error| ConfigError::new(self.key, Unusable::Key(error)))
    }
}

fn identity(
    certificate: &Pem,
    key: &Pem,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, ConfigError> {
    CertifiedKey::from_der(certificate.certificates()?, key.private_key()?, provider)
        .map_err(|error| ConfigError::new(key.key, error))
}
