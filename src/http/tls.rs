//! TLS of the collector's listeners: certificates from files, which are read again when they
//! change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
        server::{VerifierBuilderError, WebPkiClientVerifier},
    },
};
use tokio_util::sync::CancellationToken;

use super::{TlsChoice, TlsChoiceError};
use crate::{runtime::read_file, settings::Duration, telemetry::chain};

/// The largest PEM file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// TLS settings of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct TlsConfig {
    /// PEM file with the certificate of the server and its intermediate certificates.
    pub cert_file: PathBuf,
    /// PEM file with the key of the certificate.
    pub key_file: PathBuf,
    /// PEM file with the authorities that may sign the certificates of clients. With it, a client
    /// without such a certificate is refused.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// The oldest TLS version to accept.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// The newest TLS version to accept: 1.2 or 1.3. Default: the newest supported one.
    #[serde(default)]
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2 by their IANA names. Those of TLS 1.3 are always offered.
    #[serde(default)]
    pub cipher_suites: Vec<String>,
    /// The groups of the key exchange in order of preference: X25519, P256, P384, X25519MLKEM768.
    #[serde(default)]
    pub curve_preferences: Vec<String>,
    /// How often the files are checked for changes. 0 means never.
    #[serde(default = "default_reload_interval")]
    pub reload_interval: Duration,
}

/// A version of TLS.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
pub enum TlsVersion {
    /// TLS 1.2, from 2008.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3, from 2018.
    #[serde(rename = "1.3")]
    Tls13,
}

fn default_reload_interval() -> Duration {
    Duration::from_secs(10)
}

impl TlsConfig {
    /// The chosen versions, cipher suites and groups.
    pub fn choice(&self) -> TlsChoice<'_> {
        TlsChoice {
            min_version: self.min_version,
            max_version: self.max_version,
            cipher_suites: &self.cipher_suites,
            curve_preferences: &self.curve_preferences,
        }
    }
}

/// Why a listener cannot use TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// Why the file cannot be read.
        #[source]
        source: io::Error,
    },
    /// The file is too large for certificates.
    #[error("`{}` is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file is not PEM, or does not contain what it should.
    #[error("`{}` does not hold {what} in PEM", path.display())]
    Pem {
        /// The path of the file.
        path: PathBuf,
        /// What the file should contain.
        what: &'static str,
        /// Why it cannot be parsed.
        #[source]
        source: pem::Error,
    },
    /// Key and certificate do not match, or cannot be used.
    #[error("`{}` and its key cannot be used", path.display())]
    Certificate {
        /// The file of the certificate.
        path: PathBuf,
        /// Why they cannot be used.
        #[source]
        source: rustls::Error,
    },
    /// The versions, cipher suites or groups cannot be used.
    #[error("cannot choose `{}`", .0.key)]
    Choice(
        /// Why they cannot be used.
        #[from]
        #[source]
        TlsChoiceError,
    ),
    /// The certificates cannot be used to check clients.
    #[error("`{}` cannot be used to check clients", path.display())]
    ClientCa {
        /// The path of the file.
        path: PathBuf,
        /// Why they cannot be used.
        #[source]
        source: VerifierBuilderError,
    },
}

/// TLS of one listener, with the current contents of its files.
#[derive(Debug)]
pub(super) struct Tls {
    config: TlsConfig,
    current: RwLock<(TlsFiles, Arc<ServerConfig>)>,
}

/// The contents of the files.
#[derive(Clone, PartialEq, Eq)]
struct TlsFiles {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let files = TlsFiles::read(config)?;
        let server = files.server(config)?;
        Ok(Self {
            config: config.clone(),
            current: RwLock::new((files, server)),
        })
    }

    /// Makes handshakes with the newest certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.1))
    }

    /// Uses changed files, until `stop`. Files that cannot be used change nothing: the old
    /// certificate stays, and the log says so once.
    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let interval = self.config.reload_interval.get();
        if interval.is_zero() {
            return;
        }
        let mut failing = false;
        while stop.run_until_cancelled(sleep(interval)).await.is_some() {
            let tls = Arc::clone(&self);
            // A file may be on a disk that does not answer.
            let Ok(reloaded) = tokio::task::spawn_blocking(move || tls.reload()).await else {
                return;
            };
            let file = self.config.cert_file.display();
            match &reloaded {
                Ok(true) => tracing::info!(%file, "new certificate"),
                Ok(false) => {}
                Err(error) if !failing => {
                    let error = chain(error);
                    tracing::warn!(%file, error, "the new certificate cannot be used");
                }
                Err(_) => {}
            }
            failing = reloaded.is_err();
        }
    }

    /// Whether a file has changed.
    fn reload(&self) -> Result<bool, TlsError> {
        let files = TlsFiles::read(&self.config)?;
        let known = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if known.0 == files {
            return Ok(false);
        }
        drop(known);
        let server = files.server(&self.config)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = (files, server);
        Ok(true)
    }
}

impl TlsFiles {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self {
            cert: read(&config.cert_file)?,
            key: read(&config.key_file)?,
            client_ca: config.client_ca_file.as_deref().map(read).transpose()?,
        })
    }

    fn server(&self, config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
        let choice = config.choice();
        let versions = choice.versions()?;
        let unusable = |source| TlsError::Certificate {
            path: config.cert_file.clone(),
            source,
        };
        let provider = Arc::new(choice.provider()?);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(unusable)?;
        let builder = match (&self.client_ca, &config.client_ca_file) {
            (Some(pem), Some(path)) => {
                let roots = Arc::new(roots(pem, path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let path = path.clone();
                let verifier = verifier.build();
                let verifier = verifier.map_err(|source| TlsError::ClientCa { path, source })?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(&self.cert, &config.cert_file)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| no_pem(&config.key_file, "a private key", source))?;
        let mut server = builder.with_single_cert(chain, key).map_err(unusable)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(server))
    }
}

/// Prints no key.
impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

fn roots(pem: &[u8], path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Certificate {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(pem::Error::NoItemsFound),
        other => other,
    }
    .map_err(|source| no_pem(path, "certificates", source))
}

fn no_pem(path: &Path, what: &'static str, source: pem::Error) -> TlsError {
    TlsError::Pem {
        path: path.to_owned(),
        what,
        source,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    match read_file(path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let path = path.to_owned();
            Err(TlsError::TooLarge { path })
        }
        read => read.map_err(failed),
    }
}
