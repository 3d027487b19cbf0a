//! Servers whose certificate itself is the trusted one. `openssl req -x509` creates such
//! certificates and marks them as an authority. webpki does not accept those for a server.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio_rustls::rustls;

/// Accepts what webpki accepts, and a certificate that is itself in `ca_file`, for its names and as
/// long as it is valid.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) trusted: Vec<CertificateDer<'static>>,
    pub(super) verifier: Arc<WebPkiServerVerifier>,
}

/// Whether the only problem is that the certificate is an authority. Its validity has been checked
/// before.
fn is_only_an_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self
            .verifier
            .verify_server_cert(certificate, between, name, ocsp, now);
        match verified {
            Err(error)
                if is_only_an_authority(&error)
                    && self.trusted.iter().any(|trusted| trusted == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::{RootCertStore, crypto::aws_lc_rs};

    use super::*;

    /// A self-signed authority certificate for `localhost`, as openssl creates it.
    fn self_signed(until: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn verified(
        trusted: &CertificateDer<'static>,
        given: &CertificateDer<'static>,
        name: &'static str,
    ) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let pinned = Pinned {
            trusted: vec![trusted.clone()],
            verifier,
        };
        // A time in 2020.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_577_836_800));
        let name = ServerName::try_from(name).unwrap();
        let verified = pinned.verify_server_cert(given, &[], &name, &[], now);
        verified.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_certificate_in_ca_file_is_accepted() {
        let (ours, other) = (self_signed(2030), self_signed(2030));
        assert_eq!(verified(&ours, &ours, "localhost"), Ok(()));
        assert!(
            verified(&ours, &other, "localhost").is_err(),
            "another certificate"
        );
        assert!(
            verified(&ours, &ours, "example.com").is_err(),
            "another name"
        );
        let expired = self_signed(2010);
        assert!(
            verified(&expired, &expired, "localhost").is_err(),
            "an expired certificate"
        );
    }
}
