//! Certificates that are read again while connections use them.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use tokio::time::Instant;
use tokio_rustls::rustls;

use super::{
    Tls,
    material::{Material, Pems},
    trust::ShownCertificate,
};
use crate::{client::ConfigError, telemetry::chain};

/// Gives rustls the current contents of the files. A handshake reads them if the last read was
/// `reload_interval` ago; the files are few and small. Files that cannot be used change nothing.
pub(super) struct Reloading {
    tls: Tls,
    provider: Arc<CryptoProvider>,
    state: Mutex<ReloadState>,
}

struct ReloadState {
    looked: Instant,
    pems: Pems,
    material: Material,
    /// Whether the last read found files that cannot be used.
    failing: bool,
}

impl Reloading {
    /// Reads the files for the first time.
    pub(super) fn new(tls: Tls, provider: Arc<CryptoProvider>) -> Result<Self, ConfigError> {
        let pems = Pems::read(&tls)?;
        let state = ReloadState {
            looked: Instant::now(),
            material: pems.parse(&tls, &provider)?,
            pems,
            failing: false,
        };
        Ok(Self {
            tls,
            provider,
            state: Mutex::new(state),
        })
    }

    fn material(&self) -> Material {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = self.tls.reload_interval.get();
        let due = !interval.is_zero() && state.looked.elapsed() >= interval;
        if due && self.tls.names_files() {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        state.material.clone()
    }

    /// Uses changed files. One log line reports the change, or the first failure.
    fn look(&self, state: &mut ReloadState) {
        let read = Pems::read(&self.tls).and_then(|pems| {
            let is_new = pems != state.pems;
            let material = is_new.then(|| pems.parse(&self.tls, &self.provider));
            Ok((pems, material.transpose()?))
        });
        match read {
            Ok((pems, Some(material))) => {
                (state.pems, state.material) = (pems, material);
                tracing::info!("changed certificates are in use for new connections");
            }
            Ok((_, None)) => {}
            Err(error) => {
                if !state.failing {
                    let error = chain(&error);
                    tracing::warn!(
                        error,
                        "changed certificates cannot be used; the old ones stay in use"
                    );
                }
                state.failing = true;
                return;
            }
        }
        state.failing = false;
    }
}

impl std::fmt::Debug for Reloading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloading")
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Reloading {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = ShownCertificate {
            certificate,
            between,
            ocsp,
        };
        self.material().trust.verify(shown, name, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl ResolvesClientCert for Reloading {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.material().identity
    }

    fn has_certs(&self) -> bool {
        self.tls.cert_file.is_some() || self.tls.cert_pem.is_some()
    }
}
