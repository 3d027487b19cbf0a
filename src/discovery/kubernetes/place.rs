//! Where an API server is, and what a Pod finds of its own.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::{
    client::{ConfigError, Tls},
    discovery::credentials::{Authorization, Credentials},
    runtime::read_file,
    settings::HttpUrl,
};

/// What a Pod finds of its own account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The longest name of a namespace, with a line end, and more.
const NAMESPACE_BYTES_MAX: u64 = 1024;

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The collector does not run in a Pod.
    #[error(
        "`KUBERNETES_SERVICE_HOST` is not set, so the collector does not run in a cluster; name \
         `api_server` or `kubeconfig_file`"
    )]
    NotInCluster,
    /// What Kubernetes says in the environment is no address.
    #[error("`KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` are no address")]
    Address,
    /// A file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A kubeconfig file cannot be used.
    #[error("cannot use `{path}`: {why}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why, without anything that may be a secret.
        why: String,
    },
    /// A certificate or a key cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] ConfigError),
    /// The settings contradict each other.
    #[error("failed to set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

/// An API server, and what to authenticate with.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) server: HttpUrl,
    pub(super) credentials: Credentials,
    pub(super) tls: Tls,
}

/// The API server of the cluster that the collector runs in. The token is read at each request:
/// Kubernetes renews it.
pub(super) fn of_pod(
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Place, ConnectionError> {
    let variable = |name| environment(name).filter(|value| !value.is_empty());
    let host = variable("KUBERNETES_SERVICE_HOST").ok_or(ConnectionError::NotInCluster)?;
    let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    let host = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host,
    };
    let server = format!("https://{host}:{port}").parse();
    let account = Path::new(ACCOUNT);
    let token = Authorization {
        credentials_file: Some(account.join("token")),
        ..Authorization::default()
    };
    Ok(Place {
        server: server.map_err(|_| ConnectionError::Address)?,
        credentials: Credentials::new(&None, &Some(token)),
        tls: Tls {
            ca_file: Some(account.join("ca.crt")),
            ..Tls::default()
        },
    })
}

/// The namespace of the collector's own Pod.
pub(super) fn own_namespace() -> Result<String, ConnectionError> {
    let path = Path::new(ACCOUNT).join("namespace");
    let text = read_file(&path, NAMESPACE_BYTES_MAX);
    let text = text.map_err(|source| ConnectionError::Read { path, source })?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_finds_its_api_server_in_its_environment() {
        let with = |host: &str, port: &str| {
            let (host, port) = (host.to_owned(), port.to_owned());
            of_pod(&move |name| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.clone()),
                "KUBERNETES_SERVICE_PORT" => Some(port.clone()),
                _ => None,
            })
        };
        for (host, port, expected) in [
            ("10.0.0.1", "443", "https://10.0.0.1/"),
            ("fd00::1", "6443", "https://[fd00::1]:6443/"),
            ("10.0.0.1", "", "https://10.0.0.1/"),
        ] {
            let place = with(host, port).unwrap();
            assert_eq!(place.server.get().as_str(), expected);
            let ca = place.tls.ca_file.unwrap();
            assert_eq!(ca, Path::new(ACCOUNT).join("ca.crt"));
        }
        assert!(matches!(
            with("", "443"),
            Err(ConnectionError::NotInCluster)
        ));
        assert!(matches!(with("a b", "443"), Err(ConnectionError::Address)));
    }
}
