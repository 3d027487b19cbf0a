//! The choice of TLS versions, cipher suites and key exchange, with the Collector's keys.

use rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    version::{TLS12, TLS13},
};
use tokio_rustls::rustls;

use super::TlsVersion;

/// The choice of TLS features. The library decides about everything that is not set.
#[derive(Debug, Clone, Copy)]
pub struct TlsChoice<'a> {
    /// The oldest version.
    pub min_version: TlsVersion,
    /// The newest version.
    pub max_version: Option<TlsVersion>,
    /// The cipher suites of TLS 1.2 by their IANA names. Those of TLS 1.3 are always offered.
    pub cipher_suites: &'a [String],
    /// The groups of the key exchange in order of preference, with Go's names.
    pub curve_preferences: &'a [String],
}

/// An invalid choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TlsChoiceError {
    /// The key below `tls`.
    pub key: &'static str,
    message: String,
}

impl TlsChoiceError {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { key, message }
    }
}

impl TlsChoice<'_> {
    /// The chosen versions.
    ///
    /// # Errors
    /// If the newest one is older than the oldest one.
    pub fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsChoiceError> {
        let newest = self.max_version.unwrap_or(TlsVersion::Tls13);
        let versions = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)];
        let spoken = (self.min_version)..=newest;
        let versions = versions.into_iter().filter(|(of, _)| spoken.contains(of));
        let versions: Vec<_> = versions.map(|(_, version)| version).collect();
        if versions.is_empty() {
            let message = "must not be less than `min_version`";
            return Err(TlsChoiceError::new("max_version", message));
        }
        Ok(versions)
    }

    /// The chosen cryptography.
    ///
    /// # Errors
    /// If a name is unknown, or if nothing is left.
    pub fn provider(&self) -> Result<CryptoProvider, TlsChoiceError> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.cipher_suites.is_empty() {
            self.choose_suites(&mut provider)?;
        }
        if !self.curve_preferences.is_empty() {
            let groups = self.curve_preferences.iter().map(|name| group(name));
            provider.kx_groups = groups.collect::<Result<_, _>>()?;
        }
        Ok(provider)
    }

    fn choose_suites(&self, provider: &mut CryptoProvider) -> Result<(), TlsChoiceError> {
        // Go has two names for the suites with ChaCha20.
        let names: Vec<_> = self.cipher_suites.iter().map(|name| name.trim()).collect();
        let name_of = |suite: &rustls::SupportedCipherSuite| suite.suite().as_str().unwrap_or("");
        let is_of_13 =
            |name: &str| name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_");
        let mut suites = provider.cipher_suites.iter();
        let of_12: Vec<_> = suites
            .by_ref()
            .filter(|suite| suite.tls13().is_none())
            .map(name_of)
            .collect();
        let unknown = names
            .iter()
            .find(|name| !is_of_13(name) && !of_12.contains(name));
        if let Some(unknown) = unknown {
            let message = format!(
                "`{unknown}` is not offered; expected some of {}",
                crate::yaml::list(&of_12)
            );
            return Err(TlsChoiceError::new("cipher_suites", message));
        }
        let asks_for_12 = names.iter().any(|name| !is_of_13(name));
        provider.cipher_suites.retain(|suite| {
            suite.tls13().is_some() || !asks_for_12 || names.contains(&name_of(suite))
        });
        Ok(())
    }
}

/// A group by its name.
fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, TlsChoiceError> {
    use aws_lc_rs::kx_group;
    Ok(match name {
        "X25519" => kx_group::X25519,
        "P256" => kx_group::SECP256R1,
        "P384" => kx_group::SECP384R1,
        "X25519MLKEM768" => kx_group::X25519MLKEM768,
        _ => {
            let message = format!(
                "`{name}` is not offered; expected some of `X25519`, `P256`, `P384`, `X25519MLKEM768`"
            );
            return Err(TlsChoiceError::new("curve_preferences", message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice<'a>(suites: &'a [String], curves: &'a [String]) -> TlsChoice<'a> {
        TlsChoice {
            min_version: TlsVersion::Tls12,
            max_version: None,
            cipher_suites: suites,
            curve_preferences: curves,
        }
    }

    #[test]
    fn only_the_named_suites_and_groups_are_used() {
        let suites = [
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
        ];
        let suites = suites.map(str::to_owned);
        let curves = ["P384", "X25519"].map(str::to_owned);
        let provider = choice(&suites, &curves).provider().unwrap();
        let mut of_12 = provider.cipher_suites.iter();
        let of_12 = of_12.by_ref().filter(|suite| suite.tls13().is_none());
        let of_12: Vec<_> = of_12.filter_map(|suite| suite.suite().as_str()).collect();
        assert_eq!(of_12, ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
        let of_13 = provider.cipher_suites.iter();
        assert_eq!(of_13.filter(|suite| suite.tls13().is_some()).count(), 3);
        let groups: Vec<_> = provider
            .kx_groups
            .iter()
            .map(|g| format!("{:?}", g.name()))
            .collect();
        assert_eq!(groups, ["secp384r1", "X25519"]);
    }

    #[test]
    fn errors_name_unknown_suites_and_groups() {
        let names = ["TLS_RSA_WITH_RC4_128_SHA".to_owned()];
        assert_eq!(
            choice(&names, &[]).provider().unwrap_err().key,
            "cipher_suites"
        );
        let names = ["P521".to_owned()];
        assert_eq!(
            choice(&[], &names).provider().unwrap_err().key,
            "curve_preferences"
        );
    }

    #[test]
    fn versions_must_be_in_order() {
        let of = |min_version, max_version| {
            let choice = TlsChoice {
                min_version,
                max_version,
                ..choice(&[], &[])
            };
            choice.versions().map(|versions| versions.len())
        };
        assert_eq!(of(TlsVersion::Tls12, None), Ok(2));
        assert_eq!(of(TlsVersion::Tls13, None), Ok(1));
        assert_eq!(of(TlsVersion::Tls12, Some(TlsVersion::Tls12)), Ok(1));
        assert_eq!(
            of(TlsVersion::Tls13, Some(TlsVersion::Tls12))
                .unwrap_err()
                .key,
            "max_version"
        );
    }
}
