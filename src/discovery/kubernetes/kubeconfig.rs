//! Reads a kubeconfig file: the API server of its current context, and what to authenticate with.

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::place::{ConnectionError, Place};
use crate::{
    client::Tls,
    discovery::credentials::{Authorization, BasicAuth, Credentials},
    runtime::read_file,
    settings::{HttpUrl, Secret},
    yaml::{self, Diagnostics, Node},
};

/// The largest kubeconfig file.
const KUBECONFIG_BYTES_MAX: u64 = 1 << 20;

/// The API server that a kubeconfig file names.
pub(super) fn place(path: &Path) -> Result<Place, ConnectionError> {
    let invalid = |why: String| ConnectionError::Kubeconfig {
        path: path.to_owned(),
        why,
    };
    let text = read_file(path, KUBECONFIG_BYTES_MAX);
    let text = text.map_err(|error| ConnectionError::Read {
        path: path.to_owned(),
        source: error,
    })?;
    let text = String::from_utf8(text).map_err(|_| invalid("it is not UTF-8 text".to_owned()))?;
    let mut diagnostics = Diagnostics::new();
    // What is wrong is not repeated: it may be a key.
    let root = yaml::parse("kubeconfig", &text, &mut diagnostics);
    let root = root.ok_or_else(|| invalid("it is not YAML".to_owned()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    of(&root, folder).map_err(invalid)
}

fn of(root: &Node, folder: &Path) -> Result<Place, String> {
    let current = text(root, "current-context").ok_or("it has no `current-context`")?;
    let context = named(root, "contexts", "context", current)?;
    let cluster = text(context, "cluster").ok_or("the current context names no `cluster`")?;
    let cluster = named(root, "clusters", "cluster", cluster)?;
    let server = text(cluster, "server").ok_or("the cluster has no `server`")?;
    let server: HttpUrl = server
        .parse()
        .map_err(|error| format!("`server` of the cluster: {error}"))?;
    let user = match text(context, "user") {
        Some(user) => Some(named(root, "users", "user", user)?),
        None => None,
    };
    Ok(Place {
        server,
        credentials: user.map_or_else(
            || Ok(Credentials::default()),
            |user| credentials(user, folder),
        )?,
        tls: tls(cluster, user, folder)?,
    })
}

/// The `KIND` of the entry of a list that has this name.
fn named<'n>(root: &'n Node, list: &str, kind: &str, name: &str) -> Result<&'n Node, String> {
    let entries = root.get(list).map(Node::items).unwrap_or_default();
    let mut entries = entries.iter();
    let entry = entries.find(|entry| text(entry, "name") == Some(name));
    let entry = entry.and_then(|entry| entry.get(kind));
    entry.ok_or_else(|| format!("`{list}` has no `{name}`, or it is empty"))
}

fn credentials(user: &Node, folder: &Path) -> Result<Credentials, String> {
    for key in ["exec", "auth-provider"] {
        if user.get(key).is_some() {
            return Err(format!(
                "`{key}` would start a program, which the collector does not; use a token or a \
                 certificate"
            ));
        }
    }
    let file = text(user, "tokenFile").map(|path| folder.join(path));
    let token = text(user, "token").map(Secret::from).unwrap_or_default();
    let authorization = (file.is_some() || !token.is_empty()).then(|| Authorization {
        credentials: token,
        credentials_file: file,
        ..Authorization::default()
    });
    let basic = text(user, "username").map(|name| BasicAuth {
        username: name.to_owned(),
        password: text(user, "password").map(Secret::from).unwrap_or_default(),
        password_file: None,
    });
    Ok(Credentials::new(&basic, &authorization))
}

fn tls(cluster: &Node, user: Option<&Node>, folder: &Path) -> Result<Tls, String> {
    let user_file = |key| user.and_then(|user| file(user, key, folder));
    let user_pem = |key| user.map_or(Ok(None), |user| pem(user, key));
    Ok(Tls {
        insecure_skip_verify: text(cluster, "insecure-skip-tls-verify") == Some("true"),
        server_name_override: text(cluster, "tls-server-name").map(str::to_owned),
        ca_file: file(cluster, "certificate-authority", folder),
        ca_pem: pem(cluster, "certificate-authority-data")?,
        cert_file: user_file("client-certificate"),
        cert_pem: user_pem("client-certificate-data")?,
        key_file: user_file("client-key"),
        key_pem: user_pem("client-key-data")?,
        ..Tls::default()
    })
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)?.text().filter(|text| !text.is_empty())
}

/// A file; the text in the `-data` key goes before it.
fn file(node: &Node, key: &str, folder: &Path) -> Option<PathBuf> {
    let is_given = text(node, &format!("{key}-data")).is_some();
    let path = text(node, key).filter(|_| !is_given)?;
    Some(folder.join(path))
}

fn pem(node: &Node, key: &str) -> Result<Option<Secret>, String> {
    let Some(text) = text(node, key) else {
        return Ok(None);
    };
    let decoded = BASE64_STANDARD.decode(text).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(|| format!("`{key}` is not base64 of PEM text"))?;
    Ok(Some(decoded.into()))
}
