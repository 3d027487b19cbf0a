//! Verifies the certificate of a server.

use std::sync::Arc;

use rustls::{
    CertificateError, Error,
    client::{
        WebPkiServerVerifier,
        danger::{ServerCertVerified, ServerCertVerifier as _},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use tokio_rustls::rustls;

/// Which servers are trusted.
#[derive(Debug)]
pub(super) enum ServerTrust {
    /// Any server: `insecure_skip_verify`. It must still have the key of its certificate.
    Any,
    /// Servers with a certificate of a trusted authority.
    Known(KnownServers),
}

/// Accepts what webpki accepts, and a certificate that is itself in `ca_file`, for its names and as
/// long as it is valid. `openssl req -x509` creates such certificates for servers and marks them as
/// an authority; webpki does not accept those for a server.
#[derive(Debug)]
pub(super) struct KnownServers {
    pub(super) trusted: Vec<CertificateDer<'static>>,
    pub(super) verifier: Arc<WebPkiServerVerifier>,
    /// The name to expect instead of the endpoint's.
    pub(super) name: Option<ServerName<'static>>,
}

/// What a server sends in the handshake.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShownCertificate<'c> {
    pub(super) certificate: &'c CertificateDer<'c>,
    /// Intermediate certificates.
    pub(super) between: &'c [CertificateDer<'c>],
    pub(super) ocsp: &'c [u8],
}

impl ServerTrust {
    /// Verifies the certificate of the server at `endpoint`.
    pub(super) fn verify(
        &self,
        shown: ShownCertificate<'_>,
        endpoint: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self {
            Self::Any => Ok(ServerCertVerified::assertion()),
            Self::Known(known) => known.verify(shown, endpoint, now),
        }
    }
}

impl KnownServers {
    fn verify(
        &self,
        shown: ShownCertificate<'_>,
        endpoint: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ShownCertificate {
            certificate,
            between,
            ocsp,
        } = shown;
        let name = self.name.as_ref().unwrap_or(endpoint);
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
        let trust = ServerTrust::Known(KnownServers {
            trusted: vec![trusted.clone()],
            verifier,
            name: None,
        });
        // A time in 2020.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_577_836_800));
        let name = ServerName::try_from(name).unwrap();
        let shown = ShownCertificate {
            certificate: given,
            between: &[],
            ocsp: &[],
        };
        let verified = trust.verify(shown, &name, now);
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
