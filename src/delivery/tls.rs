//! The PEM files of the TLS settings.

use std::io;

use super::{BoxError, Invalid, Tls};

/// What the TLS settings name, read.
#[derive(Default)]
pub(super) struct Files {
    /// The certificates to trust.
    pub(super) ca: Option<Vec<u8>>,
    /// Our own certificate and its key.
    pub(super) identity: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}`")]
struct Unreadable {
    path: String,
    source: io::Error,
}

impl Files {
    pub(super) fn read(tls: &Tls) -> Result<Self, Invalid> {
        let ca = tls
            .ca_file
            .as_deref()
            .map(|path| read("tls.ca_file", path))
            .transpose()?;
        let identity = match (&tls.cert_file, &tls.key_file) {
            (Some(cert), Some(key)) => {
                Some((read("tls.cert_file", cert)?, read("tls.key_file", key)?))
            }
            (None, None) => None,
            (Some(_), None) => return Err(Invalid::new("tls.cert_file", "needs `key_file`")),
            (None, Some(_)) => return Err(Invalid::new("tls.key_file", "needs `cert_file`")),
        };
        Ok(Self { ca, identity })
    }
}

fn read(key: &'static str, path: &str) -> Result<Vec<u8>, Invalid> {
    std::fs::read(path).map_err(|source| {
        let path = path.to_owned();
        Invalid::new(key, BoxError::from(Unreadable { path, source }))
    })
}
